"""Large bodies, of which few are worked on at a time: Airflow's tasks report to this process, and must be heard."""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from push_provider.api.problems import Problem

LARGE = 256 * 1024
"""Bytes from which on a body counts: some 50 ms of work, as measured with addresses; 16 MiB are four seconds."""
_PLACES = 2
"""Each thread that computes lets the event loop wait for up to :data:`TURN` at each of its own turns."""
TURN = 0.0005
"""Seconds for which a thread may compute while another waits: a tenth of what Python begins with. With twenty threads
that compute, the event loop's turn came after 57 ms (95th percentile: 534), and comes after 8 (60); no less is done."""
_PATIENCE = 30.0
"""Seconds to wait for a place."""
_WAITING = 16
"""Bodies that wait at most: they are in memory meanwhile."""
_RETRY_SECONDS = 10
_PUT_OFF_SECONDS = 60.0
"""For so long at most: where one large body follows on the other, garbage must not pile up."""
_NEVER = 1_000_000_000


def take_short_turns() -> None:
    """Let no thread of this process compute for longer than :data:`TURN` while another waits."""
    sys.setswitchinterval(min(sys.getswitchinterval(), TURN))


class LargeBodies:
    """Places for large bodies. Belongs to one event loop.

    :param places: how many are worked on at a time.
    :param patience: seconds to wait for a place.
    :param waiting: how many wait at most.
    """

    def __init__(self, places: int = _PLACES, patience: float = _PATIENCE, waiting: int = _WAITING) -> None:
        self._places = asyncio.Semaphore(places)
        self._patience = patience
        self._room = waiting
        self._held = 0
        self._since = 0.0
        self._thresholds = gc.get_threshold()

    @asynccontextmanager
    async def place(self, size: int) -> AsyncIterator[None]:
        """Take a place for a body of this size, if it is large.

        :raises Problem: 503, too many wait, or one has waited for too long; nothing was done.
        """
        if size < LARGE:
            yield
            return
        await self._take()
        self._put_collections_off()
        try:
            yield
        finally:
            self._let_collect()
            self._places.release()

    async def _take(self) -> None:
        if not self._room:
            raise _busy()
        self._room -= 1
        try:
            async with asyncio.timeout(self._patience):
                await self._places.acquire()
        except TimeoutError:
            raise _busy() from None
        finally:
            self._room += 1

    def _put_collections_off(self) -> None:
        """Let no full collection of garbage begin while a large body is being read.

        Each looks at every object that there is, and nothing else runs meanwhile: in the reading of 280,000 recipients
        three, of 1.1 to 1.5 s, half of its time. Young garbage is collected as ever.
        """
        if not self._held:
            self._since = time.monotonic()
            self._thresholds = gc.get_threshold()
            gc.set_threshold(*self._thresholds[:2], _NEVER)
        self._held += 1

    def _let_collect(self) -> None:
        self._held -= 1
        if not self._held or time.monotonic() - self._since > _PUT_OFF_SECONDS:
            gc.set_threshold(*self._thresholds)


def _busy() -> Problem:
    return Problem(
        503,
        "busy",
        "Other large requests are being worked on, and nothing of this one was done. Send it again in a moment, or in "
        "smaller parts.",
        retry_after=_RETRY_SECONDS,
    )


large_bodies = LargeBodies()
