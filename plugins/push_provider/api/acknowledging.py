"""Acknowledgements are put on record together: those that come while others are written are the next ones."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from fastapi.concurrency import run_in_threadpool

from push_provider.channels import registry
from push_provider.ledger import acknowledgements
from push_provider.ledger.acknowledgements import Taken
from push_provider.ledger.engine import get_engine
from push_provider.marks import ReceiptMark

_TOGETHER = 500
"""Acknowledgements of one transaction."""
_ADDRESSES = 10_000
"""Callers whose allowance is kept; of the others it is whole again."""


class Desk:
    """Takes acknowledgements. For one event loop."""

    def __init__(self) -> None:
        self._waiting: list[tuple[ReceiptMark, asyncio.Future[Taken]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def take(self, mark: ReceiptMark) -> Taken:
        """Put one on record; what became of it."""
        future: asyncio.Future[Taken] = asyncio.get_running_loop().create_future()
        self._waiting.append((mark, future))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        return await future

    async def _write(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:_TOGETHER], self._waiting[_TOGETHER:]
            try:
                taken: Sequence[Taken | BaseException] = await run_in_threadpool(_take, [mark for mark, _ in batch])
            except Exception as error:  # noqa: BLE001  (each caller is told)
                taken = [error] * len(batch)
            for (_, future), one in zip(batch, taken, strict=True):
                if future.done():  # whoever asked is gone
                    continue
                if isinstance(one, BaseException):
                    future.set_exception(one)
                else:
                    future.set_result(one)


def _take(marks: list[ReceiptMark]) -> list[Taken]:
    return acknowledgements.take(get_engine(), marks, channels=registry.acknowledged(), now=datetime.now(UTC))


class Allowance:
    """How many requests each address may make: a token bucket in this process. For one event loop.

    :param clock: monotonic, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def use(self, address: str, rate: float) -> float:
        """Use up one request.

        :param rate: requests a second that come back, and ten seconds' worth at once.
        :returns: seconds after which there is one again; 0: this one is allowed.
        """
        now = self._clock()
        level, at = self._levels.pop(address, (10 * rate, now))
        level = min(10 * rate, level + (now - at) * rate)
        allowed = level >= 1
        self._levels[address] = (level - allowed, now)
        if len(self._levels) > _ADDRESSES:
            self._levels.popitem(last=False)
        return 0.0 if allowed else (1 - level) / rate
