"""The ledger's note of default configurations: one a channel, and changed by one at a time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING

from push_provider.ledger import defaults
from push_provider.ledger.defaults import Default

if TYPE_CHECKING:
    from sqlalchemy import Engine


def test_none_is_noted_in_a_fresh_ledger(ledger: Engine) -> None:
    assert defaults.of(ledger, "email") is None
    assert defaults.every(ledger) == {}


def test_one_a_channel(ledger: Engine) -> None:
    with defaults.changing(ledger) as connection:
        defaults.put(connection, "email", Default("my-qq", stored=True))
        defaults.put(connection, "sms", Default("vaulted", stored=False))
        defaults.put(connection, "email", Default("my-163", stored=True))
        assert defaults.within(connection)["email"].config == "my-163"
    assert defaults.of(ledger, "email") == "my-163"
    assert defaults.every(ledger) == {"email": Default("my-163", stored=True), "sms": Default("vaulted", stored=False)}
    with defaults.changing(ledger) as connection:
        defaults.put(connection, "email", None)
        defaults.put(connection, "email", None)
    assert defaults.of(ledger, "email") is None
    assert defaults.of(ledger, "sms") == "vaulted"


def test_changes_wait_for_each_other(ledger: Engine) -> None:
    barrier = Barrier(4)

    def change(number: int) -> str:
        barrier.wait()
        with defaults.changing(ledger) as connection:
            before = defaults.within(connection).get("sms")
            defaults.put(connection, "sms", Default(f"c{number}", stored=True))
            return before.config if before else "none"

    with ThreadPoolExecutor(4) as pool:
        seen = list(pool.map(change, range(4)))
    # Each has seen what the one before it wrote: nobody worked on what another was changing.
    assert sorted([*seen, str(defaults.of(ledger, "sms"))]) == ["c0", "c1", "c2", "c3", "none"]
