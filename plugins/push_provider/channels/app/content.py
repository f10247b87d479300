"""Content of app push: title, text, data and link, compiled once, rendered for each recipient."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from push_provider import written
from push_provider.content.jinja_sandbox import Sandbox
from push_provider.content.jinja_scales import LIMITS, Limits
from push_provider.content.json_content import JsonContent, sources
from push_provider.content.json_templates import compiled, one_line, tree

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


class AppContent(JsonContent):
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
        self.expect = task.expect
        super().__init__({**task.variables, **variables}, push)
        sandbox = Sandbox(sources(task, "title", "content", "link"), autoescape=False, limits=limits)
        if task.title is not None:
            self.take("title", compiled(sandbox, "title", task.title, one_line))
        if task.content is not None:
            self.take("content", compiled(sandbox, "content", task.content))
        self.data_names = tuple(task.data or ())
        """Names of the data, which are the same for all."""
        if task.data:
            self.take("data", tree(sandbox, "data", task.data))
        if task.link is not None:
            self.take("link", compiled(sandbox, "link", task.link, one_line))


class Marks(NamedTuple):
    """What marks one recipient's message.

    :param key: its name; the same in each try.
    :param link: ``acknowledge``, the link by which the app says that it came, if there is one.
    """

    key: str
    link: Mapping[str, str] = {}


def texts_of(data: Mapping[str, Any]) -> dict[str, str]:
    """Data as phones take it, where each value is a text: what is none, as JSON."""
    return {name: value if isinstance(value, str) else written.dumps(value) for name, value in data.items()}
