"""An execution is sent: who is claimed, what is recorded, and what a process that died leaves behind."""

from __future__ import annotations

import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest
from ledger_desk import LOOP, Desk, outcome
from sqlalchemy import Connection, Engine, text

from push_provider.channels.base import Delivery, Outcome, Result
from push_provider.contract import Trigger
from push_provider.exceptions import ExecutionBusy, UnknownExecution
from push_provider.ledger import closing, deliveries, sending, tasks
from push_provider.ledger.closing import Counts
from push_provider.ledger.leases import Lease
from push_provider.ledger.plans import Plan

if TYPE_CHECKING:
    from subprocess import Popen

SENT, FAILED, RETRY, UNKNOWN = Result.SENT, Result.FAILED, Result.RETRY, Result.UNKNOWN
OtherProcess = Callable[[Desk, Plan, str], AbstractContextManager["Popen[str]"]]
DIES = """
    claimed = sending.claim(lease, 2)
    sending.record(lease, [Outcome(claimed[0].id, Result.SENT, '<m@example.com>')])
"""


@pytest.fixture
def plan(desk: Desk) -> Plan:
    desk.apply(execution={"type": "loop", "max_executions": 1})
    return desk.plan()


# --- claim and record ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "state", "code", "words", "provider_id"),
    [
        (SENT, "sent", None, None, True),
        (FAILED, "failed", "550", "no such user", False),
        (RETRY, "pending", "451", "try later", False),
        (UNKNOWN, "unknown", "timeout", "no answer to the end of the message", False),
    ],
)
def test_an_outcome_is_on_record(
    desk: Desk,
    plan: Plan,
    result: Result,
    state: str,
    code: str | None,
    words: str | None,
    provider_id: bool,
) -> None:
    with desk.sending(plan):
        (claimed,) = desk.claim(plan, 1)
        assert desk.states(plan) == ["sending", "pending", "pending"]
        desk.record(plan, [claimed], result)
    row = desk.deliveries(plan)[0]
    assert (row.state, row.error_code, row.error_text, row.attempts) == (state, code, words, 1)
    assert row.provider_id == (f"<{claimed.id}@example.com>" if provider_id else None)
    assert (row.sent_at is not None) == (result is SENT)
    assert [row.attempts for row in desk.deliveries(plan)] == [1, 0, 0]


def test_deliveries_are_claimed_in_order_and_once(desk: Desk, plan: Plan) -> None:
    with desk.sending(plan):
        first = desk.claim(plan, 2)
        second = desk.claim(plan, 2)
        assert [d.to for d in first + second] == ["a@example.com", "b@example.com", "c@example.com"]
        assert desk.claim(plan) == []


@pytest.mark.parametrize("limit", [10, 11, 12, 25, 44, 45, 46, 100])
def test_claims_end_before_a_multiple_of_their_boundary(desk: Desk, limit: int) -> None:
    desk.apply(recipients=[f"u{n}@example.com" for n in range(45)])
    execution = desk.plan()
    chunks: list[list[int]] = []
    with desk.sending(execution) as lease:
        after = 0
        while claimed := sending.claim(lease, limit, after=after, boundary=10):
            assert sending.claim(lease, limit, after=after, boundary=10, unheard=True) == claimed
            chunks.append([one.id for one in claimed])
            after = chunks[-1][-1]
    assert [number for chunk in chunks for number in chunk] == [row.id for row in desk.deliveries(execution)]
    for chunk in chunks[:-1]:
        assert (chunk[-1] + 1) % 10 == 0
        assert limit - 10 < len(chunk) <= limit
    assert len(chunks[-1]) <= limit


def test_a_claim_reads_no_more_than_it_takes_of_what_postgresql_has_not_looked_at_yet(desk: Desk) -> None:
    many = [{"to": f"m{n}@example.com"} for n in range(2000)]
    desk.apply(execution=LOOP)
    execution = desk.plan(trigger=Trigger(recipients=many))
    with desk.sending(execution) as lease:
        values = {"execution": execution.id, "first": lease.span.first, "last": lease.span.last, "limit": 500}
        explain = text(f"EXPLAIN {sending._CLAIM_PENDING.text}")

        def plan_within(connection: Connection) -> str:
            # As if it were a thousand times as many, of which nothing is known yet.
            table = "'push_delivery_0'::regclass"
            connection.execute(text(f"UPDATE pg_class SET relpages = 1, reltuples = 100000 WHERE oid = {table}"))
            connection.execute(text(f"DELETE FROM pg_statistic WHERE starelid = {table}"))
            rows = connection.execute(explain, {**values, "receipt_after": None, "config": None})
            return "\n".join(row[0] for row in rows)

        with desk.engine.connect() as connection:
            assert "Sort" in plan_within(connection)  # else this shows nothing
        with lease.transaction() as connection:
            assert "Sort" not in plan_within(connection)
        assert len(sending.claim(lease, 500)) == 500


def test_claims_at_once_never_share_a_delivery(desk: Desk) -> None:
    desk.apply(recipients=[f"u{n}@example.com" for n in range(400)])
    plan = desk.plan()
    desk.lease(plan)
    barrier = Barrier(8)

    def claim(_: int) -> list[Delivery]:
        barrier.wait()
        got: list[Delivery] = []
        while chunk := desk.claim(plan, 7):
            got += chunk
        return got

    with ThreadPoolExecutor(8) as pool:
        claimed = [delivery.id for got in pool.map(claim, range(8)) for delivery in got]
    assert len(claimed) == len(set(claimed))
    # Whoever finds only rows that others are claiming goes home early; nobody's rows are lost.
    rest = [delivery.id for delivery in desk.claim(plan, 1000)]
    assert len(set(claimed) | set(rest)) == 400
    assert not set(claimed) & set(rest)


def test_what_is_to_be_tried_again_waits_for_the_next_pass(desk: Desk, plan: Plan) -> None:
    with desk.sending(plan):
        chunk = desk.claim(plan, 2)
        following = sending.record_and_claim(
            desk.lease(plan), [outcome(chunk[0], RETRY), outcome(chunk[1], SENT)], 2, after=chunk[-1].id
        )
        assert [d.to for d in following] == ["c@example.com"]
        last = [outcome(following[0], SENT)]
        assert sending.record_and_claim(desk.lease(plan), last, 2, after=following[0].id) == []
        assert closing.finish(desk.engine, plan.id, final=False).pending == 1
    with desk.sending(plan):
        (again,) = desk.claim(plan)
        assert again == chunk[0]
        desk.record(plan, [again], SENT)
        closing.finish(desk.engine, plan.id, final=False)
    row = desk.deliveries(plan)[0]
    assert (row.state, row.attempts, row.error_code, row.error_text) == ("sent", 2, None, None)
    assert [row.attempts for row in desk.deliveries(plan)] == [2, 1, 1]


def test_a_second_record_does_not_change_the_first(desk: Desk, plan: Plan) -> None:
    with desk.sending(plan):
        claimed = desk.claim(plan)
        desk.record(plan, claimed, SENT, FAILED, RETRY)
        desk.record(plan, claimed, FAILED, SENT, SENT)
        sending.record(desk.lease(plan), [])
    assert desk.states(plan) == ["sent", "failed", "pending"]


def test_words_that_no_database_holds(desk: Desk, plan: Plan) -> None:
    bad = "no\0 such \ud800 user " + "é" * 600
    with desk.sending(plan):
        first, second, third = desk.claim(plan)
        sending.record(
            desk.lease(plan), [Outcome(first.id, FAILED, None, "5\0" + "\udcff", bad), outcome(second, RETRY)]
        )
        assert sending.fail_pending(desk.lease(plan), code="configuration", reason=bad) == 1
        desk.record(plan, [third], SENT)
        closing.finish(desk.engine, plan.id, final=True, error=bad)
    one, two, _ = desk.deliveries(plan)
    assert (one.error_code, two.error_code) == ("5?", "configuration")
    for row in (one, two):
        assert row.error_text is not None
        assert row.error_text.startswith("no such ? user é")
        assert len(row.error_text) == 500
    assert (desk.execution(plan).error or "").startswith("no such ? user é")


# --- finish -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("results", "final", "state", "status", "states"),
    [
        ([SENT, SENT, SENT], False, "succeeded", "finished", ["sent"] * 3),
        ([SENT, SENT, SENT], True, "succeeded", "finished", ["sent"] * 3),
        ([SENT, SENT, FAILED], False, "partial", "failed", ["sent", "sent", "failed"]),
        ([SENT, SENT, UNKNOWN], False, "partial", "failed", ["sent", "sent", "unknown"]),
        ([UNKNOWN, UNKNOWN, FAILED], False, "partial", "failed", ["unknown", "unknown", "failed"]),
        ([FAILED, FAILED, FAILED], False, "failed", "failed", ["failed"] * 3),
        ([SENT, RETRY, FAILED], False, "running", "running", ["sent", "pending", "failed"]),
        ([RETRY, RETRY, RETRY], False, "running", "running", ["pending"] * 3),
        ([SENT, RETRY, FAILED], True, "partial", "failed", ["sent", "failed", "failed"]),
        ([RETRY, RETRY, RETRY], True, "failed", "failed", ["failed"] * 3),
    ],
)
def test_what_becomes_of_an_execution(
    desk: Desk,
    plan: Plan,
    results: list[Result],
    final: bool,
    state: str,
    status: str,
    states: list[str],
) -> None:
    assert desk.status == "running"
    counts = desk.run(plan, *results, final=final)
    row = desk.execution(plan)
    assert desk.states(plan) == states
    assert (row.state, desk.status) == (state, status)
    assert (row.finished_at is not None) == (state != "running")
    assert row.started_at is not None
    names = ("sent", "delivered", "failed", "unknown", "cancelled", "pending")
    expected = Counts(3, *(states.count(name) for name in names))
    assert counts == expected
    assert (row.total, row.sent, row.delivered, row.failed, row.unknown, row.cancelled) == expected[:6]


def test_what_was_never_sent_says_why(desk: Desk, plan: Plan) -> None:
    with desk.sending(plan):
        (first,) = desk.claim(plan, 1)
        desk.record(plan, [first], RETRY)
        closing.finish(desk.engine, plan.id, final=True, error="mail.example cannot be reached")
    assert [(row.error_code, row.error_text) for row in desk.deliveries(plan)] == [
        ("451", "try later"),
        ("not-sent", "mail.example cannot be reached"),
        ("not-sent", "mail.example cannot be reached"),
    ]


def test_what_was_claimed_and_not_recorded_does_not_keep_the_last_try_open(desk: Desk, plan: Plan) -> None:
    with desk.sending(plan):
        claimed = desk.claim(plan)
        desk.record(plan, claimed[:2], SENT, SENT)
        counts = closing.finish(desk.engine, plan.id, final=True)
    assert (counts.unknown, counts.pending, desk.execution(plan).state) == (1, 0, "partial")
    assert desk.deliveries(plan)[2].error_code == "interrupted"


def test_delivered_counts_as_sent(desk: Desk, plan: Plan) -> None:
    with desk.sending(plan):
        desk.record(plan, desk.claim(plan), SENT, SENT, SENT)
        with desk.engine.begin() as connection:
            connection.execute(
                text("UPDATE push_delivery SET state = 'delivered' WHERE execution_id = :id"), {"id": plan.id}
            )
        assert closing.finish(desk.engine, plan.id, final=True) == Counts(3, 3, 3, 0, 0, 0, 0)


def test_a_loops_status_between_its_executions(desk: Desk) -> None:
    desk.apply(execution={"type": "loop", "max_executions": 2})
    assert desk.status == "pending"
    desk.run(desk.plan(), FAILED, FAILED, FAILED)
    assert desk.status == "active"
    desk.run(desk.plan(), SENT, SENT, SENT)
    assert desk.status == "finished"


def test_two_executions_under_way_at_once(desk: Desk) -> None:
    desk.apply(execution={"type": "loop", "max_executions": 2})
    first, second = desk.plan(), desk.plan()
    with desk.sending(first), desk.sending(second):
        desk.record(second, desk.claim(second), SENT, SENT, FAILED)
        closing.finish(desk.engine, second.id, final=True)
        assert desk.status == "running"
        desk.record(first, desk.claim(first), SENT, SENT, SENT)
        closing.finish(desk.engine, first.id, final=True)
    # The last one to begin decides, not the last one to end.
    assert desk.status == "failed"


def test_an_unknown_execution(desk: Desk, plan: Plan) -> None:
    other = Desk(desk.engine)
    other.apply()
    for call in (
        lambda: closing.finish(desk.engine, 2**40, final=True),
        lambda: sending.fail_pending(Lease(desk.engine, 2**40), code="error", reason="no"),
        lambda: desk.sending(plan._replace(id=2**40)).__enter__(),
        lambda: other.sending(plan).__enter__(),
    ):
        with pytest.raises(UnknownExecution):
            call()
    with desk.sending(plan):  # what was refused holds nothing
        pass


# --- cleared runs -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("on_unknown", "claimed"),
    [("resend", ["b@example.com", "c@example.com"]), ("hold", ["b@example.com"])],
)
def test_a_cleared_run_sends_what_failed_and_nothing_that_was_sent(
    desk: Desk, plan: Plan, on_unknown: str, claimed: list[str]
) -> None:
    desk.run(plan, SENT, FAILED, UNKNOWN)
    before = desk.deliveries(plan)[0]
    with desk.sending(plan, on_unknown):
        assert (desk.status, desk.execution(plan).state, desk.execution(plan).finished_at) == (
            "running",
            "running",
            None,
        )
        again = desk.claim(plan)
        assert [d.to for d in again] == claimed
        desk.record(plan, again, *[SENT] * len(again))
        closing.finish(desk.engine, plan.id, final=True)
    assert desk.deliveries(plan)[0] == before
    assert desk.status == ("finished" if on_unknown == "resend" else "failed")
    assert desk.row.executions == 1


def test_a_cleared_run_that_had_sent_all_sends_nothing(desk: Desk, plan: Plan) -> None:
    desk.run(plan, SENT, SENT, SENT)
    rows = desk.deliveries(plan)
    assert desk.run(plan).state == "succeeded"
    assert desk.deliveries(plan) == rows
    assert desk.status == "finished"


def test_a_retry_does_not_try_again_what_failed_for_good(desk: Desk, plan: Plan) -> None:
    desk.run(plan, SENT, FAILED, RETRY, final=False)
    with desk.sending(plan):
        assert [d.to for d in desk.claim(plan)] == ["c@example.com"]


# --- cancelled in the middle --------------------------------------------------------------------------


@pytest.mark.parametrize("final", [True, False])
@pytest.mark.parametrize("on_unknown", ["resend", "hold"])
def test_cancelled_in_the_middle(desk: Desk, plan: Plan, final: bool, on_unknown: str) -> None:
    with desk.sending(plan, on_unknown):
        chunk = desk.claim(plan, 2)
        assert tasks.cancel(desk.engine, desk.code) == 1
        assert desk.status == "cancelled"
        # What is being sent is not called back, what was not accepted is not tried again.
        assert (
            sending.record_and_claim(
                desk.lease(plan),
                [outcome(chunk[0], SENT), outcome(chunk[1], RETRY)],
                2,
                after=chunk[-1].id,
            )
            == []
        )
        counts = closing.finish(desk.engine, plan.id, final=final)
    assert counts == Counts(3, 1, 0, 0, 0, 2, 0)
    assert (desk.execution(plan).state, desk.status) == ("cancelled", "cancelled")
    ended = desk.execution(plan).finished_at

    with desk.sending(plan, on_unknown):  # its Airflow task is cleared
        assert desk.claim(plan) == []
        assert closing.finish(desk.engine, plan.id, final=final) == counts
    assert desk.execution(plan).finished_at == ended


@pytest.mark.parametrize("on_unknown", ["resend", "hold"])
def test_nothing_of_a_cancelled_task_is_sent_again(desk: Desk, plan: Plan, on_unknown: str) -> None:
    with desk.sending(plan, on_unknown):
        claimed = desk.claim(plan, 2)
        desk.record(plan, claimed[:1], FAILED)
    tasks.cancel(desk.engine, desk.code)  # one failed, one in doubt, one pending
    for _ in range(2):
        with desk.sending(plan, on_unknown):
            assert desk.claim(plan) == []
            counts = closing.finish(desk.engine, plan.id, final=True)
        assert desk.states(plan) == ["failed", "unknown", "cancelled"]
        assert (counts.state, desk.execution(plan).state, desk.status) == ("partial", "partial", "cancelled")


def test_cancelling_while_deliveries_are_claimed(desk: Desk) -> None:
    desk.apply(recipients=[f"u{n}@example.com" for n in range(300)])
    plan = desk.plan()
    barrier = Barrier(2)

    def send(_: int) -> int:
        sent = 0
        barrier.wait()
        with desk.sending(plan):
            chunk = desk.claim(plan, 5)
            while chunk:
                sent += len(chunk)
                chunk = sending.record_and_claim(
                    desk.lease(plan), [outcome(d, SENT) for d in chunk], 5, after=chunk[-1].id
                )
                if sent == 50:
                    barrier.wait()
            closing.finish(desk.engine, plan.id, final=True)
        return sent

    def cancel(_: int) -> int:
        barrier.wait()
        barrier.wait()
        return tasks.cancel(desk.engine, desk.code)

    with ThreadPoolExecutor(2) as pool:
        sent, cancelled = pool.submit(send, 0), pool.submit(cancel, 0)
        assert sent.result() + cancelled.result() == 300
    assert desk.states(plan).count("cancelled") == cancelled.result()
    assert desk.status == "cancelled"


# --- processes that die -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("on_unknown", "in_doubt", "claimed"),
    [
        ("resend", ("pending", "in-doubt"), ["b@example.com", "c@example.com"]),
        ("hold", ("unknown", "interrupted"), ["c@example.com"]),
    ],
)
def test_a_process_killed_between_claim_and_record(
    desk: Desk, plan: Plan, other_process: OtherProcess, on_unknown: str, in_doubt: tuple[str, str], claimed: list[str]
) -> None:
    neighbour = Desk(desk.engine)
    neighbour.apply()
    untouched = neighbour.plan()
    with neighbour.sending(untouched), other_process(desk, plan, DIES) as process:
        neighbour.claim(untouched, 1)
        sent, doubtful, pending = desk.deliveries(plan)
        assert [row.state for row in (sent, doubtful, pending)] == ["sent", "sending", "pending"]
        with pytest.raises(ExecutionBusy, match=f"execution {plan.id}"), desk.sending(plan, on_unknown):
            pytest.fail("two processes have the execution")
        assert desk.states(plan) == ["sent", "sending", "pending"]

        process.send_signal(signal.SIGKILL)
        process.wait()
        with pytest.raises(ExecutionBusy, match=f"Process {process.pid} on "), desk.sending(plan, on_unknown):
            pytest.fail("nobody knows yet that its holder is gone")
        desk.lapse(plan)
        with desk.sending(plan, on_unknown):
            after = desk.deliveries(plan)
            assert after[0] == sent
            assert after[2] == pending
            assert (after[1].state, after[1].error_code) == in_doubt
            assert neighbour.states(untouched) == ["sending", "pending", "pending"]
            again = desk.claim(plan)
            assert [d.to for d in again] == claimed
            desk.record(plan, again, *[SENT] * len(again))
            counts = closing.finish(desk.engine, plan.id, final=True)
    assert counts.sent + counts.unknown == 3
    assert counts.unknown == (on_unknown == "hold")


def test_an_execution_is_free_again_after_its_block_even_with_an_error(desk: Desk, plan: Plan) -> None:
    for _ in range(2):
        with pytest.raises(RuntimeError, match="boom"), desk.sending(plan):  # noqa: PT012  (the block is the test)
            with pytest.raises(ExecutionBusy), desk.sending(plan):
                pytest.fail("taken twice")
            raise RuntimeError("boom")


# --- in doubt, and not sent again ---------------------------------------------------------------------


def give_back(desk: Desk, plan: Plan) -> None:
    """Claim what is pending while the server cannot be reached."""
    sending.record(desk.lease(plan), [Outcome(one.id, RETRY) for one in desk.claim(plan)])


def not_reached(desk: Desk, plan: Plan) -> None:
    with desk.sending(plan):
        give_back(desk, plan)
        closing.finish(desk.engine, plan.id, final=False, resend_unknown=True)
    with desk.sending(plan):
        give_back(desk, plan)
        closing.finish(desk.engine, plan.id, final=True, error="cannot be reached")


def asked_to_come_later(desk: Desk, plan: Plan) -> None:
    with desk.sending(plan):
        claimed = desk.claim(plan)
        desk.record(plan, claimed, *[RETRY] * len(claimed))
        closing.finish(desk.engine, plan.id, final=True)


def not_configured(desk: Desk, plan: Plan) -> None:
    with desk.sending(plan) as lease:
        give_back(desk, plan)
        sending.fail_pending(lease, code="configuration", reason="no such connection")
        closing.finish(desk.engine, plan.id, final=True)


def closed_before_its_claim(desk: Desk, plan: Plan) -> None:
    with desk.sending(plan):
        assert closing.close(desk.engine, plan.id, error="Ann marked the run")


def closed_while_it_is_claimed(desk: Desk, plan: Plan) -> None:
    with desk.sending(plan):
        claimed = desk.claim(plan)
        assert closing.close(desk.engine, plan.id, error="Ann marked the run")
        sending.record(desk.lease(plan), [Outcome(one.id, RETRY) for one in claimed])
        closing.finish(desk.engine, plan.id, final=False, resend_unknown=True)


def killed_once_more(desk: Desk, plan: Plan) -> None:
    with desk.sending(plan):
        desk.claim(plan, 1)
    not_reached(desk, plan)


def cancelled_before_its_claim(desk: Desk, plan: Plan) -> None:
    with desk.sending(plan):
        assert tasks.cancel(desk.engine, desk.code) == 1
        assert desk.claim(plan) == []
        closing.finish(desk.engine, plan.id, final=False, resend_unknown=True)


def cancelled_while_it_is_claimed(desk: Desk, plan: Plan) -> None:
    with desk.sending(plan):
        claimed = desk.claim(plan)
        assert tasks.cancel(desk.engine, desk.code) == 0
        sending.record(desk.lease(plan), [Outcome(one.id, RETRY) for one in claimed])
        closing.finish(desk.engine, plan.id, final=False, resend_unknown=True)


def cancelled_between_tries(desk: Desk, plan: Plan) -> None:
    with desk.sending(plan):
        give_back(desk, plan)
    tasks.cancel(desk.engine, desk.code)
    with desk.sending(plan):
        closing.finish(desk.engine, plan.id, final=False, resend_unknown=True)


ENDS: dict[str, tuple[Callable[[Desk, Plan], None], str]] = {
    "not reached": (not_reached, "failed"),
    "asked to come later": (asked_to_come_later, "failed"),
    "not configured": (not_configured, "failed"),
    "killed once more": (killed_once_more, "failed"),
    "closed before its claim": (closed_before_its_claim, "failed"),
    "closed while it is claimed": (closed_while_it_is_claimed, "failed"),
    "cancelled before its claim": (cancelled_before_its_claim, "cancelled"),
    "cancelled while it is claimed": (cancelled_while_it_is_claimed, "cancelled"),
    "cancelled between tries": (cancelled_between_tries, "cancelled"),
}
"""How an execution ends that sends nothing more, and what becomes of those of whom nobody was in doubt."""


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("name", ENDS)
def test_what_may_have_arrived_is_in_doubt_when_no_later_try_gets_through(
    desk: Desk, plan: Plan, name: str, killed: bool
) -> None:
    end, others = ENDS[name]
    with desk.sending(plan):
        sent, doubtful = desk.claim(plan, 2)
        desk.record(plan, [sent], SENT)
        if not killed:
            desk.record(plan, [doubtful], UNKNOWN)
    end(desk, plan)
    rows = desk.deliveries(plan)
    assert [row.state for row in rows] == ["sent", "unknown", others]
    words = (
        "The sending process ended before the answer was on record" if killed else "no answer to the end of the message"
    )
    assert (rows[1].error_code, rows[1].error_text) == ("in-doubt", words)
    row = desk.execution(plan)
    assert (row.state, row.sent, row.unknown, getattr(row, others)) == ("partial", 1, 1, 1)


@pytest.mark.parametrize(
    ("result", "state", "code"),
    [
        (SENT, "sent", None),
        (FAILED, "failed", "550"),
        (UNKNOWN, "unknown", "timeout"),
        (RETRY, "unknown", "in-doubt"),
    ],
)
def test_a_later_answer_settles_what_was_in_doubt(
    desk: Desk, plan: Plan, result: Result, state: str, code: str | None
) -> None:
    desk.run(plan, UNKNOWN, UNKNOWN, UNKNOWN, final=False)
    desk.run(plan, result, SENT, SENT)
    row = desk.deliveries(plan)[0]
    assert (row.state, row.error_code, row.attempts) == (state, code, 2)


def test_what_failed_after_it_was_in_doubt_and_is_sent_again_is_in_doubt_no_more(desk: Desk, plan: Plan) -> None:
    desk.run(plan, UNKNOWN, SENT, SENT, final=False)
    desk.run(plan, FAILED)
    desk.run(plan, RETRY)
    assert states(desk, plan) == [("failed", "451"), ("sent", None), ("sent", None)]


# --- lists --------------------------------------------------------------------------------------------


def test_deliveries_are_found_by_each_filter_newest_first(desk: Desk) -> None:
    desk.apply(execution=LOOP)
    first, second = desk.plan(), desk.plan()
    desk.run(first, SENT, FAILED, SENT)

    def found(engine: Engine, **filters: Any) -> list[tuple[int, str]]:
        return [(row.execution_id, row.recipient[0]) for row in deliveries.find(engine, task=desk.code, **filters)]

    one, two = first.id, second.id
    assert found(desk.engine) == [(two, "c"), (two, "b"), (two, "a"), (one, "c"), (one, "b"), (one, "a")]
    assert found(desk.engine, execution=one, state="sent") == [(one, "c"), (one, "a")]
    assert found(desk.engine, recipient="b@example.com") == [(two, "b"), (one, "b")]
    assert found(desk.engine, limit=2, offset=2) == [(two, "a"), (one, "c")]


# --- closed by somebody else ------------------------------------------------------------------------------


def states(desk: Desk, plan: Plan) -> list[tuple[str, str | None]]:
    rows = deliveries.find(desk.engine, execution=plan.id, limit=100)
    return sorted((row.state.value, row.error_code) for row in rows)


def test_what_is_in_doubt_stays_so_until_the_next_try_begins_or_the_execution_is_closed(desk: Desk) -> None:
    desk.apply(recipients=["a@example.com", "b@example.com", "c@example.com"])
    plan = desk.plan()
    with desk.sending(plan):
        one, two, three = desk.claim(plan)
        desk.record(plan, [one, two, three], SENT, UNKNOWN, RETRY)
        counts = closing.finish(desk.engine, plan.id, final=False, resend_unknown=True)
        assert (counts.sent, counts.unknown, counts.pending) == (1, 0, 2)
    assert desk.execution(plan).finished_at is None
    assert states(desk, plan) == [("pending", "451"), ("sent", None), ("unknown", "timeout")]
    assert closing.close(desk.engine, plan.id, error="Ann marked the run")
    assert states(desk, plan) == [("failed", "451"), ("sent", None), ("unknown", "timeout")]
    row = desk.execution(plan)
    assert (row.state, row.sent, row.failed, row.unknown) == ("partial", 1, 1, 1)


def test_what_a_sender_says_of_a_closed_execution_leaves_it_closed(desk: Desk) -> None:
    desk.apply(recipients=[f"{name}@example.com" for name in "abcde"])
    plan = desk.plan()
    with desk.sending(plan):
        one, two, three, four, _ = desk.claim(plan)
        assert closing.close(desk.engine, plan.id, error="Ann deleted the DAG")
        assert not closing.close(desk.engine, plan.id, error="again")
        desk.record(plan, [one, two, three], SENT, RETRY, UNKNOWN)
        sending.record(desk.lease(plan), [Outcome(four.id, RETRY)])  # it was not begun
        assert states(desk, plan) == [
            ("failed", "451"),
            ("failed", "not-sent"),
            ("sent", None),
            ("unknown", "interrupted"),
            ("unknown", "timeout"),
        ]
        counts = closing.finish(desk.engine, plan.id, final=False, error="asked to end", resend_unknown=True)
        assert counts == Counts(total=5, sent=1, delivered=0, failed=2, unknown=2, cancelled=0, pending=0)
    row = desk.execution(plan)
    assert (row.state, row.error, row.sent, row.failed, row.unknown) == ("partial", "Ann deleted the DAG", 1, 2, 2)
