"""JSON documents each text of which is a Jinja template, compiled once and made for each recipient."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from push_provider.exceptions import ContentError

if TYPE_CHECKING:
    from push_provider.content.jinja_sandbox import Sandbox

Values = Mapping[str, Any]
Render = Callable[[Values], Any]


def templates_in(where: str, value: Any) -> Iterator[tuple[str, str]]:
    """The templates of a document, named after their places."""
    if isinstance(value, str) and "{" in value:
        yield where, value
    for key, part in _parts(value):
        yield from templates_in(f"{where}.{key}", part)


def _parts(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list):
        yield from enumerate(value)


def tree(sandbox: Sandbox, where: str, value: Any) -> Any:
    """A document as it is, if it is the same for all; else what makes it.

    :param sandbox: of the document's :func:`templates_in`.
    """
    if isinstance(value, str):
        return compiled(sandbox, where, value)
    parts = {key: tree(sandbox, f"{where}.{key}", part) for key, part in _parts(value)}
    if not any(callable(part) for part in parts.values()):
        return value

    def make(values: Values) -> Any:
        made = {key: part(values) if callable(part) else part for key, part in parts.items()}
        return made if isinstance(value, dict) else list(made.values())

    return make


def compiled(sandbox: Sandbox, name: str, source: str, finish: Callable[[str], str] = str) -> str | Render:
    """A template that makes text; the text itself where there is nothing to fill in.

    :param name: of the template, for messages.
    :param finish: what is done to the text.
    """
    if "{" not in source:
        return _whole(name, finish(source))
    program = sandbox.program(name)
    return lambda values: _whole(name, finish(program(values)))


def one_line(text: str) -> str:
    """A text whose white space is single blanks."""
    return " ".join(text.split())


def _whole(name: str, text: str) -> str:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ContentError(f"{name}: holds half a character (a lone surrogate)") from error
    return str(text)
