"""Devices as the sandbox's page shows them: open pages and phones; what each got, and its acknowledgements.

A device is ``user/<id>``, a user of Centrifugo's, or ``phone/<target>``, whom app push names: a device, an account or
an alias. Nothing is kept here but which messages were acknowledged: the messages are the streams' and the app store's.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from sandbox.centrifugo_account import NAMESPACE

if TYPE_CHECKING:
    from sandbox.app_store import AppMessage, AppStore
    from sandbox.centrifugo_streams import Published, Streams

_USERS = f"{NAMESPACE}:#"
"""How the channels of users begin."""
_SHOWN = 200
"""Messages of one device that are shown."""
_SECONDS = 10.0


class Got(NamedTuple):
    """A message that a device got.

    :param device: ``user/…`` or ``phone/…``.
    :param link: by which it is acknowledged; None if it has none.
    """

    device: str
    id: str
    at: datetime
    title: str
    body: str
    format: str
    data: Any
    link: str | None


class Devices:
    """What pages and phones have got.

    :param streams: of Centrifugo.
    :param phones: of app push.
    """

    def __init__(self, streams: Streams, phones: AppStore) -> None:
        self._streams = streams
        self._phones = phones
        self._answers: dict[str, int] = {}
        """What the acknowledgement of each message was answered, by the message's id."""
        self._asked = 0

    @property
    def version(self) -> str:
        """A text that is another one whenever there is something new."""
        return f"{self._streams.version}-{self._phones.version}-{self._asked}"

    def find(self, *, text: str = "", limit: int = 100, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
        """Devices that have got something, whoever got it last first, and how many there are.

        :param text: a part of the device's name, in any case.
        """
        found: dict[str, list[Got]] = {}
        for one in sorted(self._got(), key=lambda one: one.at, reverse=True):
            found.setdefault(one.device, []).append(one)
        wanted = text.casefold()
        items = [self._summary(name, got) for name, got in found.items() if wanted in name.casefold()]
        return items[offset : offset + limit], len(items)

    def get(self, device: str) -> dict[str, Any] | None:
        """One device with the newest that it got, newest first; None if there can be none of this name."""
        kind, _, name = device.partition("/")
        if kind not in ("user", "phone") or not name:
            return None
        got = sorted((one for one in self._got() if one.device == device), key=lambda one: one.at, reverse=True)
        shown = [
            {
                "id": one.id,
                "at": _moment(one.at),
                "title": one.title,
                "body": one.body,
                "format": one.format,
                "data": one.data,
                "can_acknowledge": one.link is not None,
                "answer": self._answers.get(one.id),
            }
            for one in islice(got, _SHOWN)
        ]
        return {**self._summary(device, got), "messages": shown}

    def acknowledge(self, device: str, message: str) -> int | None:
        """Use the link of a message, as the page or the app that got it would. To be called in a thread.

        :returns: the status that was answered, 0 for none at all; None if there is no such message or link.
        """
        link = next((one.link for one in self._got() if one.device == device and one.id == message), None)
        if link is None or not link.startswith(("http://", "https://")):
            return None
        try:
            with urllib.request.urlopen(urllib.request.Request(link, method="POST"), timeout=_SECONDS) as answer:
                status: int = answer.status
        except urllib.error.HTTPError as error:
            status = error.code
        except OSError:
            status = 0
        self._answers[message] = status
        self._asked += 1
        return status

    def _summary(self, device: str, got: list[Got]) -> dict[str, Any]:
        kind, _, name = device.partition("/")
        newest = got[0] if got else None
        return {
            "id": device,
            "kind": kind,
            "name": name,
            "at": _moment(newest.at) if newest else None,
            "title": (newest.title or newest.body) if newest else "",
            "count": len(got),
            "acknowledged": sum(self._answers.get(one.id) == 204 for one in got),
            "connected": kind == "user" and _USERS + name in self._streams.listeners(),
        }

    def _got(self) -> Iterator[Got]:
        for published in tuple(self._streams.latest):
            if published.channel.startswith(_USERS):
                yield _of_stream(published)
        for message in self._phones.all():
            yield _of_phone(message)


def _of_stream(published: Published) -> Got:
    data = msgspec.json.decode(published.data)
    known: Mapping[str, Any] = data if isinstance(data, dict) else {"data": data}
    return Got(
        device=f"user/{published.channel.removeprefix(_USERS)}",
        id=str(known.get("id") or f"{published.channel}-{published.offset}"),
        at=datetime.fromtimestamp(published.at, UTC),
        title=str(known.get("title") or ""),
        body=str(known.get("content") or ""),
        format=str(known.get("format") or "text"),
        data=known.get("data"),
        link=_text(known.get("acknowledge")),
    )


def _of_phone(message: AppMessage) -> Got:
    own = _app_data(message)
    return Got(
        device=f"phone/{message.to}",
        id=message.id,
        at=message.at,
        title=message.title,
        body=str(own.get("content") or message.body) if message.kind == "message" else message.body,
        format="text",
        data={name: value for name, value in own.items() if name not in ("acknowledge", "content", "title")} or None,
        link=_text(own.get("acknowledge")),
    )


def _app_data(message: AppMessage) -> dict[str, Any]:
    """What the app itself gets, as its vendor hands it over."""
    raw = message.raw
    if message.vendor == "fcm":
        found = raw.get("data")
    elif message.kind == "message":
        found = _json(message.body)
    else:
        found = _json((raw.get("Notification") or {}).get("Android", {}).get("ExtParameters"))
    return found if isinstance(found, dict) else {}


def _json(text: Any) -> Any:
    try:
        return json.loads(text)
    except (TypeError, ValueError):
        return None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
