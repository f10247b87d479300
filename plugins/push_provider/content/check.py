"""Content is looked at when a push task comes in, so that a fault shows then and not at night."""

from __future__ import annotations

from typing import TYPE_CHECKING

from push_provider.content.compiled import Content, freeze
from push_provider.content.for_channel import compile_content, expected_facts
from push_provider.exceptions import ContentError, FieldError

if TYPE_CHECKING:
    from push_provider.task import PushTask


def faults(task: PushTask) -> list[FieldError]:
    """What is wrong with a task's templates and attachments: each is compiled or read, as when it is sent."""
    try:
        content = compile_content(task, freeze(task), push=expected_facts(task))
        if isinstance(content, Content):
            _ = content.attachments
    except ContentError as error:
        field = error.field or "content"
        return [FieldError(field, str(error).removeprefix(f"{field}: "))]
    return []
