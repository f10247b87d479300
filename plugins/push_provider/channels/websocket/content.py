"""Content of a message to users who are connected: title, text and data, compiled once, rendered for each.

What pages get is JSON, in which no value can be anything but text. In markdown, values are escaped
(https://spec.commonmark.org/0.31.2/#backslash-escapes), so that nobody's name is a heading, a link or HTML.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from push_provider.content.base import CompiledContent
from push_provider.content.jinja_allowed import PLAIN_FILTERS, readable
from push_provider.content.jinja_sandbox import Sandbox
from push_provider.content.jinja_scales import LIMITS, Limits
from push_provider.content.json_templates import Render, compiled, one_line, templates_in, tree
from push_provider.content.patience import Patience

if TYPE_CHECKING:
    from push_provider.channels.websocket.task import WebsocketTask

_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
"""All of ASCII, of which markdown takes a backslash."""


class WebsocketContent(CompiledContent):
    """The compiled messages of one execution; for parameters and errors see :class:`CompiledContent`."""

    def __init__(
        self,
        task: WebsocketTask,
        templates: Mapping[str, str] = {},  # noqa: ARG002  (there are no files)
        *,
        variables: Mapping[str, Any] = {},
        push: Mapping[str, Any] = {},
        include: Path | None = None,  # noqa: ARG002  (nothing is read)
        areas: bool | None = None,  # noqa: ARG002
        limits: Limits = LIMITS,
    ) -> None:
        self.ttl = None if task.ttl is None else task.ttl.total_seconds()
        self._variables = {**task.variables, **variables}
        self._push = dict(push)
        self._patience = Patience()
        self._fixed: dict[str, Any] = {}
        self._programs: dict[str, Render] = {}
        plain = Sandbox(dict(_texts(task)), autoescape=False, limits=limits)
        if task.title is not None:
            self._take("title", compiled(plain, "title", task.title, one_line))
        if task.content is not None:
            markdown = task.format == "markdown"
            sandbox = _Markdown({"content": task.content}, limits=limits) if markdown else plain
            self._take("content", compiled(sandbox, "content", task.content))
            self._fixed["format"] = task.format
        if task.data:
            self._take("data", tree(plain, "data", task.data))

    def _take(self, name: str, made: Any) -> None:
        (self._programs if callable(made) else self._fixed)[name] = made

    def render(self, to: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """The message of one recipient: its ``title``, ``content`` with its type, and ``data``, as far as it has them.

        :param to: the user's id.
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


class _Markdown(Sandbox):
    """Renders markdown whose values are put out as text of one line."""

    def __init__(self, sources: Mapping[str, str], *, limits: Limits) -> None:
        # Escaping tells what a macro or a block puts out, which is markdown already, from a value.
        super().__init__(sources, autoescape=True, limits=limits, finalize=_as_text)
        self.filters = {name: function for name, function in PLAIN_FILTERS.items() if name != "xmlattr"}


def _as_text(value: Any) -> Any:
    if isinstance(value, Markup):
        return value
    text = " ".join(str(readable(value)).splitlines())
    return Markup(_PUNCTUATION.sub(r"\\\1", text))  # noqa: S704  (no HTML is made here: markdown goes out as text)


def _texts(task: WebsocketTask) -> Iterator[tuple[str, str]]:
    if task.title is not None:
        yield "title", task.title
    if task.content is not None:
        yield "content", task.content
    yield from templates_in("data", task.data)
