"""In which portions, and with which rests, upkeep is done."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from push_provider.exceptions import LedgerUnavailable
from push_provider.upkeep.portions import Portions, Step

if TYPE_CHECKING:
    from collections.abc import Callable

ENGINE: Any = object()


class Time:
    """A time that passes as it is told to."""

    def __init__(self) -> None:
        self.now = 0.0
        self.rests: list[float] = []

    def clock(self) -> float:
        return self.now

    def rest(self, seconds: float) -> None:
        self.rests.append(seconds)
        self.now += seconds

    def portions(self, seconds: float) -> Portions:
        return Portions(seconds, self.clock, self.rest)

    def work(self, *, left: int, took: float) -> Callable[[Any, int], int]:
        """There is so much to do, and each portion takes so long."""
        some = [left]

        def portion(engine: Any, size: int) -> int:
            assert engine is ENGINE
            done = min(size, some[0])
            some[0] -= done
            self.now += took if done else 0
            return done

        return portion


def test_all_is_done_and_each_portion_followed_by_a_rest_as_long() -> None:
    time = Time()
    step = Step("things dropped", time.work(left=25, took=0.5), 10)
    assert time.portions(60).do(ENGINE, [step]) == {"things dropped": 25}
    assert time.rests == [0.5] * 3


def test_no_portion_is_begun_when_the_time_is_over(caplog: pytest.LogCaptureFixture) -> None:
    time = Time()
    step = Step("things dropped", time.work(left=1000, took=1), 10)
    with caplog.at_level(logging.INFO, "push_provider"):
        assert time.portions(20).do(ENGINE, [step]) == {"things dropped": 100}
    assert "things dropped: 100, and more are left for the next time" in caplog.text
    assert time.now == 20


def test_what_never_ends_leaves_the_others_their_share_and_what_ends_soon_its_own() -> None:
    time = Time()
    steps = [
        Step("short", time.work(left=10, took=1), 10),
        Step("endless", time.work(left=10**6, took=1), 10),
        Step("last", time.work(left=10**6, took=1), 10),
    ]
    counts = time.portions(62).do(ENGINE, steps)
    assert counts == {"short": 10, "endless": 150, "last": 150}


def test_one_that_fails_leaves_the_others(caplog: pytest.LogCaptureFixture) -> None:
    time, done = Time(), []

    def away(_engine: Any, _size: int) -> int:
        raise LedgerUnavailable("The ledger's database cannot be used")

    def last(_engine: Any, size: int) -> int:
        done.append(size)
        return 0

    with pytest.raises(LedgerUnavailable), caplog.at_level(logging.WARNING, "push_provider"):
        time.portions(60).do(ENGINE, [Step("first", away, 1), Step("second", last, 7)])
    assert done == [7]
    assert "first: broken off by LedgerUnavailable" in caplog.text
