"""What a push task sends, compiled as its channel wants it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from push_provider.channels import registry
from push_provider.content.jinja_scales import LIMITS, Limits
from push_provider.schedule import clock_of

if TYPE_CHECKING:
    from pathlib import Path

    from push_provider.content.base import CompiledContent
    from push_provider.contract import PushTask


def facts(
    task: PushTask,
    *,
    planned_at: datetime,
    scheduled_for: datetime | None = None,
    number: int = 1,
    default_timezone: str = "UTC",
) -> dict[str, Any]:
    """What a template can say of its execution, as ``{{ push.… }}``.

    Where a push task has a schedule, its content may speak of the time: an execution that somebody triggers beside it
    is for the moment of the trigger. One that is only ever triggered has no such time.

    :param planned_at: when the execution was planned.
    :param scheduled_for: when it was due, if the schedule began it.
    :param number: of the execution in its task.
    :param default_timezone: the clock of a schedule that names none; moments are given by the schedule's.
    """
    due = scheduled_for
    if due is None and task.schedule.kind != "manual":
        due = planned_at.replace(microsecond=0)
    return {
        "code": task.code,
        "name": task.name,
        "execution": number,
        "scheduled_for": due and due.astimezone(clock_of(task, default_timezone)).isoformat(),
    }


def expected_facts(task: PushTask, default_timezone: str = "UTC") -> dict[str, Any]:
    """The facts of a task's first execution, to look at its content before there is one."""
    return facts(task, planned_at=datetime.now(UTC), default_timezone=default_timezone)


def freeze(task: PushTask, *, include: Path | None = None, limits: Limits = LIMITS) -> dict[str, str]:
    """Read the files of include/templates that a task names; see :meth:`CompiledContent.freeze`."""
    return registry.content_of(task.channel).freeze(task, include=include, limits=limits)


def compile_content(
    task: PushTask,
    templates: Mapping[str, str],
    *,
    variables: Mapping[str, Any] = {},
    push: Mapping[str, Any] = {},
    include: Path | None = None,
    areas: bool | None = None,
    limits: Limits = LIMITS,
) -> CompiledContent:
    """Compile the content of one execution; for parameters and errors see :class:`CompiledContent`."""
    content = registry.content_of(task.channel)
    return content(task, templates, variables=variables, push=push, include=include, areas=areas, limits=limits)


def message_for(
    task: PushTask,
    to: str,
    own: Mapping[str, Any],
    *,
    variables: Mapping[str, Any] = {},
    include: Path | None = None,
    areas: bool | None = None,
    limits: Limits = LIMITS,
    default_timezone: str = "UTC",
) -> dict[str, Any]:
    """A task's message as one recipient would get it, as plain values.

    :param to: the recipient's address.
    :param own: the recipient's variables.
    :param default_timezone: as of :func:`facts`; the other parameters are those of :func:`compile_content`.
    :raises ContentError: it cannot be compiled or rendered.
    """
    where: dict[str, Any] = {"include": include, "areas": areas, "limits": limits}
    templates = freeze(task, include=include, limits=limits)
    push = expected_facts(task, default_timezone)
    content = compile_content(task, templates, variables=variables, push=push, **where)
    return {**_NOTHING, "to": to, **content.preview(to, own)}


_NOTHING: Mapping[str, Any] = {
    "subject": None,
    "html": None,
    "text": None,
    "parameters": None,
    "attachments": [],
    "message": None,
}
