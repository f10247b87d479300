"""Receipts in the ledger: when they are due, what they change, when they are given up."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import create_engine, text

sys.path.insert(0, str(Path(__file__).parent))

from ledger_desk import Desk

from push_provider.channels.base import Delivery, Fate, Outcome, Receipt, Result
from push_provider.channels.reading import parse
from push_provider.ledger import closing, definitions, executions, planning, receipts, sending, tasks
from push_provider.ledger.engine import AS_WRITTEN
from push_provider.ledger.receipts import WAITS, Due, Settled

if TYPE_CHECKING:
    from sqlalchemy import Engine


PATIENCE = timedelta(days=3)
RECEIVED = datetime(2026, 7, 1, 6, tzinfo=UTC)


class Sms:
    """An execution of three SMS, and short words for what is done with it."""

    def __init__(self, engine: Engine, code: str = "sms", **fields: Any) -> None:
        self.engine, self.code = engine, code
        task = {
            "code": code,
            "name": "SMS",
            "channel": "sms",
            "recipients": ["13800000001", "13800000002", "13800000003"],
            "execution": {"type": "loop"},
            **fields,
        }
        definitions.apply(engine, parse(task), now=datetime.now(UTC), default_timezone="UTC")
        self.plan = planning.plan(engine, code, source="manual", freeze=lambda _: {}, run_id="run")

    def send(self, *results: Result, close: bool = True) -> list[Delivery]:
        """Claim all, record so many, and end the try."""
        with sending.held(self.engine, self.code, self.plan.id, on_unknown="hold") as lease:
            claimed = sending.claim(lease, 1000, receipt_after=20)
            made = [
                Outcome(d.id, r, "biz-1" if r is Result.SENT else None, None if r is Result.SENT else "timeout")
                for d, r in zip(claimed, results, strict=False)
            ]
            sending.record(lease, made)
            if close:
                closing.finish(self.engine, self.plan.id, final=True)
        return claimed

    @property
    def states(self) -> list[str]:
        return [row.state for row in self.rows("state")]

    def rows(self, columns: str) -> Sequence[Any]:
        query = text(f"SELECT {columns} FROM push_delivery WHERE execution_id = :id ORDER BY id")
        with self.engine.connect() as connection:
            return connection.execute(query, {"id": self.plan.id}).all()

    @property
    def execution(self) -> Any:
        return executions.find(self.engine, task=self.code)[0]

    @property
    def status(self) -> str:
        return tasks.get(self.engine, self.code).status


def later(**delta: float) -> datetime:
    return datetime.now(UTC) + timedelta(**delta)


def claim(engine: Engine, *, now: datetime) -> list[Due]:
    return sorted(receipts.claim_due(engine, 100, now=now), key=lambda due: due.question.id)


def settle(engine: Engine, due: list[Due], *fates: Fate | None, now: datetime | None = None) -> Settled:
    learnt = [
        Receipt(one.question.id, fate, "MOBILE_IN_BLACK" if fate is Fate.FAILED else None, "words", RECEIVED)
        for one, fate in zip(due, fates, strict=True)
        if fate
    ]
    return receipts.settle(engine, due, learnt, now=now or datetime.now(UTC), patience=PATIENCE)


def test_receipts_are_due_some_time_after_the_claim(ledger: Engine) -> None:
    sms = Sms(ledger, config="my-aliyun")
    sms.send(Result.SENT, Result.UNKNOWN, Result.FAILED)
    assert claim(ledger, now=later(seconds=10)) == []
    first, second = claim(ledger, now=later(seconds=25))
    assert (first.task, first.execution, first.channel, first.config) == ("sms", sms.plan.id, "sms", "my-aliyun")
    assert (first.unknown, second.unknown) == (False, True)
    assert (first.question.to, first.question.token, first.question.provider_id) == (
        "13800000001",
        sms.plan.token,
        "biz-1",
    )
    assert second.question.provider_id is None
    assert abs(first.question.tried_at - datetime.now(UTC)) < timedelta(minutes=1)


def test_each_further_time_is_later_and_two_that_ask_at_once_do_not_ask_twice(ledger: Engine) -> None:
    Sms(ledger).send(Result.SENT, Result.SENT, Result.SENT)
    now = later(seconds=30)
    for wait in [*WAITS, WAITS[-1], WAITS[-1]]:
        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(lambda _, moment=now: claim(ledger, now=moment), range(2)))
        assert sum(map(len, found)) == 3
        assert claim(ledger, now=now + timedelta(seconds=wait - 1)) == []
        now += timedelta(seconds=wait)


@pytest.mark.parametrize("result", [Result.SENT, Result.UNKNOWN])
def test_what_receipts_say(ledger: Engine, result: Result) -> None:
    sms = Sms(ledger)
    sms.send(result, result, result)
    due = claim(ledger, now=later(seconds=30))
    settled = settle(ledger, due, Fate.DELIVERED, Fate.FAILED, Fate.WAITING)
    assert settled == Settled(delivered=1, failed=1, sent=int(result is Result.UNKNOWN))
    assert sms.states == ["delivered", "failed", "sent"]
    delivered, failed, waiting = sms.rows("error_code, error_text, received_at, sent_at, receipt_due")
    assert (delivered.error_code, delivered.received_at, delivered.receipt_due) == (None, RECEIVED, None)
    assert (failed.error_code, failed.error_text, failed.receipt_due) == ("MOBILE_IN_BLACK", "words", None)
    assert delivered.sent_at
    assert waiting.sent_at
    assert waiting.receipt_due is not None
    row = sms.execution
    assert (row.sent, row.delivered, row.failed, row.unknown, row.state) == (2, 1, 1, 0, "partial")
    assert settle(ledger, due, Fate.FAILED, Fate.DELIVERED, None) == Settled()  # the first word counts


def test_what_was_sent_and_arrived_leaves_the_task_as_it_was(ledger: Engine) -> None:
    sms = Sms(ledger, execution={"type": "once"})
    sms.send(Result.SENT, Result.SENT, Result.UNKNOWN)
    assert (sms.execution.state, sms.status) == ("partial", "failed")
    settle(ledger, claim(ledger, now=later(seconds=30)), *[Fate.DELIVERED] * 3)
    assert (sms.execution.state, sms.execution.delivered, sms.status) == ("succeeded", 3, "finished")
    assert claim(ledger, now=later(days=9)) == []


def test_a_failed_receipt_fails_the_execution_and_a_cleared_run_sends_to_that_one_alone(ledger: Engine) -> None:
    sms = Sms(ledger, execution={"type": "once"})
    sms.send(Result.SENT, Result.SENT, Result.SENT)
    assert sms.status == "finished"
    settle(ledger, claim(ledger, now=later(seconds=30)), Fate.DELIVERED, Fate.FAILED, Fate.WAITING)
    assert (sms.execution.state, sms.status) == ("partial", "failed")
    (again,) = sms.send(Result.SENT)
    assert again.to == "13800000002"
    assert (sms.states, sms.execution.state, sms.status) == (["delivered", "sent", "sent"], "succeeded", "finished")


def test_no_receipt_and_no_answer_changes_nothing(ledger: Engine) -> None:
    sms = Sms(ledger)
    sms.send(Result.SENT, Result.UNKNOWN, Result.SENT)
    due = claim(ledger, now=later(seconds=30))
    assert settle(ledger, due, Fate.ABSENT, Fate.ABSENT, None) == Settled()
    assert sms.states == ["sent", "unknown", "sent"]
    assert len(claim(ledger, now=later(seconds=120))) == 3


def test_given_up_after_the_limit(ledger: Engine) -> None:
    sms = Sms(ledger, recipients=[f"1380000000{n}" for n in range(5)])
    sms.send(Result.SENT, Result.SENT, Result.UNKNOWN, Result.UNKNOWN, Result.UNKNOWN)
    now = later(days=3, minutes=1)
    due = claim(ledger, now=now)
    settled = settle(ledger, due, Fate.WAITING, Fate.ABSENT, Fate.WAITING, Fate.ABSENT, None, now=now)
    assert settled == Settled(failed=1, given_up=3)
    assert sms.states == ["sent", "sent", "sent", "failed", "unknown"]
    codes = [row.error_code for row in sms.rows("error_code")]
    assert codes == ["no-receipt", "no-receipt", "no-receipt", "no-record", "timeout"]
    assert [row.receipt_due is None for row in sms.rows("receipt_due")] == [True, True, True, True, False]


def test_given_up_after_the_limit_also_if_nobody_could_be_asked(ledger: Engine) -> None:
    sms = Sms(ledger)
    sms.send(Result.SENT, Result.UNKNOWN, Result.UNKNOWN)
    for moment, settled, asked in [
        (later(days=2, hours=23), Settled(), 3),
        (later(days=3, minutes=1), Settled(given_up=1), 3),
        (later(days=9, hours=23), Settled(), 2),
        (later(days=10, minutes=1), Settled(delivered=1, given_up=1), 2),  # the one was on record after all
        (later(days=30), Settled(), 0),
    ]:
        due = claim(ledger, now=moment)
        assert len(due) == asked
        fates = [None, Fate.DELIVERED] if settled.delivered else [None] * asked
        assert settle(ledger, due, *fates, now=moment) == settled
    rows = sms.rows("state, error_code, error_text, sent_at IS NULL AS unsent, receipt_due")
    assert [(row.state, row.error_code, row.unsent) for row in rows] == [
        ("sent", "no-receipt", False),
        ("unknown", "timeout", True),
        ("delivered", None, False),
    ]
    assert rows[0].error_text == "The provider could not be asked whether it arrived"
    row = sms.execution
    assert (row.state, row.sent, row.delivered, row.unknown) == ("partial", 2, 1, 1)


@pytest.mark.parametrize(
    ("fate", "days", "state"),
    [
        (Fate.FAILED, 0, "unknown"),
        (Fate.ABSENT, 4, "unknown"),
        (Fate.DELIVERED, 0, "delivered"),
        (Fate.WAITING, 0, "sent"),
    ],
)
def test_what_is_in_doubt_does_not_fail_before_the_tries_of_its_execution_are_over(
    ledger: Engine, fate: Fate, days: int, state: str
) -> None:
    """The next one sends it again, where that is wanted; what is known to have arrived is not sent again."""
    sms = Sms(ledger)
    sms.send(*[Result.UNKNOWN] * 3, close=False)
    closing.finish(ledger, sms.plan.id, final=False, resend_unknown=True)
    now = later(days=days, seconds=30)
    settle(ledger, claim(ledger, now=now), *[fate] * 3, now=now)
    assert sms.states == [state] * 3
    closing.finish(ledger, sms.plan.id, final=True)
    now += timedelta(hours=1)
    due = claim(ledger, now=now)
    settle(ledger, due, *[fate] * len(due), now=now)
    assert sms.states == ["failed" if state == "unknown" else state] * 3


def test_what_a_dead_process_left_is_settled(ledger: Engine) -> None:
    sms = Sms(ledger)
    with sending.held(ledger, sms.code, sms.plan.id, on_unknown="hold") as lease:
        sending.claim(lease, 1000, receipt_after=20)  # and the process is killed
    assert closing.close(ledger, sms.plan.id, error="killed")
    assert sms.states == ["unknown"] * 3
    due = claim(ledger, now=later(seconds=30))
    settle(ledger, due, Fate.DELIVERED, Fate.WAITING, Fate.ABSENT)
    assert sms.states == ["delivered", "sent", "unknown"]
    settle(ledger, claim(ledger, now=(now := later(days=4))), Fate.DELIVERED, Fate.ABSENT, now=now)
    assert sms.states == ["delivered", "delivered", "failed"]
    assert (sms.execution.state, sms.execution.sent, sms.execution.failed) == ("partial", 2, 1)


def test_a_receipt_of_a_try_that_was_made_again_is_left_alone(ledger: Engine) -> None:
    sms = Sms(ledger)
    sms.send(Result.UNKNOWN, Result.UNKNOWN, Result.UNKNOWN)
    due = claim(ledger, now=later(seconds=30))
    with sending.held(ledger, sms.code, sms.plan.id, on_unknown="resend") as lease:
        sending.claim(lease, 1000, receipt_after=20)
        assert settle(ledger, due, *[Fate.FAILED] * 3) == Settled()
        assert sms.states == ["sending"] * 3


@pytest.mark.parametrize("claimed", [True, False])
def test_a_receipt_settles_what_no_later_try_has_sent_again(ledger: Engine, claimed: bool) -> None:
    sms = Sms(ledger)
    sms.send(Result.UNKNOWN, Result.UNKNOWN, close=False)
    with sending.held(ledger, sms.code, sms.plan.id, on_unknown="resend") as lease:
        if claimed:
            again = sending.claim(lease, 1000, receipt_after=20)
            sending.record(lease, [Outcome(one.id, Result.RETRY) for one in again])
        assert claim(ledger, now=later(seconds=30)) == []
        closing.finish(ledger, sms.plan.id, final=True)
    assert sms.states == ["unknown"] * 3
    settle(ledger, claim(ledger, now=later(seconds=30)), Fate.DELIVERED, Fate.FAILED, Fate.DELIVERED)
    rows = sms.rows("state, error_code, receipt_due")
    assert rows == [("delivered", None, None), ("failed", "MOBILE_IN_BLACK", None), ("delivered", None, None)]
    assert (sms.execution.sent, sms.execution.failed, sms.execution.unknown) == (2, 1, 0)


def test_while_an_execution_is_under_way_whoever_ends_it_counts(ledger: Engine) -> None:
    sms = Sms(ledger)
    with sending.held(ledger, sms.code, sms.plan.id, on_unknown="hold") as lease:
        first, *_ = sending.claim(lease, 2, receipt_after=20)
        sending.record(lease, [Outcome(first.id, Result.SENT, "biz-1")])
        settle(ledger, claim(ledger, now=later(seconds=30)), Fate.DELIVERED)
        assert (sms.execution.state, sms.execution.finished_at) == ("running", None)
        counts = closing.finish(ledger, sms.plan.id, final=True)
    assert (counts.sent, counts.delivered, counts.unknown, counts.failed) == (1, 1, 1, 1)


def test_mail_has_no_receipts(ledger: Engine) -> None:
    desk = Desk(ledger)
    desk.apply()
    desk.run(desk.plan(), Result.SENT, Result.UNKNOWN, Result.SENT, final=True)
    assert claim(ledger, now=later(days=1)) == []


def test_tasks_are_settled_each_for_itself(ledger: Engine) -> None:
    one, other = Sms(ledger, "one"), Sms(ledger, "other")
    for sms in (other, one):
        sms.send(*[Result.SENT] * 3)
    due = claim(ledger, now=later(seconds=30))
    assert {each.task for each in due} == {"one", "other"}
    assert settle(ledger, due, *[Fate.DELIVERED] * 6) == Settled(delivered=6)
    assert (one.execution.delivered, other.execution.delivered) == (3, 3)


def test_what_a_receipt_costs_does_not_grow_with_the_execution(ledger: Engine) -> None:
    sms = Sms(ledger)
    sms.send(Result.SENT, Result.SENT, Result.UNKNOWN)
    with ledger.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO push_delivery (execution_id, recipient, state, attempts)"
                " SELECT :id, 'x' || n, 'sent', 1 FROM generate_series(1, 50000) AS n"
            ),
            {"id": sms.plan.id},
        )
        connection.execute(text("UPDATE push_execution SET total = total + 50000, sent = sent + 50000"))
    with ledger.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE push_delivery"))
    due = claim(ledger, now=later(seconds=30))
    one = create_engine(ledger.url, pool_size=1, max_overflow=0, **AS_WRITTEN)
    before = _read(one)
    settle(one, due, Fate.DELIVERED, Fate.FAILED, Fate.DELIVERED)
    assert _read(one) - before < 100
    one.dispose()
    row = sms.execution
    assert (row.sent, row.delivered, row.failed, row.unknown, row.state) == (50_002, 2, 1, 0, "partial")


def _read(engine: Engine) -> int:
    """Rows of deliveries that the database has looked at, by the engine's one connection."""
    query = text("SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables WHERE relname = 'push_delivery_0'")
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SELECT pg_stat_force_next_flush()"))
        return int(connection.execute(query).scalar_one())


def test_counts_that_cannot_be_true_are_counted_anew(ledger: Engine) -> None:
    """A process died between an answer and the count of it."""
    sms = Sms(ledger)
    sms.send(Result.SENT, Result.SENT, Result.SENT)
    with ledger.begin() as connection:
        connection.execute(text("UPDATE push_execution SET sent = 0, unknown = 3"))
    settle(ledger, claim(ledger, now=later(seconds=30)), Fate.DELIVERED, Fate.DELIVERED, Fate.FAILED)
    row = sms.execution
    assert (row.sent, row.delivered, row.failed, row.unknown, row.state) == (2, 2, 1, 0, "partial")


def test_a_task_that_is_deleted_while_the_provider_is_asked_leaves_the_others(ledger: Engine) -> None:
    gone, left = Sms(ledger, "gone"), Sms(ledger, "left")
    for sms in (gone, left):
        sms.send(*[Result.SENT] * 3)
    due = claim(ledger, now=later(seconds=30))
    tasks.delete(ledger, "gone", purge=True)
    assert settle(ledger, due, *[Fate.DELIVERED] * 6) == Settled(delivered=3)
    assert left.execution.delivered == 3
