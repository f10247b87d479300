"""A message as Aliyun Mobile Push takes it: a PushTask (https://help.aliyun.com/document_detail/2979224.html)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from push_provider import written
from push_provider.channels.app.content import texts_of
from push_provider.exceptions import ContentError

if TYPE_CHECKING:
    from push_provider.channels.app.aliyun_config import AliyunAppConfig
    from push_provider.channels.app.content import Marks, Options

TITLE_LIMIT = 50
"""Characters of a notification's title on Android."""
TITLE_BYTES = 200
"""Octets of it on iOS and HarmonyOS."""
BODY_LIMIT = 200
"""Characters of a notification's text."""
MESSAGE_BYTES = 4000
"""Octets of a message that the app itself takes, as JSON."""


def push_task(
    message: Mapping[str, Any], to: str, marks: Marks, options: Options, config: AliyunAppConfig, now: datetime
) -> dict[str, Any]:
    """One recipient's PushTask.

    :param message: as :class:`~push_provider.channels.app.content.AppContent` renders it.
    :param to: device id, account or alias.
    :param marks: of the message; in Aliyun's receipt logs its name is the JobKey.
    :param now: when it is sent, for the moment at which it expires.
    :raises ContentError: it is larger than Aliyun takes.
    """
    task: dict[str, Any] = {
        "Target": {"Type": options.target.upper(), "Value": to},
        "Options": {"JobKey": marks.key, **_expiry(options, now)},
    }
    if options.kind == "message":
        task["Message"] = _message(message, marks)
    else:
        task["Notification"] = _notification(message, marks, options, config)
    return task


def _expiry(options: Options, now: datetime) -> dict[str, str]:
    if options.ttl is None:
        return {}
    return {"ExpireTime": f"{(now + timedelta(seconds=options.ttl)).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"}


def _message(message: Mapping[str, Any], marks: Marks) -> dict[str, str]:
    own = {name: message[name] for name in ("content", "data", "link") if message.get(name)}
    body = {"id": marks.key, **own, **marks.link}
    made = {"Title": message.get("title") or "", "Body": written.dumps(body)}
    size = len(written.dumps(made).encode())
    if size > MESSAGE_BYTES:
        raise ContentError(f"the message has {size} bytes as JSON; Aliyun takes at most {MESSAGE_BYTES}")
    return made


def _notification(
    message: Mapping[str, Any], marks: Marks, options: Options, config: AliyunAppConfig
) -> dict[str, Any]:
    title, body, link = message["title"], message["content"], message.get("link")
    if len(title) > TITLE_LIMIT or len(title.encode()) > TITLE_BYTES:
        raise ContentError(
            f"title: has {len(title)} characters, {len(title.encode())} bytes; Aliyun takes at most {TITLE_LIMIT} "
            f"characters and {TITLE_BYTES} bytes"
        )
    if len(body) > BODY_LIMIT:
        raise ContentError(f"content: has {len(body)} characters; Aliyun takes at most {BODY_LIMIT} in a notification")
    own = {"push_id": marks.key, **({"link": link} if link else {}), **marks.link}
    extra = written.dumps({**texts_of(message.get("data") or {}), **own})
    service = options.category == "service"
    android: dict[str, Any] = {
        "ExtParameters": extra,
        # What phone vendors tell apart: of marketing they let few through a day.
        "Options": {
            "Accs": {"OpenType": "URL", "OpenUrl": link} if link else {"OpenType": "APPLICATION"},
            "Huawei": {"Importance": 2 if service else 1},
            "Honor": {"Importance": 1 if service else 0},
            "Vivo": {"Importance": 1 if service else 0},
        },
    }
    ios: dict[str, Any] = {"ApnsEnv": config.apns_env, "ExtParameters": extra}
    if options.android_channel:
        android["ChannelId"] = options.android_channel
    if config.activity:
        android["VendorChannelActivity"] = config.activity
    if options.badge is not None:
        ios["Badge"] = options.badge
        if options.badge:
            android["BadgeSetNum"] = options.badge  # 1 to 99
    if options.sound:
        android["Music"] = ios["Music"] = options.sound
    if options.ios_interruption:
        ios["InterruptionLevel"] = options.ios_interruption
    return {"Title": title, "Body": body, "Android": android, "Ios": ios}
