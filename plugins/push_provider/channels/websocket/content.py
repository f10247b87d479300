"""Content of a message to users who are connected: title, text and data, compiled once, rendered for each.

What pages get is JSON, in which no value can be anything but text. In markdown, values are escaped
(https://spec.commonmark.org/0.31.2/#backslash-escapes), so that nobody's name is a heading, a link or HTML.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from push_provider.content.jinja_sandbox import Sandbox
from push_provider.content.jinja_scales import LIMITS, Limits
from push_provider.content.json_content import JsonContent, sources
from push_provider.content.json_templates import compiled, one_line, tree
from push_provider.content.markdown_templates import MarkdownSandbox, Written

if TYPE_CHECKING:
    from push_provider.channels.websocket.task import WebsocketTask

_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
"""All of ASCII, of which markdown takes a backslash."""


class WebsocketContent(JsonContent):
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
        self.expect = task.expect
        super().__init__({**task.variables, **variables}, push)
        plain = Sandbox(sources(task, "title", "content"), autoescape=False, limits=limits)
        if task.title is not None:
            self.take("title", compiled(plain, "title", task.title, one_line))
        if task.content is not None:
            markdown = task.format == "markdown"
            sandbox = MarkdownSandbox({"content": task.content}, limits=limits) if markdown else plain
            self.take("content", compiled(sandbox, "content", task.content, _escaped))
            self.take("format", task.format)
        if task.data:
            self.take("data", tree(plain, "data", task.data))


def _escaped(text: str) -> str:
    """Markdown in which each value is text of one line."""
    if not isinstance(text, Written):
        return text
    return "".join(_as_text(piece) if at % 2 else piece for at, piece in enumerate(text.pieces))


def _as_text(value: str) -> str:
    return _PUNCTUATION.sub(r"\\\1", " ".join(value.splitlines()))
