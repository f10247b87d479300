"""The ledger is waited for while it is away: what is known of deliveries is recorded when it is back."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from push_provider.exceptions import LedgerUnavailable

log = logging.getLogger(__name__)

_PAUSES = (0.1, 0.2, 0.5, 1.0)
"""Seconds between two attempts; the last one holds for all further ones."""
_TOLD = 30.0
"""Seconds between two lines of the log."""
_Answer = TypeVar("_Answer")


class Patience:
    """Calls the ledger, again and again while it is away. A database that restarts or fails over costs a wait.

    :param seconds: how long at the longest; once they are over, calls are made once until one succeeds.
    :param clock: seconds on a clock that only goes forward.
    :param sleep: waits so many seconds.
    """

    def __init__(
        self,
        seconds: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._seconds = seconds
        self._clock = clock
        self._sleep = sleep
        self._away: float | None = None
        """Since when the ledger is away."""

    def __call__(self, call: Callable[[], _Answer], *, meanwhile: Callable[[], object] = lambda: None) -> _Answer:
        """Call the ledger.

        :param call: may be called again after it came true unheard: its answer is what gets lost when a database ends.
        :param meanwhile: is called before each pause.
        :raises LedgerUnavailable: it was away for too long, or waiting changes nothing.
        """
        attempts = 0
        told = self._clock()
        while True:
            try:
                answer = call()
            except LedgerUnavailable as error:
                now = self._clock()
                if self._away is None:
                    self._away = now
                waited = now - self._away
                if not error.passes:
                    raise
                if waited >= self._seconds:
                    words = f"{error}. It was waited for, {waited:.0f} seconds ([push] ledger_patience)"
                    raise LedgerUnavailable(words) from error
                if not attempts or now - told >= _TOLD:
                    told = now
                    log.warning("%s. It is waited for, %.0f seconds at most", error, self._seconds - waited)
                meanwhile()
                self._sleep(min(_PAUSES[min(attempts, len(_PAUSES) - 1)], self._seconds - waited))
                attempts += 1
                continue
            if self._away is not None:
                log.info("The ledger is back after %.1f seconds", self._clock() - self._away)
                self._away = None
            return answer
