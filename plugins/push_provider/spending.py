"""What each caller has had lately of something that is short, so that those who had little of it go first."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_NAMES = 1000
"""Callers after which those of whom nothing is left are forgotten."""


def fading(kept: float, least: float) -> Callable[[float, float], float]:
    """What is left of something had, as :class:`Spending` asks: each second so much of it, and nothing of very little.

    :param kept: of all, a second later; 0 to 1.
    :param least: as much or less is nothing.
    """

    def left(had: float, seconds: float) -> float:
        rest = had * kept**seconds
        return rest if rest > least else 0.0

    return left


class Spending:
    """Seconds by caller. Any thread may use it.

    :param left: what is left of so many seconds after so many others.
    :param clock: monotonic, in seconds.
    """

    def __init__(self, left: Callable[[float, float], float], clock: Callable[[], float] = time.monotonic) -> None:
        self._left = left
        self._clock = clock
        self._spent: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def of(self, name: str | None) -> float:
        """What somebody has had; whoever has no name has had nothing."""
        if name is None:
            return 0.0
        spent, then = self._spent.get(name, (0.0, 0.0))
        return self._left(spent, self._clock() - then)

    def add(self, name: str | None, seconds: float) -> None:
        """Note what somebody had."""
        if name is None:
            return
        with self._lock:
            if len(self._spent) > _NAMES:
                self._spent = {one: self._spent[one] for one in self._spent if self.of(one)}
            self._spent[name] = (self.of(name) + seconds, self._clock())
