"""Push tasks from files: YAML with one or many documents, or JSON; each a task or a list of tasks."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from push_provider.content import faults
from push_provider.exceptions import FieldError, InvalidTask
from push_provider.strict_json import distinct
from push_provider.task import PushTask, parse

SIZE_LIMIT = 64 * 1024 * 1024
"""Bytes of one file: room for some 500,000 recipients, and an end to accidents."""
_DEPTH_LIMIT = 100
"""Levels of lists and mappings; libyaml's composer recurses in C and would end the process."""
_YAML: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read(paths: Sequence[str]) -> list[PushTask]:
    """Read and check every task of every file, and its content, before any is applied.

    :raises InvalidTask: names file, task and field, for all faults in all files.
    """
    tasks: list[PushTask] = []
    errors: list[FieldError] = []
    seen: dict[str, str] = {}
    for path in paths:
        try:
            documents = list(_documents(path))
        except InvalidTask as fault:
            errors += fault.errors
            continue
        for where, document in documents:
            try:
                task = parse(document)
                if found := faults(task):
                    raise InvalidTask(found)
            except InvalidTask as fault:
                errors += [FieldError(f"{where}: {error.field}", error.message) for error in fault.errors]
                continue
            if task.code in seen:
                errors.append(FieldError(f"{where}: code", f"{task.code!r} stands in {seen[task.code]} already"))
            seen[task.code] = where
            tasks.append(task)
    if errors:
        raise InvalidTask(errors)
    return tasks


def _documents(path: str) -> Iterator[tuple[str, Any]]:
    name = "stdin" if path == "-" else path
    documents = _load(name, _text(path))
    flat = [item for document in documents for item in (document if isinstance(document, list) else [document])]
    if not flat:
        raise InvalidTask([FieldError(name, "holds no push task")])
    for number, item in enumerate(flat, start=1):
        code = item.get("code") if isinstance(item, dict) else None
        yield (name if len(flat) == 1 else f"{name}, task {number}" + (f" ({code})" if code else "")), item


def _text(path: str) -> str:
    name = "stdin" if path == "-" else path
    try:
        if path == "-":
            content = sys.stdin.buffer.read(SIZE_LIMIT + 1)
        else:
            with Path(path).open("rb") as file:
                content = file.read(SIZE_LIMIT + 1)
        if len(content) > SIZE_LIMIT:
            raise InvalidTask([FieldError(name, f"is larger than {SIZE_LIMIT} bytes; split it")])
        return content.decode("utf-8-sig")
    except OSError as error:
        raise InvalidTask([FieldError(name, f"cannot be read: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        raise InvalidTask([FieldError(name, "is not UTF-8")]) from error


def _load(name: str, text: str) -> list[Any]:
    try:
        # JSON on stdin too: YAML takes most of it, but neither its tabs nor its surrogate pairs.
        if name.endswith(".json") or text.lstrip().startswith(("{", "[")):
            try:
                return [json.loads(text, object_pairs_hook=distinct)]
            except json.JSONDecodeError as error:
                if name.endswith(".json"):
                    fault = FieldError(name, f"is not JSON: {error.msg}, line {error.lineno}")
                    raise InvalidTask([fault]) from error
        _refuse_traps(text)
        return [document for document in yaml.load_all(text, Loader=_Loader) if document is not None]
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise InvalidTask([FieldError(name, f"is not YAML: {error.problem}{line}")]) from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: 2026-13-45, which YAML takes for a date
        raise InvalidTask([FieldError(name, f"cannot be read: {error}")]) from error
    except RecursionError as error:
        raise InvalidTask([FieldError(name, f"is nested deeper than {_DEPTH_LIMIT} levels")]) from error


class _Loader(_YAML):  # type: ignore[misc]
    """YAML's safe loader that takes no key twice: one of two ``recipients`` would be lost without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> Any:
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} stands twice in one mapping", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def _refuse_traps(text: str) -> None:
    """Refuse what a small file can harm us with, event by event, before anything is composed of it.

    Nested aliases stand for more values than any memory holds ("billion laughs"); depth exhausts the stack.
    """
    depth = 0
    for event in yaml.parse(text, Loader=_YAML):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        mark: Any = event.start_mark
        if isinstance(event, yaml.AliasEvent):
            trap = f"the alias *{event.anchor} is not followed; write the value out"
            raise yaml.MarkedYAMLError(problem=trap, problem_mark=mark)
        if depth > _DEPTH_LIMIT:
            trap = f"it is nested deeper than {_DEPTH_LIMIT} levels"
            raise yaml.MarkedYAMLError(problem=trap, problem_mark=mark)
