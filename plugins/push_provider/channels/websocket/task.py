"""The fields of a push task to users who are connected, and what they must be together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from push_provider.addresses import bare, shown
from push_provider.channels import acknowledging
from push_provider.contract.task import PushTask
from push_provider.contract.values import CONTENT_LIMIT, Lifetime, Line, Variables
from push_provider.exceptions import FieldError

USER_LIMIT = 200
"""Characters of a user id: a channel's name has at most 255 (Centrifugo's ``channel.max_length``)."""
_USER = re.compile(r"[!-~]+", re.ASCII)
_RESERVED = frozenset("#,")
"""What parts a channel's name from its users, and these from each other (``channel.user_boundary``,
``channel.user_separator``; https://centrifugal.dev/docs/server/channels)."""


class WebsocketTask(PushTask):
    """A push task of channel websocket."""

    channel: Literal["websocket"]
    title: Line | None = Field(default=None, title="Title (标题)", max_length=1000, description="a Jinja template")
    content: str | None = Field(
        default=None, max_length=CONTENT_LIMIT, description="the text itself, a Jinja template of `format`"
    )
    format: Literal["text", "markdown"] = Field(
        default="text",
        title="Format (格式)",
        description="how pages show `content`; in markdown, values of variables stay plain text",
    )
    data: Variables = Field(
        default={},
        title="Data (数据)",
        description="for the page's program, a JSON object; each text in it is a Jinja template",
    )
    ttl: Lifetime | None = Field(
        default=None,
        title="Valid for, in seconds (有效期)",
        description="seconds that the message is worth something, at most as long as the configuration's history; "
        "left out, as long as that",
    )
    expect: Literal["published", "acknowledged"] = Field(
        default="published",
        title="Expect (确认)",
        description="`acknowledged`: a message that its page has not acknowledged when the `ttl` ends has failed",
    )

    @staticmethod
    def address(text: str) -> str:
        """The id of a user, as the page's tokens have it."""
        return user_id(text)

    def headline(self) -> str | None:
        """The title."""
        return self.title

    def spec(self) -> dict[str, Any]:
        """The task as JSON, the numbers of ``data`` as they were written."""
        return {**super().spec(), "data": self.data}

    def faults(self) -> Iterator[FieldError]:
        """What a message must have."""
        if self.title is None and self.content is None and not self.data:
            yield FieldError("content", "give title, content or data: the message would be empty")
        yield from acknowledging.faults(self)


def user_id(text: str) -> str:
    """Check the id of a user; blanks and invisible marks around it are dropped.

    :raises ValueError: no channel of Centrifugo can be one user's of this id.
    """
    user = bare(text)
    if not _USER.fullmatch(user) or _RESERVED & set(user) or len(user) > USER_LIMIT:
        raise ValueError(
            f"{shown(text)} is no user id that Centrifugo takes; write 1 to {USER_LIMIT} letters, digits and marks of "
            "ASCII, without blanks, '#' and ','"
        )
    return user
