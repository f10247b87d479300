"""The fields of an email's push task, and what they must be together."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    WrapValidator,
    field_validator,
)

from push_provider.addresses import email_address
from push_provider.contract.base import Contract
from push_provider.contract.lists import by_pieces
from push_provider.contract.task import PushTask
from push_provider.contract.values import ATTACHMENTS_LIMIT, CONTENT_LIMIT, IncludePath, Line, name
from push_provider.exceptions import FieldError


class InlineAttachment(Contract):
    """A file carried in the task itself."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(name)]
    content_base64: str

    @field_validator("content_base64")
    @classmethod
    def _decodes(cls, text: str) -> str:
        try:
            base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            raise ValueError("is not base64 (RFC 4648, with padding, without line breaks)") from error
        return text

    @property
    def content(self) -> bytes:
        """The file's bytes."""
        return base64.b64decode(self.content_base64)

    @property
    def size(self) -> int:
        """How many bytes the file has."""
        return len(self.content_base64) // 4 * 3 - self.content_base64[-2:].count("=")


Attachment = Annotated[
    Annotated[IncludePath, Tag("path")] | Annotated[InlineAttachment, Tag("inline")],
    Discriminator(lambda value: "path" if isinstance(value, str) else "inline"),
]
"""A path below include/, or the file itself."""


class EmailTask(PushTask):
    """A push task of channel email."""

    words: ClassVar[Mapping[str, Mapping[str, str]]] = {
        **PushTask.words,
        "attachments[]": {"mapping": "must be a path below include/, or {name, content_base64}"},
    }

    needed: ClassVar[frozenset[str]] = frozenset({"subject"})

    channel: Literal["email"]
    subject: Line | None = Field(default=None, max_length=1000, description="needed. A Jinja template, too")
    content: str | None = Field(
        default=None,
        max_length=CONTENT_LIMIT,
        description="the text itself, a Jinja template; either this or `template`",
    )
    content_type: Literal["html", "markdown", "text"] = Field(
        default="html", description="html and markdown get a plain-text alternative by themselves"
    )
    template: IncludePath | None = Field(
        default=None, description="a file below include/templates instead of `content`"
    )
    attachments: Annotated[list[Attachment], WrapValidator(by_pieces)] = Field(
        default=[],
        description="paths below include/, in attachments/<app>/ or attachments/shared/, or the files themselves; "
        "10 MiB in all",
    )

    @staticmethod
    def address(text: str) -> str:
        """A mail address in its normal form."""
        return email_address(text)

    def headline(self) -> str | None:
        """The subject."""
        return self.subject

    def faults(self) -> Iterator[FieldError]:
        """What an email must have, and must not."""
        if not self.subject or not self.subject.strip():
            yield FieldError("subject", "an email needs one")
        if (self.content is None) == (self.template is None):
            yield FieldError("content", "give either content or template (a file of include/templates)")
        inline = sum(a.size for a in self.attachments if isinstance(a, InlineAttachment))
        if inline > ATTACHMENTS_LIMIT:
            yield FieldError("attachments", f"are {inline} bytes in all; at most {ATTACHMENTS_LIMIT} fit")
