"""The loop on a real ledger, with a sender that does what each test wants at the moment that it wants."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import pytest
from scripted import ALL, CHUNK, Scripted, planned, states
from sqlalchemy import text

from push_provider.channels.base import Delivery, Outcome, Result, Sender
from push_provider.channels.email.sender import EmailChannel
from push_provider.exceptions import ConfigurationError, ProviderUnavailable
from push_provider.ledger import closing, tasks
from push_provider.ledger.sending import held
from push_provider.sending.loop import Sending, Stop
from push_provider.sending.patience import Patience

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from push_provider.ledger.leases import Lease


@pytest.fixture
def lease(ledger: Engine) -> Iterator[Lease]:
    with held(ledger, "t", planned(ledger), on_unknown="resend") as lease:
        yield lease


def sending(
    lease: Lease,
    noted: Callable[[Sequence[Outcome]], None] = lambda _: None,
    channel: type[EmailChannel] = EmailChannel,
    *,
    resend: bool = True,
) -> Sending:
    receipts = {"receipt_after": None}
    return Sending(lease, channel(), patience=Patience(0), resend=resend, receipts=receipts, noted=noted)


def run(one: Sending, sender: Sender) -> Stop | None:
    assert one.claim()
    return one.run(sender)


def test_all_are_sent_and_told_once_each(ledger: Engine, lease: Lease) -> None:
    told: list[Outcome] = []
    sender = Scripted()
    assert run(sending(lease, told.extend), sender) is None
    assert states(ledger) == {"sent": ALL}
    assert max(Counter(sender.begun).values()) == 1
    assert len(told) == len({outcome.id for outcome in told}) == ALL
    assert sender.closed.is_set()


def test_chunks_end_where_the_channel_wants_it(ledger: Engine, lease: Lease) -> None:
    class Calling(EmailChannel):
        boundary = 15

    class Noting(Scripted):
        def send(self, chunk: Sequence[Delivery]) -> list[Outcome]:
            ends.append(chunk[-1].id)
            return super().send(chunk)

    ends: list[int] = []
    sender = Noting()
    assert run(sending(lease, channel=Calling), sender) is None
    assert states(ledger) == {"sent": ALL}
    assert max(Counter(sender.begun).values()) == 1
    assert len(ends) > 1
    assert {(end + 1) % 15 for end in ends[:-1]} == {0}


def test_what_somebody_else_locks_ends_no_chunk_early_for_good(ledger: Engine, lease: Lease) -> None:
    class Calling(EmailChannel):
        boundary = 15

    one, sender = sending(lease, channel=Calling), Scripted()
    with ledger.begin() as connection:  # as acknowledgements lock what was tried before
        locked = connection.execute(text("SELECT id FROM push_delivery ORDER BY id LIMIT 20 FOR UPDATE")).all()
        assert one.claim()
    assert one.run(sender) is None
    assert states(ledger) == {"sent": ALL - len(locked), "pending": len(locked)}
    assert max(Counter(sender.begun).values()) == 1


@pytest.mark.parametrize("boundary", [1, 2])
def test_chunks_that_cannot_be_halved_are_claimed_all_the_same(ledger: Engine, boundary: int) -> None:
    class Small(EmailChannel):
        chunk = first_chunk = least_chunk = boundary

    Small.boundary = boundary
    with held(ledger, "t", planned(ledger, 20), on_unknown="hold") as lease:
        assert run(sending(lease, channel=Small, resend=False), Scripted()) is None
    assert states(ledger) == {"sent": 20}


def test_what_came_back_before_anybody_listened_counts(ledger: Engine, lease: Lease) -> None:
    class Hasty(Scripted):
        def stop(self, seconds: float = math.inf) -> None:
            super().stop(seconds)
            self.closed.wait(20)  # the thread that sends is through with all chunks

    def script(number: int) -> Result:
        if number == 30:
            one.stop()
            sender.stopped.wait(20)
        return Result.SENT

    sender = Hasty(script)
    one = sending(lease)
    assert run(one, sender) is Stop.ENDED
    assert len(sender.begun) == 31
    assert states(ledger) == {"sent": 31, "pending": ALL - 31}


def test_an_answer_is_on_record_while_others_are_waited_for(ledger: Engine, lease: Lease) -> None:
    def script(number: int) -> Result:
        if number == 30:
            deadline = time.monotonic() + 20
            while states(ledger)["sent"] < 30 and time.monotonic() < deadline:
                time.sleep(0.02)
            seen.update(states(ledger))
        return Result.SENT

    seen: Counter[str] = Counter()
    assert run(sending(lease), Scripted(script)) is None
    assert seen["sent"] == 30


def test_a_provider_that_goes_away_leaves_the_rest_pending(ledger: Engine, lease: Lease) -> None:
    def script(number: int) -> Result:
        if number == CHUNK:
            raise ProviderUnavailable("gone")
        return Result.SENT

    sender = Scripted(script)
    with pytest.raises(ProviderUnavailable, match="gone"):
        run(sending(lease), sender)
    assert states(ledger) == {"sent": CHUNK, "pending": ALL - CHUNK}
    assert sender.closed.is_set()


def test_an_error_that_nobody_thought_of_leaves_one_chunk_in_doubt_and_what_it_knew_on_record(
    ledger: Engine, lease: Lease
) -> None:
    def script(number: int) -> Result:
        if number == CHUNK + 10:
            raise RuntimeError("a bug")
        return Result.SENT

    with pytest.raises(RuntimeError, match="a bug"):
        run(sending(lease), Scripted(script))
    counts = states(ledger)
    assert counts["sent"] == CHUNK + 10
    assert 0 < counts["sending"] <= 4 * CHUNK
    assert counts.total() == ALL


@pytest.mark.slow
def test_what_does_not_stop_is_left_in_doubt_alone(ledger: Engine, lease: Lease) -> None:
    over = threading.Event()

    def script(number: int) -> Result:
        if number == 30:
            one.stop()
            over.wait(60)
        return Result.SENT

    one = sending(lease)
    try:
        assert run(one, Scripted(script)) is Stop.ENDED
        counts = states(ledger)
        assert counts["sent"] == 30
        assert counts["sending"] == CHUNK - 30  # this sender says nothing of what it has not begun
        assert counts["pending"] == ALL - CHUNK
    finally:
        over.set()


def test_nothing_claimed_is_lost_if_the_sender_cannot_be_opened(ledger: Engine, lease: Lease) -> None:
    one = sending(lease)
    assert one.claim()
    assert states(ledger)["sending"] == CHUNK
    one.give_back()
    assert states(ledger) == {"pending": ALL}


def _cancel(lease: Lease, _: Sending) -> None:
    tasks.cancel(lease.engine, "t")


def _close(lease: Lease, _: Sending) -> None:
    closing.close(lease.engine, lease.execution, error="ann marked the run failed")


def _end(_: Lease, one: Sending) -> None:
    one.stop()


@pytest.mark.parametrize(
    ("call_off", "stop", "left"),
    [
        (_cancel, Stop.CANCELLED, {"pending": CHUNK, "cancelled": ALL - CHUNK}),
        (_close, Stop.CLOSED, {"failed": ALL}),
        (_end, Stop.ENDED, {"pending": ALL}),
    ],
)
def test_what_is_called_off_while_the_sender_is_opened_is_not_begun(
    ledger: Engine, lease: Lease, call_off: Callable[[Lease, Sending], None], stop: Stop, left: dict[str, int]
) -> None:
    one = sending(lease)
    assert one.claim()
    call_off(lease, one)
    sender = Scripted()
    assert one.run(sender) is stop
    assert (sender.begun, states(ledger)) == ([], left)
    assert sender.closed.is_set()


def test_nothing_claimed_is_in_doubt_if_there_is_no_thread_to_send_it(ledger: Engine, lease: Lease) -> None:
    one, sender = sending(lease), Scripted()
    assert one.claim()
    before = threading.stack_size(1 << 60)  # which no machine has
    try:
        with pytest.raises(RuntimeError, match="can't start new thread"):
            one.run(sender)
    finally:
        threading.stack_size(before)
    assert (sender.begun, states(ledger)) == ([], {"pending": ALL})
    assert sender.closed.is_set()


def test_a_refused_account_ends_it(ledger: Engine, lease: Lease) -> None:
    def script(_: int) -> Result:
        raise ConfigurationError("wrong password")

    with pytest.raises(ConfigurationError):
        run(sending(lease), Scripted(script))
    assert states(ledger) == {"pending": ALL}
