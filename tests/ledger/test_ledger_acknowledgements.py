"""Acknowledgements in the ledger: what they change, and what nobody can change by one."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

sys.path.insert(0, str(Path(__file__).parent))

from ledger_desk import CHANNEL

from push_provider.channels.base import Outcome, Result
from push_provider.ledger import acknowledgements, closing, sending, tasks
from push_provider.ledger.acknowledgements import Taken
from push_provider.marks import ReceiptMark, message_id, read_receipt_mark, receipt_mark

if TYPE_CHECKING:
    from ledger_desk import Desk

    from push_provider.ledger.plans import Plan

NOW = datetime(2026, 7, 1, 6, tzinfo=UTC)
SENT, FAILED, RETRY, UNKNOWN = Result.SENT, Result.FAILED, Result.RETRY, Result.UNKNOWN


def mark(plan: Plan, delivery: int) -> ReceiptMark:
    found = read_receipt_mark(receipt_mark(plan.token, delivery))
    assert found is not None
    return found


def ids(desk: Desk, plan: Plan) -> list[int]:
    return [row.id for row in desk.deliveries(plan)]


def take(desk: Desk, *marks: ReceiptMark, channel: str = CHANNEL) -> list[Taken]:
    return acknowledgements.take(desk.engine, marks, channels={channel}, now=NOW)


@pytest.fixture
def plan(desk: Desk) -> Plan:
    desk.apply(execution={"type": "loop"})
    return desk.plan()


def test_what_was_sent_is_delivered_and_counted(desk: Desk, plan: Plan) -> None:
    desk.run(plan, SENT, SENT, FAILED)
    first, second, third = ids(desk, plan)
    assert take(desk, mark(plan, first), mark(plan, second)) == [Taken.YES, Taken.YES]
    assert desk.states(plan) == ["delivered", "delivered", "failed"]
    row = desk.execution(plan)
    assert (row.state.value, row.sent, row.delivered, row.failed) == ("partial", 2, 2, 1)
    assert desk.deliveries(plan)[0].received_at == NOW
    # Again, and of what has failed: nothing changes.
    before = desk.deliveries(plan)
    assert take(desk, mark(plan, first), mark(plan, third)) == [Taken.YES, Taken.YES]
    assert desk.deliveries(plan) == before


def test_it_may_come_before_the_answer_is_on_record(desk: Desk, plan: Plan) -> None:
    with desk.sending(plan):
        claimed = desk.claim(plan)
        assert take(desk, mark(plan, claimed[0].id)) == [Taken.YES]
        desk.record(plan, claimed, SENT, SENT, UNKNOWN)
        assert desk.states(plan) == ["delivered", "sent", "unknown"]
        assert desk.deliveries(plan)[0].provider_id == message_id(plan.token, claimed[0].id)
        assert take(desk, mark(plan, claimed[2].id)) == [Taken.YES]
        counts = closing.finish(desk.engine, plan.id, final=True)
    assert (counts.sent, counts.delivered, counts.unknown) == (3, 2, 0)
    assert desk.execution(plan).state.value == "succeeded"


def test_what_a_process_that_died_had_sent_is_not_sent_again(desk: Desk, plan: Plan) -> None:
    with desk.sending(plan):
        claimed = desk.claim(plan)
    with desk.sending(plan):  # the next try: all are pending again
        assert take(desk, mark(plan, claimed[1].id)) == [Taken.YES]
        assert [one.id for one in desk.claim(plan)] == [claimed[0].id, claimed[2].id]


@pytest.mark.parametrize("state", ["pending", "cancelled"])
def test_a_link_that_was_never_sent_changes_nothing(desk: Desk, plan: Plan, state: str) -> None:
    if state == "cancelled":
        tasks.cancel(desk.engine, desk.code)
    before = desk.deliveries(plan)
    assert take(desk, *(mark(plan, number) for number in ids(desk, plan))) == [Taken.YES] * 3
    assert desk.deliveries(plan) == before


def test_forged_links_change_nothing(desk: Desk, plan: Plan) -> None:
    desk.run(plan, SENT, SENT, SENT)
    other = desk.plan()
    first, second, _ = ids(desk, plan)
    forged = [
        mark(plan, first)._replace(delivery=second),
        mark(other, first),
        mark(plan, first)._replace(signature=bytes(16)),
        mark(plan, first)._replace(signature=bytes.fromhex(message_id(plan.token, first))),
        mark(plan, 2**63 - 1),
    ]
    assert take(desk, *forged) == [Taken.FORGED] * 5
    assert desk.states(plan) == ["sent"] * 3


@pytest.mark.parametrize("result", [SENT, RETRY, UNKNOWN])
def test_of_a_channel_without_links_nothing_is_taken(desk: Desk, plan: Plan, result: Result) -> None:
    """Whoever knows the token of an execution of such a channel knows nothing by it."""
    with desk.sending(plan):
        desk.record(plan, desk.claim(plan), result, result, result)
    before = desk.deliveries(plan)
    marks = [mark(plan, number) for number in ids(desk, plan)]
    assert take(desk, *marks, channel="another") == [Taken.FORGED] * 3
    assert desk.deliveries(plan) == before


def test_a_row_that_is_in_hand_is_not_waited_for(desk: Desk, plan: Plan) -> None:
    desk.run(plan, SENT, SENT, SENT)
    first, second, _ = ids(desk, plan)
    with desk.engine.begin() as other:
        other.execute(text("SELECT id FROM push_delivery WHERE id = :id FOR UPDATE"), {"id": first})
        assert take(desk, mark(plan, first), mark(plan, second)) == [Taken.LATER, Taken.YES]
    assert take(desk, mark(plan, first)) == [Taken.YES]


def test_acknowledgements_and_records_at_once_wait_for_nobody_for_ever(desk: Desk) -> None:
    people = [f"u{number}@example.com" for number in range(600)]
    desk.apply(execution={"type": "loop"}, recipients=people)
    plan = desk.plan()
    with desk.sending(plan):
        claimed = desk.claim(plan, 600)
        marks = [mark(plan, one.id) for one in claimed[::-1]]

        def acknowledge(at: int) -> None:
            while Taken.LATER in take(desk, *marks[at : at + 50]):
                pass

        with ThreadPoolExecutor(12) as pool:
            acknowledging = pool.map(acknowledge, range(0, 600, 50), timeout=60)
            for at in range(0, 600, 200):
                sending.record(desk.lease(plan), [Outcome(one.id, SENT) for one in claimed[at : at + 200]])
            assert list(acknowledging) == [None] * 12
        counts = closing.finish(desk.engine, plan.id, final=True)
    assert (counts.sent, counts.delivered) == (600, 600)
