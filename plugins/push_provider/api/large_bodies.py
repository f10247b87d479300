"""Large bodies, of which few are worked on at a time: Airflow's tasks report to this process, and must be heard.

There are two lines, so that nobody with some hundred recipients waits behind somebody with a million. In each, whoever
has had the least of the places lately is next, in whatever order they came.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from push_provider.api.problems import Problem
from push_provider.rendering.processes import Gone
from push_provider.spending import Spending, fading

LONG = 8 * 1024
"""Bytes from which on a body waits in a line: some milliseconds of work, of which many at once are too many."""
LARGE = 256 * 1024
"""Bytes from which on it is the line of the large ones: some 50 ms, as measured with addresses; 16 MiB are four
seconds."""
TURN = 0.0005
"""Seconds for which a thread may compute while another waits: a tenth of what Python begins with. With twenty threads
that compute, the event loop's turn came after 57 ms (95th percentile: 534), and comes after 8 (60); no less is done."""
_PATIENCE = 30.0
"""Seconds to wait for a place."""
_LONG_WAITING = 64
_LARGE_WAITING = 16
"""Bodies that wait at most in each line: they are in memory meanwhile."""
_KEPT = 0.98
"""Of the time that a caller has had places, how much still counts a second later; half a minute on, it is half."""
_NOTHING = 0.01
"""Seconds that do not count."""
_RETRY_SECONDS = 10
_PUT_OFF_SECONDS = 60.0
"""For so long at most: where one large body follows on the other, garbage must not pile up."""
_NEVER = 1_000_000_000


def take_short_turns() -> None:
    """Let no thread of this process compute for longer than :data:`TURN` while another waits."""
    sys.setswitchinterval(min(sys.getswitchinterval(), TURN))


def keep_what_is_there() -> None:
    """Let no collection of garbage look at what this process has now, which is there to stay.

    Airflow's modules are half a million objects: a full collection, during which nothing else runs, took 0.3 s alone.
    """
    gc.freeze()


class _Waiting(NamedTuple):
    caller: str
    turn: asyncio.Future[None]


class Line:
    """Places for bodies, and whoever waits for one. Belongs to one event loop.

    :param places: how many are worked on at a time.
    :param patience: seconds to wait for a place.
    :param waiting: how many wait at most; of one more the caller who has had the most is sent away.
    :param clock: seconds.
    """

    def __init__(
        self,
        places: int,
        patience: float = _PATIENCE,
        waiting: int = _LARGE_WAITING,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._free = places
        self._patience = patience
        self._room = waiting
        self._clock = clock
        self._waiting: list[_Waiting] = []
        self._had = Spending(fading(_KEPT, _NOTHING), clock)

    @asynccontextmanager
    async def place(self, caller: str, gone: Callable[[], Awaitable[object]] | None = None) -> AsyncIterator[None]:
        """Take a place for a caller.

        :param gone: returns when the caller has hung up; asked only if they must wait.
        :raises Problem: 503, too many wait, or they have waited for too long; nothing was done.
        :raises Gone: the caller has hung up.
        """
        if self._free:
            self._free -= 1
        else:
            await self._wait(caller, gone)
        began = self._clock()
        try:
            yield
        finally:
            self._had.add(caller, self._clock() - began)
            self._pass_on()

    async def _wait(self, caller: str, gone: Callable[[], Awaitable[object]] | None) -> None:
        """Wait for a place that is passed on to this caller."""
        waiter = _Waiting(caller, asyncio.get_running_loop().create_future())
        self._waiting.append(waiter)
        if len(self._waiting) > self._room:
            most = max(self._waiting, key=lambda one: self._had.of(one.caller))
            self._waiting.remove(most)
            most.turn.set_exception(_busy())
        left = asyncio.ensure_future(gone()) if gone else None
        either: set[asyncio.Future[Any]] = {waiter.turn} if left is None else {waiter.turn, left}
        try:
            await asyncio.wait(either, timeout=self._patience, return_when=asyncio.FIRST_COMPLETED)
            if not waiter.turn.done():
                raise Gone if left is not None and left.done() else _busy()
            await waiter.turn
        except BaseException:
            self._withdraw(waiter)
            raise
        finally:
            if left is not None:
                left.cancel()

    def _withdraw(self, waiter: _Waiting) -> None:
        if waiter in self._waiting:
            self._waiting.remove(waiter)
        elif waiter.turn.done() and not waiter.turn.cancelled() and waiter.turn.exception() is None:
            self._pass_on()  # it came when nobody wanted it any more

    def _pass_on(self) -> None:
        if self._waiting:
            least = min(self._waiting, key=lambda one: self._had.of(one.caller))  # of several the first
            self._waiting.remove(least)
            least.turn.set_result(None)
        else:
            self._free += 1


class Collections:
    """Puts full collections of garbage off while large bodies are being read.

    Each looks at every object that there is, and nothing else runs meanwhile: in the reading of 280,000 recipients
    three, of 1.1 to 1.5 s, half of its time. Young garbage is collected as ever.
    """

    def __init__(self) -> None:
        self._held = 0
        self._since = 0.0
        self._thresholds = gc.get_threshold()

    def __enter__(self) -> None:
        if not self._held:
            self._since = time.monotonic()
            self._thresholds = gc.get_threshold()
            gc.set_threshold(*self._thresholds[:2], _NEVER)
        self._held += 1

    def __exit__(self, *_: object) -> None:
        self._held -= 1
        if not self._held or time.monotonic() - self._since > _PUT_OFF_SECONDS:
            gc.set_threshold(*self._thresholds)


class Bodies:
    """Places for bodies of every size.

    :param long: the line of those that are :data:`LONG`.
    :param large: the line of those that are :data:`LARGE`.
    """

    def __init__(self, long: Line | None = None, large: Line | None = None) -> None:
        self._long = long or Line(2, waiting=_LONG_WAITING)
        self._large = large or Line(1)
        self._collections = Collections()

    @asynccontextmanager
    async def place(
        self, size: int, caller: str, gone: Callable[[], Awaitable[object]] | None = None
    ) -> AsyncIterator[None]:
        """Take a place for a body of this size, if it takes long; what is raised is of :meth:`Line.place`."""
        if size < LONG:
            yield
        elif size < LARGE:
            async with self._long.place(caller, gone):
                yield
        else:
            async with self._large.place(caller, gone):
                with self._collections:
                    yield


def _busy() -> Problem:
    return Problem(
        503,
        "busy",
        "Other large requests are being worked on, and nothing of this one was done. Send it again in a moment, or in "
        "smaller parts.",
        retry_after=_RETRY_SECONDS,
    )


bodies = Bodies()
