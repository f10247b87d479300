"""Content is looked at when a push task comes in, so that a fault shows then and not at night."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from push_provider.content.jinja_scales import LIMITS, Limits
from push_provider.rendering.for_channel import compile_content, expected_facts, freeze

if TYPE_CHECKING:
    from pathlib import Path

    from push_provider.contract import PushTask


def examine(task: PushTask, *, include: Path | None = None, areas: bool | None = None, limits: Limits = LIMITS) -> None:
    """Look at a task's templates and attachments: each is compiled or read, as when it is sent.

    Templates of strangers are looked at in a process of their own: :func:`push_provider.rendering.workers.faults`.

    :param include: the include directory; left out, that of the settings.
    :param areas: whether attachments lie in areas by application; left out, as the settings say.
    :raises ContentError: something is wrong with one.
    """
    templates = freeze(task, include=include, limits=limits)
    where: dict[str, Any] = {"include": include, "areas": areas, "limits": limits}
    compile_content(task, templates, push=expected_facts(task), **where).examine()


def same_content(one: PushTask, other: PushTask) -> bool:
    """Whether :func:`examine` finds the same in both: neither recipients nor variables change what it does."""
    apart: dict[str, object] = {"recipients": [], "variables": {}}
    return one.model_copy(update=apart) == other.model_copy(update=apart)
