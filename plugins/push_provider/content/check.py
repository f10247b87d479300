"""Content is looked at when a push task comes in, so that a fault shows then and not at night."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from push_provider.content.compiled import Content, freeze
from push_provider.content.for_channel import compile_content
from push_provider.exceptions import ContentError, FieldError, InvalidTask

if TYPE_CHECKING:
    from push_provider.task import PushTask


def faults(task: PushTask) -> list[FieldError]:
    """What is wrong with a task's templates and attachments: each is compiled or read, as when it is sent."""
    try:
        content = compile_content(task, freeze(task))
        if isinstance(content, Content):
            _ = content.attachments
    except ContentError as error:
        text = str(error)
        field = "attachments" if text.startswith("attachments: ") else "template" if task.template else "content"
        return [FieldError(field, text.removeprefix("attachments: "))]
    return []


def check(tasks: Iterable[PushTask]) -> None:
    """Look at the content of several tasks.

    :raises InvalidTask: names task and field of every fault.
    """
    errors = [FieldError(f"{task.code}: {fault.field}", fault.message) for task in tasks for fault in faults(task)]
    if errors:
        raise InvalidTask(errors)
