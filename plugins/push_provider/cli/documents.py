"""Push tasks from files: YAML with one or many documents, or JSON; each a task or a list of tasks."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from json import JSONDecodeError
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from push_provider import strict_json, strict_yaml
from push_provider.addresses import shown
from push_provider.channels.reading import parse
from push_provider.exceptions import FieldError, FieldErrors, InvalidTask
from push_provider.rendering.workers import Asker, faults

if TYPE_CHECKING:
    from push_provider.contract import PushTask

SIZE_LIMIT = 64 * 1024 * 1024
"""Bytes of one file: room for some 500,000 recipients, and an end to accidents."""


class Placed(NamedTuple):
    """A push task, and its place: the file, and which of its tasks it is."""

    place: str
    task: PushTask


def read(paths: Sequence[str]) -> list[PushTask]:
    """:func:`read_placed` without the places."""
    return [task for _, task in read_placed(paths)]


def read_placed(paths: Sequence[str]) -> list[Placed]:
    """Read and check every task of every file, and its content, before any is applied.

    :raises InvalidTask: names file, task and field, for all faults in all files.
    """
    tasks: list[Placed] = []
    errors = FieldErrors()
    seen: dict[str, str] = {}
    asker = Asker(seconds=math.inf)
    for path in paths:
        try:
            documents = list(_documents(path))
        except InvalidTask as fault:
            errors = errors.and_then(fault.errors)
            continue
        for where, document in documents:
            try:
                task = parse(document)
                if found := faults(task, asker):
                    raise InvalidTask(found)
            except InvalidTask as fault:
                errors = errors.and_then(fault.errors.under(f"{where}: "))
                continue
            if task.code in seen:
                twice = FieldError(f"{where}: code", f"{task.code!r} stands in {seen[task.code]} already")
                errors = errors.and_then(FieldErrors([twice]))
            seen[task.code] = where
            tasks.append(Placed(where, task))
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
        yield (
            (
                name
                if len(flat) == 1
                else f"{name}, task {number}" + (f" ({shown(code)[1:-1]})" if isinstance(code, str) else "")
            ),
            item,
        )


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
                return [strict_json.loads(text)]
            except ValueError as error:
                if name.endswith(".json") or not isinstance(error.__cause__, JSONDecodeError | RecursionError):
                    raise
        return strict_yaml.loads(text)
    except ValueError as error:
        raise InvalidTask([FieldError(name, str(error))]) from error
