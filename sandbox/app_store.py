"""The messages that the sandbox's app push has taken: in memory, the newest of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any


@dataclass(frozen=True, slots=True)
class AppMessage:
    """One message to one target.

    :param id: the vendor's name of it.
    :param vendor: ``aliyun`` or ``fcm``.
    :param app: the app's key there, or its project.
    :param target: ``device``, ``account`` or ``alias``.
    :param to: which one.
    :param kind: ``notification`` or ``message``.
    :param raw: the message as the vendor's API got it.
    """

    id: str
    at: datetime
    vendor: str
    app: str
    target: str
    to: str
    kind: str
    title: str
    body: str
    raw: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """As the page's API gives it; the time as RFC 3339."""
        at = self.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {**asdict(self), "at": at}


class AppStore:
    """What phones have got, newest first.

    :param keep: how many; the oldest give way.
    :param clock: the present moment.
    """

    def __init__(self, keep: int = 10_000, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.clock = clock
        self.version = 0
        """Grows with each change."""
        self._keep = keep
        self._messages: dict[str, AppMessage] = {}
        self._taken = 0

    def name(self) -> str:
        """A new name of a message, in digits, as Aliyun's are."""
        self._taken += 1
        return str(109_000_000_000_000_000 + self._taken)

    def add(self, message: AppMessage) -> None:
        """Keep one."""
        self._messages[message.id] = message
        self.version += 1
        if len(self._messages) > self._keep:
            del self._messages[next(iter(self._messages))]

    def get(self, name: str) -> AppMessage | None:
        """The one of this id."""
        return self._messages.get(name)

    def all(self) -> list[AppMessage]:
        """All of them, oldest first."""
        return list(self._messages.values())

    def find(self, *, to: str = "", text: str = "", limit: int = 100, offset: int = 0) -> tuple[list[AppMessage], int]:
        """The newest, and how many there are.

        :param to: a part of the target.
        :param text: a part of anything that the message has.
        """
        wanted = text.casefold()
        found = [
            one
            for one in reversed(self._messages.values())
            if to in one.to
            and (not wanted or wanted in json.dumps(one.as_json(), ensure_ascii=False, default=str).casefold())
        ]
        return list(islice(found, offset, offset + limit)), len(found)

    def clear(self) -> int:
        """Remove all; how many there were."""
        count = len(self._messages)
        self._messages.clear()
        self.version += 1
        return count
