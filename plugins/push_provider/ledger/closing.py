"""Executions end in the ledger: what became of their deliveries is counted, and what is left is settled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Connection, Engine, func, select, update

from push_provider.ledger import executions, leases, moving, spans, tasks, writing
from push_provider.ledger.engine import storable, transaction
from push_provider.ledger.tables import (
    DeliveryState,
    ExecutionState,
    TaskStatus,
    push_delivery,
    push_execution,
    push_lease,
    push_task,
)

if TYPE_CHECKING:
    from push_provider.ledger.leases import Lease


class Counts(NamedTuple):
    """How many deliveries of an execution are in which state."""

    total: int
    sent: int
    delivered: int
    """Of those sent."""
    failed: int
    unknown: int
    cancelled: int
    pending: int

    @property
    def add_up(self) -> bool:
        """Whether they can be true."""
        parts = self.sent + self.failed + self.unknown + self.cancelled + self.pending
        return parts == self.total and 0 <= self.delivered <= self.sent and min(self) >= 0

    @property
    def state(self) -> ExecutionState:
        """The state of the execution when no more is sent."""
        if self.cancelled and not self.failed and not self.unknown:
            return ExecutionState.CANCELLED
        if self.sent == self.total:
            return ExecutionState.SUCCEEDED
        return ExecutionState.PARTIAL if self.sent or self.unknown else ExecutionState.FAILED


def finish(
    engine: Engine,
    execution: int,
    *,
    final: bool,
    error: str | None = None,
    resend_unknown: bool = False,
    lease: Lease | None = None,
) -> Counts:
    """Count what became of an execution, and close it.

    :param final: no more tries: what is pending has failed, unless an earlier try left it in doubt; that is unknown,
        as is what was claimed and not recorded.
        Otherwise an execution with pending deliveries stays open for the next try, unless its task is
        cancelled. One that somebody has closed meanwhile stays closed, for the reason that it was closed for.
    :param error: why the execution failed as a whole, if it did.
    :param resend_unknown: unless this is final, what nobody can tell is for the next try, too, and counts as pending.
        It stays unknown until that begins: there may be none.
    :param lease: of who sends it, and closes it only if it still is the one.
    :raises UnknownExecution: there is none of this id.
    :raises ExecutionTaken: another process has taken the execution over.
    """
    with transaction(engine) as connection:
        return _finish(connection, execution, lease, final=final, error=error, resend_unknown=resend_unknown)


def _finish(
    connection: Connection,
    execution: int,
    lease: Lease | None,
    *,
    final: bool,
    error: str | None,
    resend_unknown: bool,
) -> Counts:
    code = moving.hold_of(connection, execution)
    if lease is None:
        leases.hold(connection, [execution])
    else:
        lease.renew_within(connection, moves=True)
    columns = push_execution.c
    query = select(columns.finished_at, columns.error, columns.list_id, columns.total, push_task.c.status)
    found = connection.execute(query.join_from(push_execution, push_task).where(columns.id == execution)).first()
    if found is None:
        raise executions.unknown(execution)
    if found.finished_at is not None:
        final, error = True, found.error
    error = storable(error) if error else None
    cancelled = found.status == TaskStatus.CANCELLED
    # If its run did not come to them, they are written when it has ended, as what became of them then.
    unwritten = writing.left(connection, execution) if found.list_id is not None else None
    if unwritten is not None:
        state = DeliveryState.CANCELLED if cancelled else DeliveryState.FAILED if final else DeliveryState.PENDING
        counts = _counts({state: unwritten})
    else:
        counts = _settle_all(connection, execution, error, final=final, cancelled=cancelled)
    tasks.lock(connection, code)
    # Until the task was locked, messages may have brought more to an execution that nobody has begun to send.
    total = connection.execute(select(columns.total).where(columns.id == execution)).scalar_one()
    if unwritten is None and total != found.total:
        counts = _settle_all(connection, execution, error, final=final, cancelled=cancelled)
    _write_counts(connection, execution, counts, error=error)
    if resend_unknown and not (final or cancelled):
        counts = counts._replace(pending=counts.pending + counts.unknown, unknown=0)
    if not counts.pending:
        ended = {"state": counts.state, "finished_at": func.coalesce(columns.finished_at, func.now())}
        connection.execute(update(push_execution).where(columns.id == execution).values(**ended))
    tasks.settle(connection, code)
    return counts


def _settle_all(connection: Connection, execution: int, error: str | None, *, final: bool, cancelled: bool) -> Counts:
    """Bring the deliveries of an execution into the states in which it leaves them; returns their counts."""
    if cancelled:
        moving.move(connection, execution, DeliveryState.PENDING, DeliveryState.CANCELLED)
    if final or cancelled:
        moving.interrupted(connection, execution)
    if final:
        moving.fail_pending(connection, execution, error)
    return _count(connection, execution)


def close(engine: Engine, execution: int, *, error: str) -> bool:
    """Close an execution whose run has ended for good, unless it has ended itself; whether it was open.

    What is pending has failed. What is being sent is in doubt, until its answer is on record.

    :param error: why it ended.
    """
    with transaction(engine) as connection:
        return close_within(connection, execution, error)


def close_within(connection: Connection, execution: int, error: str) -> bool:
    """The same as :func:`close`, as a part of a transaction."""
    moving.hold_of(connection, execution)
    if executions.found(connection, execution).finished_at is not None:
        return False
    _finish(connection, execution, None, final=True, error=error, resend_unknown=False)
    return True


class LeftOpen(NamedTuple):
    """An execution that is open and that nobody closes."""

    id: int
    task_code: str


def left_by_cancelling(engine: Engine, limit: int) -> list[LeftOpen]:
    """Executions of cancelled push tasks that nobody sends, and that wait for another try to close them.

    A try comes when Airflow makes it, and while the task's DAG is paused it makes none. A process that sends one closes
    it itself.
    """
    columns, lease = push_execution.c, push_lease.c
    sent = select(lease.execution_id).where(lease.execution_id == columns.id, lease.until > func.clock_timestamp())
    query = (
        select(columns.id, columns.task_code)
        .join_from(push_execution, push_task, push_task.c.code == columns.task_code)
        .where(columns.finished_at.is_(None), push_task.c.status == TaskStatus.CANCELLED, ~sent.exists())
        .order_by(columns.id)
        .limit(limit)
    )
    with transaction(engine) as connection:
        return [LeftOpen._make(row) for row in connection.execute(query)]


def count_moved(
    connection: Connection, execution: int, moved: Mapping[tuple[DeliveryState, DeliveryState], int]
) -> None:
    """Bring the counts and the state of an execution up to date, after receipts changed some of its deliveries.

    It costs the same however many deliveries there are. An execution that is under way is counted by whoever ends it.
    The caller holds its deliveries, has locked the task, and settles its status.

    :param moved: how many went from the one state to the other.
    """
    by: Counter[str] = Counter()
    for (before, after), number in moved.items():
        for name in _COUNTED_AS.get(before, ()):
            by[name] -= number
        for name in _COUNTED_AS.get(after, ()):
            by[name] += number
    columns = push_execution.c
    this = columns.id == execution
    row = connection.execute(
        update(push_execution)
        .where(this, columns.finished_at.is_not(None))
        .values({name: columns[name] + number for name, number in by.items()} or {"sent": columns.sent})
        .returning(*[columns[name] for name in Counts._fields if name != "pending"])
    ).first()
    if row is None:
        return
    counts = Counts._make((*row, 0))
    if not counts.add_up:  # a process died between an answer and the count of it
        counts = _count(connection, execution)
        _write_counts(connection, execution, counts)
    connection.execute(update(push_execution).where(this, columns.state != counts.state).values(state=counts.state))


_COUNTED_AS: Mapping[DeliveryState, tuple[str, ...]] = {
    DeliveryState.SENT: ("sent",),
    DeliveryState.DELIVERED: ("sent", "delivered"),
    DeliveryState.FAILED: ("failed",),
    DeliveryState.UNKNOWN: ("unknown",),
    DeliveryState.CANCELLED: ("cancelled",),
}
"""The counts that a delivery in a state is in."""


def _write_counts(connection: Connection, execution: int, counts: Counts, **values: Any) -> None:
    """Write the counts of an execution and ``values`` to its row."""
    numbers = {name: getattr(counts, name) for name in ("sent", "delivered", "failed", "unknown", "cancelled")}
    connection.execute(update(push_execution).where(push_execution.c.id == execution).values(**numbers, **values))


def _count(connection: Connection, execution: int) -> Counts:
    rows = connection.execute(
        select(push_delivery.c.state, func.count().label("n"))
        .where(push_delivery.c.execution_id == execution, spans.of(connection, execution).holds)
        .group_by(push_delivery.c.state)
    )
    return _counts({DeliveryState(row.state): row.n for row in rows})


def _counts(n: Mapping[DeliveryState, int]) -> Counts:
    return Counts(
        total=sum(n.values()),
        sent=n.get(DeliveryState.SENT, 0) + n.get(DeliveryState.DELIVERED, 0),
        delivered=n.get(DeliveryState.DELIVERED, 0),
        failed=n.get(DeliveryState.FAILED, 0),
        unknown=n.get(DeliveryState.UNKNOWN, 0),
        cancelled=n.get(DeliveryState.CANCELLED, 0),
        pending=n.get(DeliveryState.PENDING, 0) + n.get(DeliveryState.SENDING, 0),
    )
