"""Executions while they are sent: one process holds one, claims its deliveries, and records what became of them.

``held`` takes an execution for one process, ``claim`` takes a chunk of pending deliveries, ``record`` writes their
outcomes. Each is one transaction, and a process may die between any two: what it claimed and did not record is in
doubt, and only that. All of them name the lease (:mod:`~push_provider.ledger.leases`): a process that has lost the
execution to another one takes and changes nothing of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from sqlalchemy import Connection, Engine, func, select, text, update

from push_provider.channels.base import Delivery, Outcome, Result
from push_provider.exceptions import ExecutionBusy, NothingToRedrive, UnknownExecution
from push_provider.ledger import executions, leases, moving, spans, suppressions, tasks
from push_provider.ledger.engine import storable, transaction
from push_provider.ledger.leases import Lease
from push_provider.ledger.tables import (
    DeliveryState,
    ExecutionState,
    TaskStatus,
    push_delivery,
    push_execution,
    push_task,
)

_LOOK = 0.25
"""Seconds between two looks whether another process has ended."""
_RECORDED: Mapping[Result, DeliveryState] = {
    Result.SENT: DeliveryState.SENT,
    Result.FAILED: DeliveryState.FAILED,
    Result.RETRY: DeliveryState.PENDING,
    Result.UNKNOWN: DeliveryState.UNKNOWN,
}


class CalledOff(NamedTuple):
    """Whether, and how, an execution that is being sent was called off meanwhile.

    :param cancelled: its push task is cancelled.
    :param closed: it has ended: somebody else closed it.
    :param error: why, if it failed.
    """

    cancelled: bool
    closed: bool
    error: str | None


def called_off(engine: Engine, execution: int) -> CalledOff:
    """Whether an execution was called off; one that is gone is closed."""
    query = (
        select(
            push_task.c.status == TaskStatus.CANCELLED,
            push_execution.c.finished_at.is_not(None),
            push_execution.c.error,
        )
        .join_from(push_execution, push_task, push_task.c.code == push_execution.c.task_code)
        .where(push_execution.c.id == execution)
    )
    with transaction(engine) as connection:
        row = connection.execute(query).first()
    return CalledOff(*row) if row else CalledOff(cancelled=False, closed=True, error="It was deleted meanwhile")


def pending(engine: Engine, execution: int) -> int:
    """How many deliveries of an execution have no outcome yet."""
    open_ = push_delivery.c.state.in_((DeliveryState.PENDING, DeliveryState.SENDING))
    query = select(func.count()).where(push_delivery.c.execution_id == execution, open_)
    with transaction(engine) as connection:
        return connection.execute(query.where(spans.of(connection, execution).holds)).scalar_one()


@contextmanager
def held(
    engine: Engine,
    code: str,
    execution: int,
    *,
    on_unknown: str,
    seconds: float = leases.SECONDS,
    wait: float = leases.SECONDS + 1,
    patience: Callable[[Callable[[], None]], None] = lambda take: take(),
) -> Iterator[Lease]:
    """Take an execution for this process alone, and settle what a process that died left in doubt.

    Deliveries that were claimed and never recorded become ``unknown``; with ``resend`` they, and all that
    is unknown, are pending again, and in doubt until an answer tells (:data:`~push_provider.ledger.moving.IN_DOUBT`).
    An execution that had ended (its Airflow task was cleared) is opened again: what failed is pending again.
    Of a cancelled task nothing is pending again. What is pending and goes to an address that is gone fails here.

    :param on_unknown: ``resend`` or ``hold``.
    :param seconds: for which this process may be silent.
    :param wait: seconds until another process has ended, or its lease has: one that is dead says nothing of it.
    :param patience: calls what takes the execution, once or more often.
    :raises UnknownExecution: there is none of this id in this task.
    :raises ExecutionBusy: another process is sending this execution.
    """
    lease = Lease(engine, execution, seconds=seconds)
    patience(lambda: _take(lease, code, on_unknown, time.monotonic() + wait))
    with lease:
        yield lease


def _take(lease: Lease, code: str, on_unknown: str, until: float) -> None:
    while True:
        began = time.monotonic()
        try:
            with transaction(lease.engine) as connection:
                moving.hold(connection, code)
                state, status = _standing(connection, code, lease.execution)
                lease.take(connection)
                cancelled = status == TaskStatus.CANCELLED
                _reopen(connection, lease.execution, state, on_unknown, cancelled=cancelled)
                suppressions.fail_pending(connection, lease.execution)
                tasks.lock(connection, code)
                if not cancelled:
                    _note_open(connection, lease.execution)
                tasks.settle(connection, code)
            return lease.renew()
        except ExecutionBusy:
            if began >= until:  # the last try begins when the other's lease must be over, however long this one took
                raise
            time.sleep(_LOOK)


def claim(
    lease: Lease,
    limit: int,
    *,
    after: int = 0,
    boundary: int = 1,
    unheard: bool = False,
    receipt_after: float | None = None,
    config: str | None = None,
) -> list[Delivery]:
    """Take up to ``limit`` pending deliveries with ids beyond ``after``, in order of their ids.

    :param boundary: the claim ends before a multiple of it, unless nothing more is pending; at most ``limit``. Fewer
        than ``limit`` by less than this are no sign that there are no more.
    :param unheard: a claim before may have come true though its answer did not arrive: what it took comes again.
    :param receipt_after: seconds from now when receipts are first asked for, also if this process dies; None: never.
    :param config: the sender configuration to ask for receipts, if the task names none.
    :raises ExecutionTaken: another process has taken the execution over.
    """
    with lease.transaction() as connection:
        return _claim(connection, lease, limit, after, boundary, receipt_after, config, unheard=unheard)


def record(lease: Lease, outcomes: Sequence[Outcome]) -> None:
    """Write the outcomes of claimed deliveries: sent, failed, unknown, or pending again.

    :raises ExecutionTaken: another process has taken the execution over.
    """
    with lease.transaction() as connection:
        _record(connection, outcomes)


def record_and_claim(
    lease: Lease,
    outcomes: Sequence[Outcome],
    limit: int,
    *,
    after: int,
    boundary: int = 1,
    unheard: bool = False,
    receipt_after: float | None = None,
    config: str | None = None,
) -> list[Delivery]:
    """:func:`record` and :func:`claim` in one transaction: half the commits of a large execution.

    :param limit: 0 claims nothing.
    """
    with lease.transaction() as connection:
        _record(connection, outcomes)
        return _claim(connection, lease, limit, after, boundary, receipt_after, config, unheard=unheard)


def fail_pending(lease: Lease, *, code: str, reason: str) -> int:
    """Fail all that is pending, for a reason that concerns the whole execution; returns how many.

    What is in doubt is unknown instead.

    :raises UnknownExecution: it is gone.
    :raises ExecutionTaken: another process has taken the execution over.
    """
    with transaction(lease.engine) as connection:
        moving.hold_of(connection, lease.execution)
        lease.renew_within(connection, moves=True)
        words = {"error_code": code, "error_text": storable(reason)[:500]}
        return moving.move(connection, lease.execution, DeliveryState.PENDING, DeliveryState.FAILED, **words)


def prepare_redrive(engine: Engine, execution: int, *, unknown: bool | None) -> executions.ExecutionRow:
    """Make sure that an execution can be sent again to those who did not get it, and decide about those in doubt.

    :param unknown: whether deliveries in doubt are sent again, too; None leaves it to the task's ``on_unknown``.
        The decision holds for this execution from now on.
    :raises UnknownExecution: there is none of this id.
    :raises NothingToRedrive: it is still under way, was cancelled, or nothing of it failed.
    """
    with transaction(engine) as connection:
        task = tasks.lock(connection, executions.task_of(connection, execution))
        row = executions.found(connection, execution)
        if task.status == TaskStatus.CANCELLED:
            raise NothingToRedrive(f"Push task {row.task_code!r} is cancelled: nothing of it is sent any more.")
        if row.finished_at is None:
            raise NothingToRedrive(f"Execution {execution} is still under way ({row.state.value}).")
        if row.number is None:
            raise NothingToRedrive(f"Execution {execution} was refused before it began. Trigger the task again.")
        if not row.failed and not (row.unknown and unknown is not False):
            doubtful = f", {row.unknown} in doubt" if row.unknown else ""
            raise NothingToRedrive(
                f"Nothing of execution {execution} failed: {row.sent} of {row.total} sent, {row.cancelled} cancelled"
                f"{doubtful}."
            )
        if unknown is not None:
            policy = "resend" if unknown else "hold"
            connection.execute(update(push_execution).where(push_execution.c.id == execution).values(on_unknown=policy))
    return row


_CLAIM = """
    UPDATE push_delivery
    SET state = 'sending', attempts = attempts + (state = 'pending')::int, updated_at = now(), tried_at = now(),
        config = :config,
        receipt_checks = 0, receipt_due = now() + make_interval(secs => CAST(:receipt_after AS double precision))
    WHERE id BETWEEN :first AND :last AND id = ANY (ARRAY (
        SELECT id FROM push_delivery
        WHERE execution_id = :execution AND id BETWEEN :first AND :last AND {which}
        ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED))
    RETURNING id, recipient, variables
"""
_LIMIT = """
    SELECT id FROM push_delivery
    WHERE execution_id = :execution AND id BETWEEN :first AND :last AND {which}
    ORDER BY id OFFSET :before LIMIT 1
"""
_PENDING, _UNHEARD = "state = 'pending'", "state IN ('pending', 'sending')"
"""Deliveries are claimed in order of their ids: what is being sent beyond the last known was claimed unheard."""
_CLAIM_PENDING, _CLAIM_UNHEARD = (text(_CLAIM.format(which=which)) for which in (_PENDING, _UNHEARD))
_LIMIT_PENDING, _LIMIT_UNHEARD = (text(_LIMIT.format(which=which)) for which in (_PENDING, _UNHEARD))
"""The last that a claim may take."""


def _claim(
    connection: Connection,
    lease: Lease,
    limit: int,
    after: int,
    boundary: int,
    receipt_after: float | None,
    config: str | None,
    *,
    unheard: bool,
) -> list[Delivery]:
    if not limit:
        return []
    which = {"execution": lease.execution, "first": max(lease.span.first, after + 1), "last": lease.span.last}
    if boundary > 1:
        query = _LIMIT_UNHEARD if unheard else _LIMIT_PENDING
        if end := connection.execute(query, {**which, "before": limit - 1}).scalar():
            which["last"] = (end + 1) // boundary * boundary - 1
    values = {**which, "limit": limit, "receipt_after": receipt_after, "config": config}
    rows = connection.execute(_CLAIM_UNHEARD if unheard else _CLAIM_PENDING, values)
    return sorted(Delivery(*row) for row in rows)


_STILL_IN_DOUBT = f"o.state = 'pending' AND d.error_code = '{moving.IN_DOUBT}'"
_CLOSED = "o.state = 'pending' AND d.state = 'unknown'"
_RECORD = text(f"""
    UPDATE push_delivery AS d
    SET state = CASE WHEN {_STILL_IN_DOUBT} THEN CASE d.state WHEN 'sending' THEN 'pending' ELSE 'unknown' END
                     WHEN {_CLOSED} THEN 'failed' ELSE o.state END,
        provider_id = CASE WHEN {_STILL_IN_DOUBT} THEN d.provider_id ELSE o.provider_id END,
        error_code = CASE WHEN {_STILL_IN_DOUBT} THEN d.error_code
                          WHEN {_CLOSED} THEN coalesce(o.code, 'not-sent') ELSE o.code END,
        error_text = CASE WHEN {_STILL_IN_DOUBT} THEN d.error_text
                          WHEN {_CLOSED}
                          THEN coalesce(o.reason, 'The execution was closed before the message was begun')
                          ELSE o.reason END,
        updated_at = now(), sent_at = CASE WHEN o.state = 'sent' THEN now() END,
        receipt_due = CASE WHEN o.state IN ('sent', 'unknown') OR {_STILL_IN_DOUBT} THEN d.receipt_due END
    FROM unnest(CAST(:ids AS bigint[]), CAST(:states AS text[]), CAST(:provider_ids AS text[]),
                CAST(:codes AS text[]), CAST(:reasons AS text[])) AS o (id, state, provider_id, code, reason)
    WHERE d.id = o.id AND d.id BETWEEN :first AND :last
        AND (d.state = 'sending'
            OR (d.state = 'unknown' AND d.error_code IN ('{moving.INTERRUPTED}', '{moving.IN_DOUBT}')))
""")  # noqa: S608  (constants of ours)
"""An answer counts also if somebody has closed the execution meanwhile, and with that left the delivery in doubt. What
would be tried again then never is. What an earlier try left in doubt is so until an answer tells; that it is to be
tried again does not."""


def _record(connection: Connection, outcomes: Sequence[Outcome]) -> None:
    if not outcomes:
        return
    if gone := [outcome for outcome in outcomes if outcome.gone]:
        suppressions.note(connection, gone)
    connection.execute(
        _RECORD,
        {
            **spans.values([o.id for o in outcomes]),
            "states": [_RECORDED[o.result].value for o in outcomes],
            "provider_ids": [o.provider_id for o in outcomes],
            # The words of an accepted message ("250 queued as …") are worth nothing later; those of a refusal are.
            "codes": [None if o.result is Result.SENT or not o.code else storable(o.code) for o in outcomes],
            "reasons": [None if o.result is Result.SENT or not o.text else storable(o.text)[:500] for o in outcomes],
        },
    )


def _standing(connection: Connection, code: str, execution: int) -> tuple[str, str]:
    """The states of an execution, which is not dropped before the transaction ends, and of its push task."""
    this = (push_execution.c.id == execution, push_execution.c.task_code == code)
    query = select(push_execution.c.state, push_task.c.status).join_from(push_execution, push_task).where(*this)
    row = connection.execute(query.with_for_update(read=True, key_share=True, of=push_execution)).first()
    if row is None:
        raise UnknownExecution(f"Push task {code!r} has no execution {execution}.")
    return row.state, row.status


def _reopen(connection: Connection, execution: int, state: str, on_unknown: str, *, cancelled: bool) -> None:
    moving.interrupted(connection, execution)
    if cancelled:
        moving.move(connection, execution, DeliveryState.PENDING, DeliveryState.CANCELLED)
        return
    if on_unknown == "resend":
        doubt = {"error_code": moving.IN_DOUBT}
        moving.move(connection, execution, DeliveryState.UNKNOWN, DeliveryState.PENDING, **doubt)
    if state in (ExecutionState.FAILED, ExecutionState.PARTIAL):
        moving.move(connection, execution, DeliveryState.FAILED, DeliveryState.PENDING)


def _note_open(connection: Connection, execution: int) -> None:
    connection.execute(
        update(push_execution)
        .where(push_execution.c.id == execution)
        .values(
            state=ExecutionState.RUNNING,
            started_at=func.coalesce(push_execution.c.started_at, func.now()),
            finished_at=None,
        )
    )
