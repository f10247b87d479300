"""A message as FCM takes it (https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from push_provider import written
from push_provider.channels.app.content import texts_of
from push_provider.exceptions import ContentError

if TYPE_CHECKING:
    from push_provider.channels.app.content import AppContent, Marks, Options

PAYLOAD_BYTES = 4096
"""Octets of notification and data (https://firebase.google.com/docs/cloud-messaging/customize-messages/set-message-type)."""
_RESERVED = ("from", "message_type", "collapse_key")
_RESERVED_STARTS = ("google.", "gcm.")


def check(content: AppContent) -> None:
    """Refuse what FCM has for nobody.

    :raises ContentError: of an account or an alias, or of data that has a name of FCM's own.
    """
    if content.options.target != "device":
        raise ContentError(
            f"target: is {content.options.target!r}; FCM knows devices alone, by their registration tokens"
        )
    for name in content.data_names:
        if name in _RESERVED or name.startswith(_RESERVED_STARTS):
            raise ContentError(f"data: has {name!r}, a name of FCM's own; take another")


def fcm_message(message: Mapping[str, Any], to: str, marks: Marks, options: Options, now: datetime) -> dict[str, Any]:
    """One recipient's message.

    :param message: as :class:`~push_provider.channels.app.content.AppContent` renders it.
    :param to: the registration token.
    :param marks: of the message: a second notification of this name takes the first one's place on the phone.
    :param now: when it is sent, for the moment at which it expires.
    :raises ContentError: it is larger than FCM takes.
    """
    service = options.category == "service"
    shown = options.kind == "notification"
    key = marks.key
    data = texts_of(message.get("data") or {}) | {"push_id": key, **marks.link}
    if link := message.get("link"):
        data["link"] = link
    made: dict[str, Any] = {"token": to}
    # No collapse_key: FCM keeps four different ones for a phone that is off, and a hundred messages without
    # (https://firebase.google.com/docs/cloud-messaging/customize-messages/collapsible-message-types).
    android: dict[str, Any] = {"priority": "HIGH" if service else "NORMAL"}
    headers = {"apns-collapse-id": key, "apns-priority": "10" if service and shown else "5"}
    aps: dict[str, Any] = {}
    if shown:
        made["notification"] = {"title": message["title"], "body": message["content"]}
        notification: dict[str, Any] = {"tag": key}
        if options.android_channel:
            notification["channel_id"] = options.android_channel
        if options.sound:
            notification["sound"] = aps["sound"] = options.sound
        elif options.ios_interruption != "passive":
            # An iPhone is silent without it; Android phones have the sound of the notification channel
            # (https://developer.apple.com/documentation/usernotifications/generating-a-remote-notification).
            aps["sound"] = "default"
        if options.badge is not None:
            notification["notification_count"] = aps["badge"] = options.badge
        if options.ios_interruption:
            aps["interruption-level"] = options.ios_interruption
        android["notification"] = notification
    else:
        data |= {name: message[name] for name in ("title", "content") if message.get(name)}
        headers["apns-push-type"] = "background"
        aps["content-available"] = 1
    if options.ttl is not None:
        android["ttl"] = f"{options.ttl:g}s"
        headers["apns-expiration"] = str(int((now + timedelta(seconds=options.ttl)).astimezone(UTC).timestamp()))
    size = len(written.dumps([made.get("notification"), data]).encode())
    if size > PAYLOAD_BYTES:
        raise ContentError(f"the message has {size} bytes as JSON; FCM takes at most {PAYLOAD_BYTES}")
    apns = {"headers": headers, "payload": {"aps": aps}}
    return {"message": {**made, "data": data, "android": android, "apns": apns}}
