"""What is published on the sandbox's Centrifugo: channels with their history, and who listens to each.

As Centrifugo's memory engine has it: each publication of a channel has the next offset, an epoch says since when
offsets count, and a key that came before gives the position that it gave then.
"""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from sandbox.centrifugo_account import HISTORY_SIZE, HISTORY_TTL

if TYPE_CHECKING:
    import msgspec

KEYS_SECONDS = 300.0
"""How long a key is known (``defaultIdempotentResultExpireSeconds`` of centrifuge's memory broker)."""
KEPT = 1000
"""Publications that the sandbox's page shows."""


class Position(NamedTuple):
    """A place in a channel's stream."""

    offset: int
    epoch: str


class Published(NamedTuple):
    """A publication.

    :param data: JSON, as it came.
    :param at: seconds since 1970.
    """

    channel: str
    offset: int
    data: msgspec.Raw
    at: float

    def as_json(self) -> dict[str, Any]:
        """As clients get it."""
        return {"offset": self.offset, "data": self.data}


class Listener(Protocol):
    """Somebody who has subscribed."""

    def push(self, publication: Published) -> None:
        """Take a publication."""


class Streams:
    """The channels. For one thread.

    :param history_ttl: seconds that publications are kept; 0 keeps none.
    :param history_size: how many of a channel.
    :param clock: seconds since 1970.
    """

    def __init__(
        self,
        *,
        history_ttl: float = HISTORY_TTL,
        history_size: int = HISTORY_SIZE,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.history_ttl = history_ttl
        self.history_size = history_size
        self._clock = clock
        self.latest: deque[Published] = deque(maxlen=KEPT)
        """Of all channels, oldest first."""
        self.version = 0
        """Grows with each publication, and whenever somebody comes or goes."""
        self._epoch = secrets.token_hex(2)
        self._tops: dict[str, int] = {}
        self._kept: dict[str, deque[Published]] = {}
        self._keys: OrderedDict[tuple[str, str], tuple[float, Position]] = OrderedDict()
        self._listeners: dict[str, dict[Listener, None]] = {}

    @property
    def keeps(self) -> bool:
        """Whether there is a history."""
        return self.history_size > 0 and self.history_ttl > 0

    def publish(self, channel: str, data: msgspec.Raw, key: str = "") -> Position:
        """Publish, unless the key came before; where it then stands."""
        now = self._clock()
        self._forget_keys(now)
        if key and (known := self._keys.get((channel, key))):
            return known[1]
        offset = self._tops.get(channel, 0) + 1 if self.keeps else 0
        publication = Published(channel, offset, data, now)
        position = Position(offset, self._epoch if self.keeps else "")
        if self.keeps:
            self._tops[channel] = offset
            self._kept.setdefault(channel, deque(maxlen=self.history_size)).append(publication)
        if key:
            self._keys[channel, key] = (now + KEYS_SECONDS, position)
        self.latest.append(publication)
        self.version += 1
        for listener in tuple(self._listeners.get(channel, ())):
            listener.push(publication)
        return position

    def top(self, channel: str) -> Position:
        """Where the stream of a channel stands."""
        return Position(self._tops.get(channel, 0), self._epoch)

    def history(self, channel: str, since: Position | None = None) -> list[Published]:
        """What is kept of a channel, beyond a position if one is given."""
        kept = self._kept.get(channel, deque())
        while kept and kept[0].at + self.history_ttl <= self._clock():
            kept.popleft()
        return [one for one in kept if since is None or one.offset > since.offset]

    def missed(self, channel: str, since: Position, limit: int) -> list[Published] | None:
        """All that was published after a position; None if that cannot be told any more, or is too much."""
        top, found = self.top(channel), self.history(channel, since)
        if since.epoch not in ("", top.epoch) or len(found) > limit:
            return None
        if not found:
            return [] if top.offset == since.offset else None
        return found if found[0].offset == since.offset + 1 else None

    def listen(self, channel: str, listener: Listener) -> None:
        """Have somebody told of what is published."""
        self._listeners.setdefault(channel, {})[listener] = None
        self.version += 1

    def leave(self, channels: Iterable[str], listener: Listener) -> None:
        """Tell somebody no more."""
        for channel in channels:
            there = self._listeners.get(channel, {})
            there.pop(listener, None)
            self.version += 1
            if not there:
                self._listeners.pop(channel, None)

    def listeners(self) -> dict[str, int]:
        """How many listen to each channel that anybody listens to."""
        return {channel: len(there) for channel, there in self._listeners.items()}

    def _forget_keys(self, now: float) -> None:
        while self._keys:
            name, (until, _) = next(iter(self._keys.items()))
            if until > now:
                break
            del self._keys[name]
