"""The names of the variables that a push task's content speaks of, as a hint for people who trigger it.

Found by their look, as the DAG processor builds thousands of DAGs and compiles no template. A template file is not
read; of that the names that the task gives values to are known. Imports no Airflow.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_SHOWN = re.compile(r"\{\{-?\s*([^\W\d]\w*)")
_BLOCK = re.compile(r"\{%([^%{}]{1,300})%\}")
_WORD = re.compile(r"[^\W\d]\w*")
_NOBODYS = frozenset(("to", "push", "loop", "self", "super", "caller", "none", "true", "false"))
"""What a template sees without anybody's giving it, and words of Jinja's."""
_MOST = 30


def variable_names(*texts: str | None, given: Iterable[str] = ()) -> list[str]:
    """Names of variables that texts speak of, sorted.

    :param texts: subject and content of a push task, or their beginnings.
    :param given: names of variables that it gives itself.
    :returns: at most thirty.
    """
    names = set(given)
    for text in filter(None, texts):
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
