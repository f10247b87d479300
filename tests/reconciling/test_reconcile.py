"""When a pass is made, and by whom; tests/e2e/trouble/test_reconcile.py tries what it does on the running platform."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from push_provider.exceptions import LedgerUnavailable
from push_provider.ledger.engine import transaction
from push_provider.reconciling.reconciler import Reconciler

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Engine

LOCK = 0x72656361


class Clock:
    """A clock that each look takes further."""

    def __init__(self, step: float) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


class Passes(Reconciler):
    """Counts passes in place of making them."""

    def __init__(self, ledger: Engine, clock: Clock) -> None:
        super().__init__(lambda: ledger, None, clock)  # type: ignore[arg-type]
        self.made = 0
        self.fault: Exception | None = None

    def _steps(self, engine: Engine) -> Sequence[Callable[[], None]]:
        return self._fails, self._counts

    def _fails(self) -> None:
        if self.fault:
            raise self.fault

    def _counts(self) -> None:
        self.made += 1


@pytest.mark.parametrize(("took", "pause"), [(0.01, 0.3), (0.5, 15.0), (20.0, 30.0)])
def test_a_pause_is_as_long_as_the_pass_asks_for(ledger: Engine, took: float, pause: float) -> None:
    clock = Clock(took)
    passes = Passes(ledger, clock)
    passes()
    assert passes.made == 1
    clock.step = 0
    ended = clock.now
    clock.now = ended + 0.9 * pause
    passes()
    assert passes.made == 1
    clock.now = ended + 1.1 * pause
    passes()
    assert passes.made == 2


def test_one_process_at_a_time(ledger: Engine) -> None:
    passes = Passes(ledger, Clock(0))
    with transaction(ledger) as other:
        other.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
        passes()
        assert passes.made == 0
    passes()
    assert passes.made == 1


def test_a_step_that_fails_leaves_the_others_and_is_made_again(ledger: Engine) -> None:
    passes = Passes(ledger, Clock(0.01))
    passes.fault = LedgerUnavailable("away")
    with pytest.raises(LedgerUnavailable):
        passes()
    assert passes.made == 1
    passes.fault = None
    passes()
    assert passes.made == 2
