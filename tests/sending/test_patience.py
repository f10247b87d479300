"""How long the ledger is waited for, on a clock of the test's own."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from push_provider.exceptions import ExecutionTaken, LedgerUnavailable
from push_provider.sending.patience import Patience


class Clock:
    """Time that passes only while somebody sleeps."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def away_until(clock: Clock, moment: float, error: Exception | None = None) -> Callable[[], str]:
    def call() -> str:
        if clock.now < moment:
            raise error or LedgerUnavailable("away")
        return "here"

    return call


@pytest.mark.parametrize("seconds", [0.0, 0.05, 3.0, 599.0])
def test_an_outage_is_waited_for(clock: Clock, caplog: pytest.LogCaptureFixture, seconds: float) -> None:
    patience = Patience(600, clock=clock, sleep=clock.sleep)
    with caplog.at_level(logging.INFO):
        assert patience(away_until(clock, 1000 + seconds)) == "here"
    assert seconds <= clock.now - 1000 <= seconds + 1
    assert ("is back after" in caplog.text) == (seconds > 0)
    # Often enough to be seen, and not with each attempt.
    assert len(caplog.records) <= 2 + seconds / 30


def test_it_has_an_end_and_says_what_to_change(clock: Clock) -> None:
    patience = Patience(600, clock=clock, sleep=clock.sleep)
    never = away_until(clock, 1e9)
    with pytest.raises(LedgerUnavailable, match=r"away.*600 seconds \(\[push\] ledger_patience\)"):
        patience(never)
    assert clock.now == 1600
    with pytest.raises(LedgerUnavailable):
        patience(never)  # it is the same outage
    assert clock.now == 1600


def test_the_next_outage_has_its_own_time(clock: Clock) -> None:
    patience = Patience(600, clock=clock, sleep=clock.sleep)
    for _ in range(3):
        assert patience(away_until(clock, clock.now + 500)) == "here"


def test_one_who_has_no_patience_tries_once(clock: Clock) -> None:
    with pytest.raises(LedgerUnavailable):
        Patience(0, clock=clock, sleep=clock.sleep)(away_until(clock, 1e9))
    assert clock.now == 1000


@pytest.mark.parametrize(
    "error", [LedgerUnavailable("run 'airflow push migrate'", passes=False), ExecutionTaken("no"), ValueError("no")]
)
def test_what_does_not_pass_is_not_waited_for(clock: Clock, error: Exception) -> None:
    with pytest.raises(type(error)) as raised:
        Patience(600, clock=clock, sleep=clock.sleep)(away_until(clock, 1e9, error))
    assert raised.value is error
    assert clock.now == 1000


def test_somebody_is_asked_before_each_pause(clock: Clock) -> None:
    asked: list[float] = []
    patience = Patience(10, clock=clock, sleep=clock.sleep)
    patience(away_until(clock, 1005), meanwhile=lambda: asked.append(clock.now))
    assert asked[0] == 1000
    assert len(asked) >= 5
