"""Content of app push: title, text, data and link, compiled once, rendered for each recipient."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from push_provider import written
from push_provider.content.base import CompiledContent
from push_provider.content.jinja_sandbox import Sandbox
from push_provider.content.jinja_scales import LIMITS, Limits
from push_provider.content.json_templates import Render, compiled, one_line, templates_in, tree
from push_provider.content.patience import Patience

if TYPE_CHECKING:
    from push_provider.channels.app.task import AppTask


class Options(NamedTuple):
    """What is the same for all recipients of an execution; see the fields of :class:`AppTask`.

    :param ttl: in seconds.
    """

    kind: str
    target: str
    category: str
    ttl: float | None
    sound: str | None
    badge: int | None
    android_channel: str | None
    ios_interruption: str | None


class AppContent(CompiledContent):
    """The compiled messages of one execution; for parameters and errors see :class:`CompiledContent`."""

    def __init__(
        self,
        task: AppTask,
        templates: Mapping[str, str] = {},  # noqa: ARG002  (there are no files)
        *,
        variables: Mapping[str, Any] = {},
        push: Mapping[str, Any] = {},
        include: Path | None = None,  # noqa: ARG002  (nothing is read)
        areas: bool | None = None,  # noqa: ARG002
        limits: Limits = LIMITS,
    ) -> None:
        self.options = Options(
            kind=task.kind,
            target=task.target,
            category=task.category,
            ttl=None if task.ttl is None else task.ttl.total_seconds(),
            sound=task.sound,
            badge=task.badge,
            android_channel=task.android_channel,
            ios_interruption=task.ios_interruption,
        )
        self._variables = {**task.variables, **variables}
        self._push = dict(push)
        self._patience = Patience()
        self._fixed: dict[str, Any] = {}
        self._programs: dict[str, Render] = {}
        sandbox = Sandbox(dict(_texts(task)), autoescape=False, limits=limits)
        if task.title is not None:
            self._take("title", compiled(sandbox, "title", task.title, one_line))
        if task.content is not None:
            self._take("content", compiled(sandbox, "content", task.content))
        if task.data:
            self._take("data", tree(sandbox, "data", task.data))
        if task.link is not None:
            self._take("link", compiled(sandbox, "link", task.link, one_line))

    def _take(self, name: str, made: Any) -> None:
        (self._programs if callable(made) else self._fixed)[name] = made

    def render(self, to: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """The message of one recipient: its ``title``, ``content``, ``data`` and ``link``, as far as it has them.

        :param to: the address.
        :param variables: the recipient's own.
        :raises ContentError: a variable is missing, or a template does what it may not.
        """
        if not self._programs:
            return self._fixed
        return self._patience.of(self._rendered, to, variables)

    def _rendered(self, to: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        values = {**self._variables, **variables, "push": self._push, "to": to}
        return {**self._fixed, **{name: program(values) for name, program in self._programs.items()}}

    def preview(self, to: str, own: Mapping[str, Any]) -> dict[str, Any]:
        """The message of one recipient."""
        return {"message": self.render(to, own)}


def texts_of(data: Mapping[str, Any]) -> dict[str, str]:
    """Data as phones take it, where each value is a text: what is none, as JSON."""
    return {name: value if isinstance(value, str) else written.dumps(value) for name, value in data.items()}


def _texts(task: AppTask) -> Iterator[tuple[str, str]]:
    for name in ("title", "content", "link"):
        if (text := getattr(task, name)) is not None:
            yield name, text
    yield from templates_in("data", task.data)
