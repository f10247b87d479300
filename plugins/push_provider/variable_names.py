"""The names of the variables that a push task's content speaks of, as a hint for people who trigger it.

Found by their look, as the DAG processor builds thousands of DAGs and compiles no template. A template file is not
read; of that the names that the task gives values to are known. Imports no Airflow.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from push_provider.task import PushTask

_SHOWN = re.compile(r"\{\{-?\s*([^\W\d]\w*)")
_BLOCK = re.compile(r"\{%([^%{}]{1,300})%\}")
_WORD = re.compile(r"[^\W\d]\w*")
_NOBODYS = frozenset(("to", "push", "loop", "self", "super", "caller", "none", "true", "false"))
"""What a template sees without anybody's giving it, and words of Jinja's."""
_LONGEST = 50_000
"""Characters of content that are looked at."""
_MOST = 30


def variable_names(task: PushTask) -> list[str]:
    """Names of variables in the subject and content of a push task, and of those that it gives itself, sorted.

    :returns: at most thirty.
    """
    names = set(task.variables)
    for text in _texts(task):
        spoken_of, bound = set(_SHOWN.findall(text)), set[str]()
        for block in _BLOCK.findall(text):
            match _WORD.findall(block):
                case ["for", one, "in", many, *_]:
                    bound.add(one)
                    spoken_of.add(many)
                case ["for", one, other, "in", many, *_]:
                    bound |= {one, other}
                    spoken_of.add(many)
                case ["set" | "macro", one, *_]:
                    bound.add(one)
                case ["if" | "elif", "not", name, *_] | ["if" | "elif", name, *_]:
                    spoken_of.add(name)
        names |= spoken_of - bound
    return sorted(names - _NOBODYS)[:_MOST]


def _texts(task: PushTask) -> Iterator[str]:
    waiting: list[Any] = [task.subject, task.content]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value[:_LONGEST]
        elif isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
