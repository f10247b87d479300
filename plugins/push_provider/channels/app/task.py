"""The fields of a push task to people's phones, and what they must be together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from push_provider.addresses import bare, shown
from push_provider.channels import acknowledging
from push_provider.contract.task import PushTask
from push_provider.contract.values import CONTENT_LIMIT, Lifetime, Line, Number, ProviderName, Variables
from push_provider.exceptions import FieldError

ADDRESS_LIMIT = 320
"""Characters of a device id, an account or an alias: those of any recipient."""


class AppTask(PushTask):
    """A push task of channel app."""

    channel: Literal["app"]
    title: Line | None = Field(default=None, title="Title (标题)", max_length=1000, description="a Jinja template")
    content: str | None = Field(
        default=None, max_length=CONTENT_LIMIT, description="the text of the message, a Jinja template"
    )
    kind: Literal["notification", "message"] = Field(
        default="notification",
        title="Kind (类型)",
        description="`notification`: the phone shows it; `message`: the app itself gets it, and decides",
    )
    target: Literal["device", "account", "alias"] = Field(
        default="device",
        title="Recipients are (推送目标)",
        description="what recipients are: ids of devices, or accounts or aliases that the app has bound to devices",
    )
    data: Variables = Field(
        default={},
        title="Data (数据)",
        description="for the app, a JSON object; each text in it is a Jinja template",
    )
    link: Line | None = Field(
        default=None,
        title="Link (链接)",
        max_length=2000,
        description="what opens when somebody taps the notification, a Jinja template; left out, the app itself",
    )
    ttl: Lifetime | None = Field(
        default=None,
        title="Valid for, in seconds (有效期)",
        description="seconds for which it is kept for phones that are off; left out, as long as the vendor does",
    )
    expect: Literal["published", "acknowledged"] = Field(
        default="published",
        title="Expect (确认)",
        description="`acknowledged`: a message that its app has not acknowledged when the `ttl` ends has failed",
    )
    sound: ProviderName | None = Field(
        default=None, title="Sound (提示音)", description="a sound file of the app, instead of the phone's own"
    )
    badge: Number | None = Field(
        default=None, ge=0, le=99, title="Badge (角标)", description="the number on the app's icon; 0 removes it on iOS"
    )
    android_channel: ProviderName | None = Field(
        default=None,
        title="Android channel (通知渠道)",
        description="id of the notification channel of the Android app",
    )
    ios_interruption: Literal["passive", "active", "time-sensitive"] | None = Field(
        default=None, title="iOS interruption level (中断级别)", description="how much iOS lets it interrupt"
    )

    @staticmethod
    def address(text: str) -> str:
        """The id of a device, an account or an alias."""
        return device(text)

    def headline(self) -> str | None:
        """The title."""
        return self.title

    def spec(self) -> dict[str, Any]:
        """The task as JSON, the numbers of ``data`` as they were written."""
        return {**super().spec(), "data": self.data}

    def faults(self) -> Iterator[FieldError]:
        """What a message must have."""
        if self.kind == "notification":
            if self.content is None:
                yield FieldError("content", "is missing: a notification has a title and content")
            elif self.title is None:
                yield FieldError("title", "is missing: a notification has a title and content")
        elif self.title is None and self.content is None and not self.data:
            yield FieldError("content", "give title, content or data: the message would be empty")
        yield from acknowledging.faults(self)


def device(text: str) -> str:
    """Check the id of a device, an account or an alias; blanks and invisible marks around it are dropped.

    :raises ValueError: no vendor has such a one: a comma would part several (Aliyun's ``Target.Value``).
    """
    one = bare(text)
    if not one or len(one) > ADDRESS_LIMIT or not one.isprintable() or any(c in ", " for c in one):
        raise ValueError(
            f"{shown(text)} is no id of a device, no account and no alias; write 1 to {ADDRESS_LIMIT} characters "
            "without blanks and commas"
        )
    return one
