"""What a push task sends, compiled as its channel wants it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from push_provider.content.compiled import Content
from push_provider.content.parameters import Parameters

if TYPE_CHECKING:
    from push_provider.task import PushTask


def facts(task: PushTask, *, number: int = 1, scheduled_for: datetime | None = None) -> dict[str, Any]:
    """What a template can say of its execution, as ``{{ push.… }}``.

    :param number: of the execution in its task.
    """
    return {
        "code": task.code,
        "name": task.name,
        "execution": number,
        "scheduled_for": scheduled_for.isoformat() if scheduled_for else None,
    }


def expected_facts(task: PushTask) -> dict[str, Any]:
    """The facts of a task's first execution, to look at its content before there is one.

    One that nobody triggers has a time at which it is due; any will do.
    """
    due = None if task.schedule.kind == "manual" else datetime.now(UTC).replace(microsecond=0)
    return facts(task, scheduled_for=due)


def compile_content(
    task: PushTask,
    templates: Mapping[str, str],
    *,
    variables: Mapping[str, Any] = {},
    push: Mapping[str, Any] = {},
) -> Content | Parameters:
    """Compile the content of one execution.

    :param templates: what :func:`push_provider.content.freeze` gave when the execution was planned.
    :param variables: a trigger's.
    :param push: :func:`facts` of the execution.
    :raises ContentError: a template cannot be compiled, or what is the same for all not be rendered.
    """
    if task.channel == "sms":
        return Parameters(task, variables=variables, push=push)
    return Content(task, templates, variables=variables, push=push)
