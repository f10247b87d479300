"""The loop on a real ledger, with a sender that does what each test wants at the moment that it wants."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING

import pytest

from push_provider.channels.base import STOPPED, Delivery, Outcome, Result, Sender
from push_provider.channels.email.sender import EmailChannel
from push_provider.channels.reading import parse
from push_provider.exceptions import ConfigurationError, ProviderUnavailable
from push_provider.ledger import definitions, deliveries, planning
from push_provider.rendering import freeze
from push_provider.sending.loop import Sending, Stop

if TYPE_CHECKING:
    from sqlalchemy import Engine

ALL = 450
CHUNK = EmailChannel.first_chunk


class Scripted(Sender):
    """Sends as it is told.

    :param script: is asked for what becomes of each delivery; the first that is asked for has number 0.
    """

    def __init__(self, script: Callable[[int], Result] = lambda _: Result.SENT) -> None:
        self.script = script
        self.begun: list[str] = []
        self.stopped = threading.Event()
        self.closed = threading.Event()
        self.outcomes: list[Outcome] = []

    def send(self, chunk: Sequence[Delivery]) -> list[Outcome]:
        self.outcomes = []
        for one in chunk:
            if self.stopped.is_set():
                self.outcomes.append(Outcome(one.id, Result.RETRY, None, STOPPED))
                continue
            self.begun.append(one.to)
            self.outcomes.append(Outcome(one.id, self.script(len(self.begun) - 1)))
        return self.outcomes

    def known(self) -> list[Outcome]:
        return list(self.outcomes)

    def stop(self, seconds: float = math.inf) -> None:
        self.stopped.set()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closed.set()


@pytest.fixture
def execution(ledger: Engine) -> int:
    task = {"code": "t", "name": "T", "channel": "email", "subject": "s", "content": "c"}
    task |= {"schedule": {"kind": "manual"}, "recipients": [f"c{n}@example.com" for n in range(ALL)]}
    definitions.apply(ledger, parse(task), now=datetime.now(UTC), default_timezone="UTC")
    return planning.plan(ledger, "t", source="manual", freeze=freeze).id


def sending(ledger: Engine, execution: int, noted: Callable[[Sequence[Outcome]], None] = lambda _: None) -> Sending:
    return Sending(ledger, execution, EmailChannel(), resend=True, receipts={"receipt_after": None}, noted=noted)


def states(ledger: Engine) -> Counter[str]:
    return Counter(row.state.value for row in deliveries.find(ledger, task="t", limit=10_000))


def run(one: Sending, sender: Sender) -> Stop | None:
    assert one.claim()
    return one.run(sender)


def test_all_are_sent_and_told_once_each(ledger: Engine, execution: int) -> None:
    told: list[Outcome] = []
    sender = Scripted()
    assert run(sending(ledger, execution, told.extend), sender) is None
    assert states(ledger) == {"sent": ALL}
    assert max(Counter(sender.begun).values()) == 1
    assert len(told) == len({outcome.id for outcome in told}) == ALL
    assert sender.closed.is_set()


def test_what_came_back_before_anybody_listened_counts(ledger: Engine, execution: int) -> None:
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
    one = sending(ledger, execution)
    assert run(one, sender) is Stop.ENDED
    assert len(sender.begun) == 31
    assert states(ledger) == {"sent": 31, "pending": ALL - 31}


def test_an_answer_is_on_record_while_others_are_waited_for(ledger: Engine, execution: int) -> None:
    def script(number: int) -> Result:
        if number == 30:
            deadline = time.monotonic() + 20
            while states(ledger)["sent"] < 30 and time.monotonic() < deadline:
                time.sleep(0.02)
            seen.update(states(ledger))
        return Result.SENT

    seen: Counter[str] = Counter()
    assert run(sending(ledger, execution), Scripted(script)) is None
    assert seen["sent"] == 30


def test_a_provider_that_goes_away_leaves_the_rest_pending(ledger: Engine, execution: int) -> None:
    def script(number: int) -> Result:
        if number == CHUNK:
            raise ProviderUnavailable("gone")
        return Result.SENT

    sender = Scripted(script)
    with pytest.raises(ProviderUnavailable, match="gone"):
        run(sending(ledger, execution), sender)
    assert states(ledger) == {"sent": CHUNK, "pending": ALL - CHUNK}
    assert sender.closed.is_set()


def test_an_error_that_nobody_thought_of_leaves_one_chunk_in_doubt_and_what_it_knew_on_record(
    ledger: Engine, execution: int
) -> None:
    def script(number: int) -> Result:
        if number == CHUNK + 10:
            raise RuntimeError("a bug")
        return Result.SENT

    with pytest.raises(RuntimeError, match="a bug"):
        run(sending(ledger, execution), Scripted(script))
    counts = states(ledger)
    assert counts["sent"] == CHUNK + 10
    assert 0 < counts["sending"] <= 4 * CHUNK
    assert counts.total() == ALL


def test_what_does_not_stop_is_left_in_doubt_alone(ledger: Engine, execution: int) -> None:
    over = threading.Event()

    def script(number: int) -> Result:
        if number == 30:
            one.stop()
            over.wait(60)
        return Result.SENT

    one = sending(ledger, execution)
    try:
        assert run(one, Scripted(script)) is Stop.ENDED
        counts = states(ledger)
        assert counts["sent"] == 30
        assert counts["sending"] == CHUNK - 30  # this sender says nothing of what it has not begun
        assert counts["pending"] == ALL - CHUNK
    finally:
        over.set()


def test_nothing_claimed_is_lost_if_the_sender_cannot_be_opened(ledger: Engine, execution: int) -> None:
    one = sending(ledger, execution)
    assert one.claim()
    assert states(ledger)["sending"] == CHUNK
    one.give_back()
    assert states(ledger) == {"pending": ALL}


def test_a_refused_account_ends_it(ledger: Engine, execution: int) -> None:
    def script(_: int) -> Result:
        raise ConfigurationError("wrong password")

    with pytest.raises(ConfigurationError):
        run(sending(ledger, execution), Scripted(script))
    assert states(ledger) == {"pending": ALL}
