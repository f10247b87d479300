"""A content for tests: the interface of ``push_provider.content`` with plain ``str.format`` templates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from push_provider.exceptions import ContentError


class File(NamedTuple):
    """A file to attach."""

    name: str
    content: bytes
    mime_type: str


class Rendered(NamedTuple):
    """One recipient's message."""

    subject: str
    html: str | None
    text: str


class Templates:
    """Texts with ``{name}`` in them, or constant ones when ``constant``."""

    def __init__(
        self,
        subject: str,
        text: str,
        html: str | None = None,
        *,
        attachments: tuple[File, ...] = (),
        constant: bool = False,
    ) -> None:
        self._all = Rendered(subject, html, text)
        self.subject = subject if constant else None
        self.html = html if constant else None
        self.text = text if constant else None
        self.has_html = html is not None
        self.attachments = list(attachments)

    def render(self, to: str, variables: Mapping[str, Any]) -> Rendered:
        """Fill in the variables."""
        try:
            return Rendered(*(part and part.format_map(variables) for part in self._all))
        except KeyError as error:
            raise ContentError(f"{to}: variable {error} is missing") from None


class Given:
    """Takes each text from the recipient's variables as it is."""

    subject = html = text = None

    def __init__(self, *, has_html: bool, attachments: tuple[File, ...] = ()) -> None:
        self.has_html = has_html
        self.attachments = list(attachments)

    def render(self, to: str, variables: Mapping[str, Any]) -> Rendered:
        """Give them out."""
        return Rendered(variables["subject"], variables.get("html"), variables["text"])
