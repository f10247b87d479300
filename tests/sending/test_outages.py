"""The ledger goes away, or the execution to another process, in the middle of the loop."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from outages import Cutter, Switch, cutting
from scripted import ALL, CHUNK, Scripted, planned, states
from sqlalchemy import create_engine, text

from push_provider.channels.base import Result
from push_provider.channels.email.sender import EmailChannel
from push_provider.exceptions import ExecutionTaken, LedgerUnavailable
from push_provider.ledger import closing
from push_provider.ledger.engine import AS_WRITTEN
from push_provider.ledger.leases import Lease
from push_provider.ledger.sending import claim, held
from push_provider.sending.loop import Sending, Stop
from push_provider.sending.patience import Patience

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from sandbox.postgres import PostgresServer

PATIENCE = 60.0


@pytest.fixture
def switch(postgres: PostgresServer, ledger: Engine) -> Iterator[Switch]:
    name = ledger.url.database
    assert name is not None
    switch = Switch(f"host={postgres.socket} user=postgres dbname=postgres", name)
    yield switch
    switch.on()


@contextmanager
def sending(ledger: Engine, number: int, patience: float = PATIENCE, **lease: Any) -> Iterator[Sending]:
    waits = Patience(patience)
    with held(ledger, "t", number, on_unknown="resend", patience=waits, **lease) as taken:
        yield loop(taken, waits)


def loop(lease: Lease, patience: Patience) -> Sending:
    receipts = {"receipt_after": None}
    return Sending(lease, EmailChannel(), patience=patience, resend=True, receipts=receipts, noted=lambda _: None)


def run(one: Sending, sender: Scripted) -> Stop | None:
    assert one.claim()
    return one.run(sender)


def wait(until: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not until():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize("at", [0, 30, CHUNK - 1, CHUNK, CHUNK + 30, ALL - 1])
def test_what_was_answered_meanwhile_is_on_record_when_it_is_back(ledger: Engine, switch: Switch, at: int) -> None:
    number = planned(ledger)
    sender = Scripted()
    back: list[threading.Timer] = []

    def script(this: int) -> Result:
        if this == at:
            switch.off()
            back.append(threading.Timer(1.0, switch.on))
            back[0].start()
        return Result.SENT

    sender.script = script
    with sending(ledger, number) as one:
        assert run(one, sender) is None
        back[0].join()
    assert states(ledger) == {"sent": ALL}
    assert set(Counter(sender.begun).values()) == {1}


def test_no_more_is_begun_than_was_claimed_while_it_is_away(ledger: Engine, switch: Switch) -> None:
    number = planned(ledger)
    seen: list[int] = []

    def back() -> None:
        wait(lambda: len(sender.begun) >= 2 * CHUNK)
        time.sleep(0.5)  # for what must not happen
        seen.append(len(sender.begun))
        switch.on()

    def script(this: int) -> Result:
        if this == 10:
            # The chunk after this one is claimed: the caller's thread has done so before it listens.
            wait(lambda: states(ledger)["sending"] == 2 * CHUNK)
            switch.off()
            threading.Thread(target=back).start()
        return Result.SENT

    sender = Scripted(script)
    with sending(ledger, number) as one:
        assert run(one, sender) is None
    assert seen == [2 * CHUNK]
    assert states(ledger) == {"sent": ALL}
    assert set(Counter(sender.begun).values()) == {1}


@pytest.mark.parametrize("number", range(1, 10))
def test_a_commit_whose_answer_gets_lost_costs_nobody_a_message(
    ledger: Engine, postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory, number: int
) -> None:
    execution = planned(ledger)
    cutter = Cutter(number)
    with cutting(tmp_path_factory.mktemp("c"), postgres, cutter) as folder:
        url = ledger.url.update_query_dict({"host": str(folder)})
        behind = create_engine(url, pool_pre_ping=True, **AS_WRITTEN)
        sender = Scripted()
        with sending(behind, execution) as one:
            assert run(one, sender) is None
            counts = one._patience(lambda: closing.finish(behind, execution, final=False))
        behind.dispose()
    assert cutter.commits >= number
    assert (counts.sent, counts.pending) == (ALL, 0)
    assert states(ledger) == {"sent": ALL}
    assert set(Counter(sender.begun).values()) == {1}


def test_an_outage_that_does_not_end_leaves_no_more_in_doubt_than_was_claimed(
    ledger: Engine, switch: Switch, caplog: pytest.LogCaptureFixture
) -> None:
    number = planned(ledger)

    def script(this: int) -> Result:
        if this == 30:
            switch.off()
        return Result.SENT

    sender = Scripted(script)
    with (
        caplog.at_level(logging.WARNING),
        pytest.raises(LedgerUnavailable, match=r"\[push\] ledger_patience"),
        sending(ledger, number, patience=0.5) as one,
    ):
        run(one, sender)
    switch.on()
    assert "could not be recorded" in caplog.text
    counts = states(ledger)
    assert counts["sending"] + counts["sent"] >= len(sender.begun)
    assert counts["sending"] <= 2 * CHUNK
    assert sender.closed.is_set()


def test_a_process_that_is_to_end_while_it_is_away_begins_no_more_and_records_what_it_has(
    ledger: Engine, switch: Switch
) -> None:
    number = planned(ledger)

    def script(this: int) -> Result:
        if this == 30:
            switch.off()
            one.stop()
            sender.stopped.wait(PATIENCE)
            switch.on()
        return Result.SENT

    sender = Scripted(script)
    with sending(ledger, number) as one:
        assert run(one, sender) is Stop.ENDED
    assert len(sender.begun) == 31
    assert states(ledger) == {"sent": 31, "pending": ALL - 31}


# --- two processes ----------------------------------------------------------------------------------------


def lapse(ledger: Engine) -> None:
    with ledger.begin() as connection:
        connection.execute(text("UPDATE push_lease SET until = now() - interval '1 second'"))


def test_who_has_lost_the_execution_stops_and_leaves_it_as_it_is(
    ledger: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    number = planned(ledger)
    other = Lease(ledger, number)
    claimed: list[Any] = []

    def script(this: int) -> Result:
        if this == 30:
            with ledger.begin() as connection:
                connection.execute(text("UPDATE push_lease SET until = now() - interval '1 second'"))
                other.take(connection)
                connection.execute(text("UPDATE push_delivery SET state = 'pending' WHERE state = 'sending'"))
            claimed.extend(claim(other, ALL))
            sender.stopped.wait(PATIENCE)
        return Result.SENT

    sender = Scripted(script)
    with (
        caplog.at_level(logging.WARNING),
        pytest.raises(ExecutionTaken, match=r"process \d+ on .* has taken it over"),
        sending(ledger, number) as one,
    ):
        run(one, sender)
    assert len(sender.begun) <= CHUNK
    assert sender.closed.is_set()
    assert len(claimed) > 0
    counts = states(ledger)
    assert (counts["sending"], counts["sent"]) == (len(claimed), ALL - len(claimed))
    other.renew()  # the first one has given back nothing of it


def test_no_chunk_is_begun_before_it_is_known_whose_the_execution_is(ledger: Engine) -> None:
    """The process has slept: its clock has gone on, and it sends nothing before the ledger has said that it may."""
    number = planned(ledger)
    now = [0.0]
    lease = Lease(ledger, number, clock=lambda: now[0])
    with ledger.begin() as connection:
        lease.take(connection)
    lease.renew()
    begun: list[float] = []

    def script(this: int) -> Result:
        begun.append(lease.left)
        if this == CHUNK - 1:
            now[0] += 3600
        return Result.SENT

    with lease:
        assert run(loop(lease, Patience(0)), Scripted(script)) is None
    assert states(ledger) == {"sent": ALL}
    assert min(begun[:CHUNK] + begun[CHUNK + 1 :]) > 0
    assert begun[CHUNK] > 0


def test_a_lease_is_renewed_while_a_slow_provider_is_waited_for(ledger: Engine) -> None:
    number = planned(ledger)
    query = text("SELECT until FROM push_lease")

    def until() -> Any:
        with ledger.begin() as connection:
            return connection.execute(query).scalar()

    def script(this: int) -> Result:
        if this == 30:
            wait(lambda: states(ledger)["sent"] == 30)
            first = until()
            wait(lambda: until() > first)
        return Result.SENT

    with sending(ledger, number, seconds=2.0) as one:
        assert run(one, Scripted(script)) is None
