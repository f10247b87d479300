"""How the time of a piece of work grows with its size: what a test of it may ask on any machine, however slow."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

FACTOR = 4
LINEAR = 9.0
"""Below this the work is linear, or nearly: ``FACTOR`` times the work takes 4 times as long, and 16 times where it is
quadratic."""


def growth(work: Callable[[int], object], size: int, clock: Callable[[], float] = time.process_time) -> float:
    """How many times as long ``FACTOR`` times as much takes.

    :param work: does as much as it is told, in this thread; called several times with either size, since what the
        machine does meanwhile only ever adds.
    :param size: the smaller size, large enough for some milliseconds.
    :param clock: by default what this process computes, whatever others do.
    """
    small = large = float("inf")
    gc.disable()  # what it takes depends on all that other tests have left
    try:
        for _ in range(5):
            small = min(small, _seconds(work, size, clock))
            large = min(large, _seconds(work, FACTOR * size, clock))
            if large < LINEAR * small:
                break
    finally:
        gc.enable()
    return large / small


def _seconds(work: Callable[[int], object], size: int, clock: Callable[[], float]) -> float:
    began = clock()
    work(size)
    return clock() - began
