"""Who has had how much lately."""

from __future__ import annotations

import pytest

from push_provider.spending import Spending


@pytest.fixture
def now() -> list[float]:
    return [100.0]


@pytest.fixture
def spending(now: list[float]) -> Spending:
    """A second of each is forgotten in a second."""
    return Spending(lambda spent, seconds: max(0.0, spent - seconds), lambda: now[0])


def test_it_adds_up_and_is_forgotten_for_each(now: list[float], spending: Spending) -> None:
    spending.add("ann", 5)
    now[0] += 2
    spending.add("ann", 5)
    spending.add("bob", 1)
    assert (spending.of("ann"), spending.of("bob"), spending.of("eve")) == (8, 1, 0)
    now[0] += 3
    assert (spending.of("ann"), spending.of("bob")) == (5, 0)


def test_nobody_has_had_nothing(spending: Spending) -> None:
    spending.add(None, 5)
    assert spending.of(None) == 0


def test_of_many_those_of_whom_nothing_is_left_take_no_room(now: list[float], spending: Spending) -> None:
    for number in range(2000):
        spending.add(f"one {number}", 1)
        now[0] += 0.5
    assert len(spending._spent) <= 1001
    spending.add("ann", 50)
    for number in range(2000):
        spending.add(f"two {number}", 0.001)
        now[0] += 0.001
    assert spending.of("ann") == pytest.approx(48)
