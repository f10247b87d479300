"""What a push task sends, compiled as its channel wants it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from push_provider.channels import registry
from push_provider.content.jinja_scales import LIMITS, Limits

if TYPE_CHECKING:
    from pathlib import Path

    from push_provider.content.base import CompiledContent
    from push_provider.contract import PushTask


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
) -> dict[str, Any]:
    """A task's message as one recipient would get it, as plain values.

    :param to: the recipient's address.
    :param own: the recipient's variables; the other parameters are those of :func:`compile_content`.
    :raises ContentError: it cannot be compiled or rendered.
    """
    where: dict[str, Any] = {"include": include, "areas": areas, "limits": limits}
    templates = freeze(task, include=include, limits=limits)
    content = compile_content(task, templates, variables=variables, push=expected_facts(task), **where)
    return {**_NOTHING, "to": to, **content.preview(to, own)}


_NOTHING: Mapping[str, Any] = {
    "subject": None,
    "html": None,
    "text": None,
    "parameters": None,
    "attachments": [],
    "message": None,
}
