"""Executions in the ledger, from the moment one begins until everybody's outcome is on record.

``plan`` reserves an execution and writes its deliveries, ``sending`` takes it for one process, ``claim`` takes
a chunk of pending deliveries, ``record`` writes their outcomes, ``finish`` closes it. Each is one transaction,
and a process may die between any two: what it claimed and did not record is in doubt, and only that.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Row,
    Select,
    any_,
    cast,
    delete,
    func,
    insert,
    or_,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DBAPIError, OperationalError

from push_provider import written
from push_provider.channels.base import Delivery, Outcome, Result
from push_provider.contract import PushTask, Trigger, parse_stored
from push_provider.exceptions import (
    ContentError,
    ExecutionBusy,
    FieldError,
    InvalidTask,
    NothingToRedrive,
    UnknownExecution,
)
from push_provider.ledger import tasks
from push_provider.ledger.engine import array_of, explained, transaction
from push_provider.ledger.tables import (
    DeliveryState,
    ExecutionState,
    TaskStatus,
    push_delivery,
    push_execution,
    push_task,
)

_COPY = "COPY push_delivery (execution_id, recipient, variables) FROM STDIN"
_MADE_ANEW = "Its run was deleted, and another one was made under the same id"
_LOCK_SPACE = 0x7075  # "pu": keeps our advisory locks apart from others in the database

_RECORDED: Mapping[Result, DeliveryState] = {
    Result.SENT: DeliveryState.SENT,
    Result.FAILED: DeliveryState.FAILED,
    Result.RETRY: DeliveryState.PENDING,
    Result.UNKNOWN: DeliveryState.UNKNOWN,
}


class Plan(NamedTuple):
    """An execution as it was planned: what a retry tomorrow sends is what was meant today."""

    id: int
    token: str
    """32 hex digits, unique in the whole world."""
    number: int
    task: PushTask
    """Without its recipients: they are the deliveries."""
    templates: Mapping[str, str]
    variables: Mapping[str, Any]
    """The trigger's."""
    source: str
    total: int
    scheduled_for: datetime | None
    error: str | None
    """Why its templates could not be read, if they could not: nothing of it can be sent."""
    new: bool
    """False if the execution was there already: the same run, or the same key."""


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
    def state(self) -> ExecutionState:
        """The state of the execution when no more is sent."""
        if self.cancelled and not self.failed and not self.unknown:
            return ExecutionState.CANCELLED
        if self.sent == self.total:
            return ExecutionState.SUCCEEDED
        return ExecutionState.PARTIAL if self.sent or self.unknown else ExecutionState.FAILED


class ExecutionRow(NamedTuple):
    """An execution, as lists show it."""

    id: int
    task_code: str
    number: int | None
    """None if its run was refused: it does not count."""
    run_id: str | None
    source: str
    triggered_by: str | None
    state: ExecutionState
    error: str | None
    total: int
    sent: int
    delivered: int
    failed: int
    unknown: int
    cancelled: int
    scheduled_for: datetime | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


def plan(
    engine: Engine,
    code: str,
    *,
    source: str,
    freeze: Callable[[PushTask], Mapping[str, str]],
    trigger: Trigger | None = None,
    run_id: str | None = None,
    run_after: datetime | None = None,
    key: str | None = None,
    triggered_by: str | None = None,
    scheduled_for: datetime | None = None,
) -> Plan:
    """Reserve an execution of a push task and write its deliveries; the same run or key again gives the first.

    An execution counts from here on, whatever becomes of it.

    :param source: what started it: ``schedule``, ``backfill``, ``manual``, ``cli``, ``rest``, ``kafka``, ``dag``.
    :param freeze: gives a task's template sources by name (:func:`push_provider.content.freeze`). If they
        cannot be read the execution begins all the same, so that its failure is on record.
    :param trigger: recipients and variables of this execution; left out, the task's own.
    :param run_id: the DAG run; left out, it is bound later with :func:`bind`.
    :param run_after: of that run, by which it is told from a later one of the same id.
    :param key: idempotency key, unique in the task.
    :raises UnknownTask: there is no such task.
    :raises TaskClosed: it is cancelled, or all its executions have begun.
    :raises InvalidTask: there is nobody to send to, or another version wrote the task and this one cannot read it.
    """
    with transaction(engine) as connection:
        return plan_within(
            connection,
            code,
            source=source,
            freeze=freeze,
            trigger=trigger,
            run_id=run_id,
            run_after=run_after,
            key=key,
            triggered_by=triggered_by,
            scheduled_for=scheduled_for,
        )


def plan_within(
    connection: Connection,
    code: str,
    *,
    source: str,
    freeze: Callable[[PushTask], Mapping[str, str]],
    trigger: Trigger | None = None,
    run_id: str | None = None,
    run_after: datetime | None = None,
    key: str | None = None,
    triggered_by: str | None = None,
    scheduled_for: datetime | None = None,
) -> Plan:
    """The same as :func:`plan`, as a part of a transaction."""
    trigger = trigger or Trigger()
    # From here to the commit no other execution of this task begins.
    row = tasks.locked(connection, code, recipients=False)
    existing = _existing(connection, code, run_id, key)
    if existing:
        return _plan(existing, new=False)
    inserted, number = reserve(
        connection,
        row,
        source=source,
        freeze=freeze,
        variables=trigger.variables,
        run_id=run_id,
        run_after=run_after,
        key=key,
        triggered_by=triggered_by,
        scheduled_for=scheduled_for,
    )
    if trigger.recipients is None:
        total = copy_own(connection, inserted, code)
    else:
        total = write_deliveries(connection, ((inserted, one.to, one.variables) for one in trigger.recipients))
    if not total:  # and with this error nothing of the above has happened
        raise InvalidTask(
            [FieldError("recipients", f"push task {code!r} has none of its own; name at least one in the trigger")]
        )
    planned = connection.execute(
        update(push_execution).where(push_execution.c.id == inserted).values(total=total).returning(*_PLAN_COLUMNS)
    ).one()
    if number == row.max_executions:
        tasks.changed(connection, code)  # its DAG loses its schedule
    return _plan(planned, new=True)


def reserve(
    connection: Connection,
    row: tasks.TaskRow,
    *,
    source: str,
    freeze: Callable[[PushTask], Mapping[str, str]],
    variables: Mapping[str, Any],
    run_id: str | None = None,
    run_after: datetime | None = None,
    key: str | None = None,
    triggered_by: str | None = None,
    scheduled_for: datetime | None = None,
) -> tuple[int, int]:
    """Count an execution of a locked task and write it down, without deliveries; parameters as :func:`plan` has them.

    :param row: the task, without its recipients.
    :param variables: the trigger's.
    :returns: its id, and its number in the task.
    :raises TaskClosed: the task is cancelled, or all its executions have begun. Nothing has changed then.
    :raises InvalidTask: another version wrote the task and this one cannot read it. Nothing has changed then.
    """
    task = row.task()
    number = tasks.count_execution(connection, row)
    _forget_refusal(connection, row.code, run_id, run_after)
    try:
        templates, error = dict(freeze(task)), None
    except ContentError as fault:
        templates, error = {}, storable(str(fault))
    snapshot = _snapshot(row, templates=templates, variables=variables, error=error, run_after=run_after)
    inserted = connection.execute(
        insert(push_execution)
        .values(
            task_code=row.code,
            number=number,
            run_id=run_id,
            source=source,
            triggered_by=triggered_by,
            idempotency_key=key,
            snapshot=snapshot,
            error=error,
            scheduled_for=scheduled_for,
        )
        .returning(push_execution.c.id)
    ).scalar_one()
    return inserted, number


def refuse(
    engine: Engine,
    code: str,
    *,
    source: str,
    run_id: str,
    error: str,
    run_after: datetime | None = None,
    triggered_by: str | None = None,
    scheduled_for: datetime | None = None,
) -> None:
    """Put a run on record of which nothing can be planned: a failed execution without deliveries, which does not count.

    If the run is tried again and then begins, its execution takes the place of this one.

    :param error: why.
    :raises UnknownTask: there is no such task.
    """
    with transaction(engine) as connection:
        row = tasks.locked(connection, code, recipients=False)
        known = _existing(connection, code, run_id, None)
        if known and not _is_earlier(known.snapshot.get("run_after"), run_after):
            return
        _of_run(connection, code, run_id, run_after)
        _forget_refusal(connection, code, run_id, run_after)
        words = storable(error)
        connection.execute(
            insert(push_execution).values(
                task_code=code,
                run_id=run_id,
                source=source,
                triggered_by=triggered_by,
                snapshot=_snapshot(row, templates={}, variables={}, error=words, run_after=run_after),
                error=words,
                state=ExecutionState.FAILED,
                scheduled_for=scheduled_for,
                finished_at=func.now(),
            )
        )


def _forget_refusal(connection: Connection, code: str, run_id: str | None, run_after: datetime | None) -> None:
    """Make room for the execution of a run that was refused; of another run of the same id the refusal stays."""
    if run_id is None:
        return
    refused = connection.execute(
        select(push_execution.c.id, _RUN_AFTER).where(
            push_execution.c.task_code == code, push_execution.c.run_id == run_id, push_execution.c.number.is_(None)
        )
    ).first()
    if refused is None:
        return
    this = push_execution.c.id == refused.id
    if _is_same_run(refused.run_after, run_after):
        connection.execute(delete(push_execution).where(this))
    else:
        connection.execute(update(push_execution).where(this).values(run_id=None))


def without_execution(
    engine: Engine, runs: Collection[tuple[str, str, datetime | None]]
) -> set[tuple[str, str, datetime | None]]:
    """Those of some DAG runs that have no execution, not even one that was refused.

    A run of the same id that was made anew, and has one, leaves no room for the one before.

    :param runs: each with its push task, its id, and when it runs after, by which runs of one id are told apart.
    """
    pairs = [(code, run_id) for code, run_id, _ in runs]
    query = select(push_execution.c.task_code, push_execution.c.run_id, _RUN_AFTER).where(
        tuple_(push_execution.c.task_code, push_execution.c.run_id).in_(pairs)
    )
    with transaction(engine) as connection:
        known = {(row.task_code, row.run_id): row.run_after for row in connection.execute(query)}
    return {
        (code, run_id, after)
        for code, run_id, after in runs
        if (code, run_id) not in known or _is_earlier(known[code, run_id], after)
    }


def bind(engine: Engine, code: str, execution: int, run_id: str) -> Plan:
    """Bind an execution that was planned before its DAG run existed to that run.

    :raises UnknownTask: there is no such task.
    :raises UnknownExecution: there is none of this id in this task, another run has it, or the run has
        another.
    """
    with transaction(engine) as connection:
        tasks.lock(connection, code)
        _forget_refusal(connection, code, run_id, None)
        bound = _existing(connection, code, run_id, None)
        if bound and bound.id != execution:
            raise UnknownExecution(
                f"conf.execution: run {run_id!r} of push task {code!r} has execution {bound.id} and cannot "
                f"take {execution}; begin it in a run of its own"
            )
        row = connection.execute(
            update(push_execution)
            .where(
                push_execution.c.id == execution,
                push_execution.c.task_code == code,
                or_(push_execution.c.run_id.is_(None), push_execution.c.run_id == run_id),
            )
            .values(run_id=run_id)
            .returning(*_PLAN_COLUMNS)
        ).first()
    if row is None:
        raise UnknownExecution(
            f"conf.execution: push task {code!r} has no execution {execution} that waits for a run; "
            "leave conf.execution out to begin a new one"
        )
    return _plan(row, new=False)


def of_run(engine: Engine, code: str, run_id: str, *, run_after: datetime | None = None) -> Plan | None:
    """The execution of a DAG run, if one was planned: a retried or cleared run has one.

    A run that was deleted and made anew under the same id is another one: the execution of the former is closed, and
    bound to no run any more.

    :param run_after: of the run; left out, every run of this id is the same.
    """
    with transaction(engine) as connection:
        tasks.lock(connection, code)
        row = _of_run(connection, code, run_id, run_after)
        return _plan(row, new=False) if row else None


def _of_run(connection: Connection, code: str, run_id: str, run_after: datetime | None) -> Row[Any] | None:
    row = _existing(connection, code, run_id, None)
    if row is None or _is_same_run(row.snapshot.get("run_after"), run_after):
        return row
    _close(connection, row.id, _MADE_ANEW)
    connection.execute(update(push_execution).where(push_execution.c.id == row.id).values(run_id=None))
    return None


_RUN_AFTER = push_execution.c.snapshot["run_after"].astext.label("run_after")


def _is_same_run(before: str | None, run_after: datetime | None) -> bool:
    """Whether two runs of one id are the same; of one of which it is not known when it runs after it is taken for it.

    :param before: the one's, as a snapshot has it.
    :param run_after: the other's.
    """
    return before is None or run_after is None or datetime.fromisoformat(before) == run_after


def _is_earlier(before: str | None, run_after: datetime | None) -> bool:
    """Whether the one of two runs of one id was there before the other; parameters as :func:`_is_same_run` has them."""
    return before is not None and run_after is not None and datetime.fromisoformat(before) < run_after


def has_key(engine: Engine, code: str, key: str) -> bool:
    """Whether an execution of the task has begun under this idempotency key."""
    with transaction(engine) as connection:
        return _existing(connection, code, None, key) is not None


def busy_at(engine: Engine, code: str, moment: datetime) -> bool:
    """Whether an execution of the task was under way at ``moment``."""
    with transaction(engine) as connection:
        under_way = select(push_execution.c.id).where(
            push_execution.c.task_code == code,
            push_execution.c.created_at <= moment,
            or_(push_execution.c.finished_at.is_(None), push_execution.c.finished_at > moment),
        )
        return bool(connection.execute(select(under_way.exists())).scalar())


def pending(engine: Engine, execution: int) -> int:
    """How many deliveries of an execution have no outcome yet."""
    open_ = push_delivery.c.state.in_((DeliveryState.PENDING, DeliveryState.SENDING))
    query = select(func.count()).where(push_delivery.c.execution_id == execution, open_)
    with transaction(engine) as connection:
        return connection.execute(query).scalar_one()


class Standing(NamedTuple):
    """Whether an execution is still to be sent.

    :param cancelled: its push task is cancelled.
    :param closed: it has ended: somebody else closed it.
    :param error: why, if it failed.
    """

    cancelled: bool
    closed: bool
    error: str | None


def standing(engine: Engine, execution: int) -> Standing:
    """Whether an execution is still to be sent; one that is gone is closed."""
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
    return Standing(*row) if row else Standing(cancelled=False, closed=True, error="It was deleted meanwhile")


@contextmanager
def sending(engine: Engine, code: str, execution: int, *, on_unknown: str) -> Iterator[None]:
    """Take an execution for this process alone, and settle what a process that died left in doubt.

    Deliveries that were claimed and never recorded become ``unknown``; with ``resend`` they are pending again.
    An execution that had ended (its Airflow task was cleared) is opened again: what failed is pending again.
    Of a cancelled task nothing is pending again.

    :param on_unknown: ``resend`` or ``hold``.
    :raises UnknownExecution: there is none of this id in this task.
    :raises ExecutionBusy: another process is sending this execution.
    """
    with explained(), engine.connect() as holder:
        # The lock lives as long as this process's connection: a killed process frees it, a hung one does not.
        lock = {"space": _LOCK_SPACE, "key": execution % 2**31}
        if not holder.execute(text("SELECT pg_try_advisory_lock(:space, :key)"), lock).scalar():
            raise ExecutionBusy(
                f"Another process is still sending execution {execution}; this one tries again later. If that "
                "process is on a machine that is gone, PostgreSQL frees the execution when it notices."
            )
        holder.commit()
        try:
            with transaction(engine) as connection:
                cancelled = tasks.lock(connection, code).status == TaskStatus.CANCELLED
                _reopen(connection, code, execution, on_unknown, cancelled=cancelled)
                tasks.settle(connection, code)
            yield
        finally:
            # A connection that broke has freed the lock, and what happened in the block counts for more.
            with suppress(DBAPIError):
                holder.rollback()
                holder.execute(text("SELECT pg_advisory_unlock(:space, :key)"), lock)
                holder.commit()


def claim(
    engine: Engine,
    execution: int,
    limit: int,
    *,
    after: int = 0,
    receipt_after: float | None = None,
    config: str | None = None,
) -> list[Delivery]:
    """Take up to ``limit`` pending deliveries with ids beyond ``after``, in order of their ids.

    :param receipt_after: seconds from now when receipts are first asked for, also if this process dies; None: never.
    :param config: the sender configuration to ask for receipts, if the task names none.
    """
    with transaction(engine) as connection:
        return _claim(connection, execution, limit, after, receipt_after, config)


def record(engine: Engine, outcomes: Sequence[Outcome]) -> None:
    """Write the outcomes of claimed deliveries: sent, failed, unknown, or pending again."""
    with transaction(engine) as connection:
        _record(connection, outcomes)


def record_and_claim(
    engine: Engine,
    outcomes: Sequence[Outcome],
    execution: int,
    limit: int,
    *,
    after: int,
    receipt_after: float | None = None,
    config: str | None = None,
) -> list[Delivery]:
    """:func:`record` and :func:`claim` in one transaction: half the commits of a large execution.

    :param limit: 0 claims nothing.
    """
    with transaction(engine) as connection:
        _record(connection, outcomes)
        return _claim(connection, execution, limit, after, receipt_after, config)


def fail_pending(engine: Engine, execution: int, *, code: str, reason: str) -> int:
    """Fail all that is pending, for a reason that concerns the whole execution; returns how many."""
    with transaction(engine) as connection:
        _lock_task_of(connection, execution)
        words = {"error_code": code, "error_text": storable(reason)[:500]}
        return _move(connection, execution, DeliveryState.PENDING, DeliveryState.FAILED, **words)


def finish(
    engine: Engine, execution: int, *, final: bool, error: str | None = None, resend_unknown: bool = False
) -> Counts:
    """Count what became of an execution, and close it.

    :param final: no more tries: what is pending has failed, and what was claimed and not recorded is unknown.
        Otherwise an execution with pending deliveries stays open for the next try, unless its task is
        cancelled. One that somebody has closed meanwhile stays closed, for the reason that it was closed for.
    :param error: why the execution failed as a whole, if it did.
    :param resend_unknown: unless this is final, what nobody can tell is for the next try, too, and counts as pending.
        It stays unknown until that begins: there may be none.
    :raises UnknownExecution: there is none of this id.
    """
    with transaction(engine) as connection:
        return _finish(connection, execution, final=final, error=error, resend_unknown=resend_unknown)


def _finish(connection: Connection, execution: int, *, final: bool, error: str | None, resend_unknown: bool) -> Counts:
    code, standing = _lock_task_of(connection, execution)
    closed = connection.execute(
        select(push_execution.c.finished_at, push_execution.c.error).where(push_execution.c.id == execution)
    ).one()
    if closed.finished_at is not None:
        final, error = True, closed.error
    error = storable(error) if error else None
    cancelled = standing.status == TaskStatus.CANCELLED
    if cancelled:
        _move(connection, execution, DeliveryState.PENDING, DeliveryState.CANCELLED)
    if final or cancelled:
        _interrupted(connection, execution, DeliveryState.UNKNOWN)
    if final:
        _move(
            connection,
            execution,
            DeliveryState.PENDING,
            DeliveryState.FAILED,
            error_code=func.coalesce(push_delivery.c.error_code, "not-sent"),
            error_text=func.coalesce(push_delivery.c.error_text, (error or "")[:500]),
        )
    counts = _write_counts(connection, execution, error=error)
    if resend_unknown and not (final or cancelled):
        counts = counts._replace(pending=counts.pending + counts.unknown, unknown=0)
    if not counts.pending:
        ended = {"state": counts.state, "finished_at": func.coalesce(push_execution.c.finished_at, func.now())}
        connection.execute(update(push_execution).where(push_execution.c.id == execution).values(**ended))
    tasks.settle(connection, code)
    return counts


class UnderWay(NamedTuple):
    """An execution that has a DAG run and has not ended."""

    id: int
    task_code: str
    run_id: str
    created_at: datetime


def under_way(engine: Engine, *, after: int = 0, limit: int) -> list[UnderWay]:
    """Executions that have a DAG run and have not ended, in order of their ids from ``after`` on."""
    query = (
        select(*[push_execution.c[name] for name in UnderWay._fields])
        .where(
            push_execution.c.state.in_((ExecutionState.PLANNED, ExecutionState.RUNNING)),
            push_execution.c.finished_at.is_(None),
            push_execution.c.run_id.is_not(None),
            push_execution.c.id > after,
        )
        .order_by(push_execution.c.id)
        .limit(limit)
    )
    with transaction(engine) as connection:
        return [UnderWay._make(row) for row in connection.execute(query)]


def close(engine: Engine, execution: int, *, error: str) -> bool:
    """Close an execution whose run has ended for good, unless it has ended itself; whether it was open.

    What is pending has failed. What is being sent is in doubt, until its answer is on record.

    :param error: why it ended.
    """
    with transaction(engine) as connection:
        return _close(connection, execution, error)


def _close(connection: Connection, execution: int, error: str) -> bool:
    _lock_task_of(connection, execution)
    open_ = select(push_execution.c.finished_at.is_(None)).where(push_execution.c.id == execution)
    if not connection.execute(open_).scalar_one():
        return False
    _finish(connection, execution, final=True, error=error, resend_unknown=False)
    return True


def recount(connection: Connection, execution: int) -> None:
    """Bring the counts and the state of an execution up to date, after receipts changed some of its deliveries.

    One that is under way is counted by whoever ends it. The caller has locked the task, and settles its status.
    """
    ended = select(push_execution.c.finished_at).where(push_execution.c.id == execution)
    if connection.execute(ended).scalar() is not None:
        counts = _write_counts(connection, execution)
        connection.execute(update(push_execution).where(push_execution.c.id == execution).values(state=counts.state))


class ExecutionFilter(NamedTuple):
    """Which executions are wanted: those that match everything given.

    :param codes: only those of these push tasks; what a caller may see.
    :param run: of this DAG run, of the push task that ``task`` names.
    :param begun_from: that began at this moment or later.
    :param begun_to: that began before this moment.
    """

    codes: Collection[str] | None = None
    task: str | None = None
    state: str | None = None
    source: str | None = None
    run: str | None = None
    begun_from: datetime | None = None
    begun_to: datetime | None = None


def find(engine: Engine, *, limit: int = 100, offset: int = 0, **filters: Any) -> list[ExecutionRow]:
    """Executions, newest first, that match; ``filters`` are those of :class:`ExecutionFilter`."""
    query = matching(ExecutionFilter(**filters), *_ROW).order_by(
        push_execution.c.created_at.desc(), push_execution.c.id.desc()
    )
    with transaction(engine) as connection:
        return [_row(row) for row in connection.execute(query.limit(limit).offset(offset))]


def count(engine: Engine, *, cap: int, **filters: Any) -> int:
    """How many executions match; not counted beyond ``cap``."""
    with transaction(engine) as connection:
        some = matching(ExecutionFilter(**filters), push_execution.c.id).limit(cap).subquery()
        return connection.execute(select(func.count()).select_from(some)).scalar_one()


def get(engine: Engine, execution: int) -> ExecutionRow:
    """One execution.

    :raises UnknownExecution: there is none of this id.
    """
    with transaction(engine) as connection:
        row = connection.execute(select(*_ROW).where(push_execution.c.id == execution)).first()
    if row is None:
        raise _unknown(execution)
    return _row(row)


def matching(wanted: ExecutionFilter, *columns: ColumnElement[Any]) -> Select[Any]:
    """A query of the executions that match."""
    equal = ((push_execution.c.task_code, wanted.task), (push_execution.c.state, wanted.state))
    clauses = [column == value for column, value in equal if value is not None]
    if wanted.codes is not None:
        clauses.append(push_execution.c.task_code == any_(array_of(wanted.codes)))
    if wanted.source is not None:
        clauses.append(push_execution.c.source == wanted.source)
    if wanted.run is not None:
        clauses.append(push_execution.c.run_id == wanted.run)
    if wanted.begun_from is not None:
        clauses.append(push_execution.c.created_at >= wanted.begun_from)
    if wanted.begun_to is not None:
        clauses.append(push_execution.c.created_at < wanted.begun_to)
    return select(*columns).select_from(push_execution).where(*clauses)


# --- executions that wait for their DAG run -------------------------------------------------------------


def bound_run(engine: Engine, execution: int) -> str | None:
    """The DAG run of an execution; None if none was made for it yet, or it is gone."""
    with transaction(engine) as connection:
        found = select(push_execution.c.run_id).where(push_execution.c.id == execution)
        return connection.execute(found).scalar()


def note_run(engine: Engine, execution: int, run_id: str) -> None:
    """Note that a DAG run was made for an execution that was planned before; the run itself binds it for good."""
    with explained(), engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(
            update(push_execution)
            .where(push_execution.c.id == execution, push_execution.c.run_id.is_(None))
            .values(run_id=run_id)
        )


class Waiting(NamedTuple):
    """An execution that was planned, and whose DAG run was never made: a process died in between."""

    id: int
    task_code: str
    source: str
    triggered_by: str | None
    created_at: datetime


def waiting(
    engine: Engine,
    *,
    sources: Collection[str],
    codes: Collection[str] | None = None,
    age: timedelta | None = None,
    limit: int | None = None,
) -> list[Waiting]:
    """Executions of these sources that wait for a DAG run, oldest first.

    :param codes: only those of these push tasks.
    :param age: only those that have waited for so long.
    :param limit: at most so many; None for all.
    """
    query = (
        select(*[push_execution.c[name] for name in Waiting._fields])
        .where(
            push_execution.c.run_id.is_(None),
            push_execution.c.finished_at.is_(None),
            push_execution.c.source.in_(sources),
        )
        .order_by(push_execution.c.id)
        .limit(limit)
    )
    if codes is not None:
        query = query.where(push_execution.c.task_code == any_(array_of(codes)))
    if age is not None:
        query = query.where(push_execution.c.created_at < func.now() - age)
    with transaction(engine) as connection:
        return [Waiting._make(row) for row in connection.execute(query)]


# --- sending again --------------------------------------------------------------------------------------


def prepare_redrive(engine: Engine, execution: int, *, unknown: bool | None) -> ExecutionRow:
    """Make sure that an execution can be sent again to those who did not get it, and decide about those in doubt.

    :param unknown: whether deliveries in doubt are sent again, too; None leaves it to the task's ``on_unknown``.
        The decision holds for this execution from now on.
    :raises UnknownExecution: there is none of this id.
    :raises NothingToRedrive: it is still under way, was cancelled, or nothing of it failed.
    """
    with transaction(engine) as connection:
        _, standing = _lock_task_of(connection, execution)
        row = _row(connection.execute(select(*_ROW).where(push_execution.c.id == execution)).one())
        if standing.status == TaskStatus.CANCELLED:
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
            connection.execute(
                update(push_execution)
                .where(push_execution.c.id == execution)
                .values(snapshot=func.jsonb_set(push_execution.c.snapshot, ["task", "on_unknown"], cast(policy, JSONB)))
            )
    return row


# --- inside a transaction -----------------------------------------------------------------------------

_ROW = [push_execution.c[name] for name in ExecutionRow._fields]


def _row(row: Row[Any]) -> ExecutionRow:
    return ExecutionRow._make(row)._replace(state=ExecutionState(row.state))


def _unknown(execution: int) -> UnknownExecution:
    return UnknownExecution(f"There is no execution {execution}; 'airflow push executions' lists those that exist.")


_PLAN_COLUMNS = [
    push_execution.c.id,
    push_execution.c.token,
    push_execution.c.number,
    push_execution.c.snapshot,
    push_execution.c.source,
    push_execution.c.total,
    push_execution.c.scheduled_for,
]


def _existing(connection: Connection, code: str, run_id: str | None, key: str | None) -> Row[Any] | None:
    same = []
    if run_id is not None:
        same.append(push_execution.c.run_id == run_id)
    if key is not None:
        same.append(push_execution.c.idempotency_key == key)
    if not same:
        return None
    planned = (push_execution.c.task_code == code, push_execution.c.number.is_not(None))
    return connection.execute(select(*_PLAN_COLUMNS).where(*planned, or_(*same))).first()


def _snapshot(
    row: tasks.TaskRow,
    *,
    templates: Mapping[str, str],
    variables: Mapping[str, Any],
    error: str | None,
    run_after: datetime | None,
) -> dict[str, Any]:
    return {
        "task": {**row.spec, "recipients": []},
        "templates": templates,
        "variables": dict(variables),
        # Not in the column ``error`` alone: a try that fails for a reason of its own writes over that.
        "error": error,
        "run_after": run_after.isoformat() if run_after else None,
    }


def _plan(row: Row[Any], *, new: bool) -> Plan:
    return Plan(
        id=row.id,
        token=row.token.replace("-", ""),
        number=row.number,
        task=parse_stored(row.snapshot["task"]),
        templates=row.snapshot["templates"],
        variables=row.snapshot["variables"],
        source=row.source,
        total=row.total,
        scheduled_for=row.scheduled_for,
        error=row.snapshot["error"],
        new=new,
    )


_COPY_OWN = text("""
    INSERT INTO push_delivery (execution_id, recipient, variables)
    SELECT :execution, r.value ->> 'to',
        CAST(:variables AS jsonb) || coalesce(r.value -> 'variables', CAST('{}' AS jsonb))
    FROM push_task, jsonb_array_elements(spec -> 'recipients') WITH ORDINALITY AS r
    WHERE code = :code ORDER BY r.ordinality
""")
"""A task's own recipients become deliveries without leaving the database."""


def copy_own(connection: Connection, execution: int, code: str, variables: Mapping[str, Any] | None = None) -> int:
    """Write a delivery for each of the task's own recipients; returns how many.

    :param variables: for all of them; a recipient's own win.
    """
    given = {"execution": execution, "code": code, "variables": written.dumps(variables or {})}
    return connection.execute(_COPY_OWN, given).rowcount


def write_deliveries(connection: Connection, rows: Iterable[tuple[int, str, Mapping[str, Any]]]) -> int:
    """Write deliveries: execution, recipient and variables of each; returns how many."""
    import psycopg

    driver = connection.connection.driver_connection
    assert driver is not None
    count = 0
    try:
        with driver.cursor() as cursor, cursor.copy(_COPY) as copy:
            for execution, recipient, variables in rows:
                copy.write_row((execution, recipient, written.dumps(variables) if variables else "{}"))
                count += 1
    except psycopg.OperationalError as error:
        # SQLAlchemy knows no COPY; to the caller a lost connection is the same here as in any statement.
        raise OperationalError(_COPY, None, error) from error
    return count


_CLAIM = text("""
    UPDATE push_delivery
    SET state = 'sending', attempts = attempts + 1, updated_at = now(), tried_at = now(), config = :config,
        receipt_checks = 0, receipt_due = now() + make_interval(secs => CAST(:receipt_after AS double precision))
    WHERE id = ANY (ARRAY (
        SELECT id FROM push_delivery
        WHERE execution_id = :execution AND id > :after AND state = 'pending'
        ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED))
    RETURNING id, recipient, variables
""")


def _claim(
    connection: Connection, execution: int, limit: int, after: int, receipt_after: float | None, config: str | None
) -> list[Delivery]:
    if not limit:
        return []
    values = {"execution": execution, "after": after, "limit": limit, "receipt_after": receipt_after, "config": config}
    rows = connection.execute(_CLAIM, values)
    return sorted(Delivery(*row) for row in rows)


_RECORD = text("""
    UPDATE push_delivery AS d
    SET state = CASE WHEN d.state = 'unknown' AND o.state = 'pending' THEN 'failed' ELSE o.state END,
        provider_id = o.provider_id,
        error_code = CASE WHEN d.state = 'unknown' AND o.state = 'pending' THEN coalesce(o.code, 'not-sent')
                          ELSE o.code END,
        error_text = CASE WHEN d.state = 'unknown' AND o.state = 'pending'
                          THEN coalesce(o.reason, 'The execution was closed before the message was begun')
                          ELSE o.reason END,
        updated_at = now(), sent_at = CASE WHEN o.state = 'sent' THEN now() END,
        receipt_due = CASE WHEN o.state IN ('sent', 'unknown') THEN d.receipt_due END
    FROM unnest(CAST(:ids AS bigint[]), CAST(:states AS text[]), CAST(:provider_ids AS text[]),
                CAST(:codes AS text[]), CAST(:reasons AS text[])) AS o (id, state, provider_id, code, reason)
    WHERE d.id = o.id AND (d.state = 'sending' OR (d.state = 'unknown' AND d.error_code = 'interrupted'))
""")
"""An answer counts also if somebody has closed the execution meanwhile, and with that left the delivery in doubt. What
would be tried again then never is."""


def _record(connection: Connection, outcomes: Sequence[Outcome]) -> None:
    if not outcomes:
        return
    connection.execute(
        _RECORD,
        {
            "ids": [o.id for o in outcomes],
            "states": [_RECORDED[o.result].value for o in outcomes],
            "provider_ids": [o.provider_id for o in outcomes],
            # The words of an accepted message ("250 queued as …") are worth nothing later; those of a refusal are.
            "codes": [None if o.result is Result.SENT or not o.code else storable(o.code) for o in outcomes],
            "reasons": [None if o.result is Result.SENT or not o.text else storable(o.text)[:500] for o in outcomes],
        },
    )


def storable(words: str) -> str:
    """Words of others, as PostgreSQL can keep them."""
    # PostgreSQL's text holds neither NUL nor lone surrogates, and a provider may send either.
    return words.replace("\0", "").encode("utf-8", "replace").decode()


def _lock_task_of(connection: Connection, execution: int) -> tuple[str, tasks.Standing]:
    found = select(push_execution.c.task_code).where(push_execution.c.id == execution)
    code = connection.execute(found).scalar()
    if code is None:
        raise _unknown(execution)
    return code, tasks.lock(connection, code)


def _move(connection: Connection, execution: int, before: DeliveryState, after: DeliveryState, **values: Any) -> int:
    """Bring all deliveries of an execution that are in one state into another; returns how many.

    :param values: columns that change with it.
    """
    if after is not DeliveryState.UNKNOWN:  # of which alone something can still be learnt
        values["receipt_due"] = None
    return connection.execute(
        update(push_delivery)
        .where(push_delivery.c.execution_id == execution, push_delivery.c.state == before)
        .values(state=after, updated_at=func.now(), **values)
    ).rowcount


def _interrupted(connection: Connection, execution: int, state: DeliveryState) -> None:
    """Settle what was claimed and never recorded."""
    reason = "The sending process ended before the answer was on record"
    _move(connection, execution, DeliveryState.SENDING, state, error_code="interrupted", error_text=reason)


def _reopen(connection: Connection, code: str, execution: int, on_unknown: str, *, cancelled: bool) -> None:
    state = connection.execute(
        select(push_execution.c.state).where(push_execution.c.id == execution, push_execution.c.task_code == code)
    ).scalar()
    if state is None:
        raise UnknownExecution(f"Push task {code!r} has no execution {execution}.")
    if cancelled:
        _interrupted(connection, execution, DeliveryState.UNKNOWN)
        _move(connection, execution, DeliveryState.PENDING, DeliveryState.CANCELLED)
        return
    resend = on_unknown == "resend"
    _interrupted(connection, execution, DeliveryState.PENDING if resend else DeliveryState.UNKNOWN)
    if resend:
        _move(connection, execution, DeliveryState.UNKNOWN, DeliveryState.PENDING)
    if state in (ExecutionState.FAILED, ExecutionState.PARTIAL):
        _move(connection, execution, DeliveryState.FAILED, DeliveryState.PENDING)
    connection.execute(
        update(push_execution)
        .where(push_execution.c.id == execution)
        .values(
            state=ExecutionState.RUNNING,
            started_at=func.coalesce(push_execution.c.started_at, func.now()),
            finished_at=None,
        )
    )


def _write_counts(connection: Connection, execution: int, **values: Any) -> Counts:
    """Count the deliveries of an execution, and write the counts and ``values`` to its row."""
    counts = _count(connection, execution)
    numbers = {name: getattr(counts, name) for name in ("sent", "delivered", "failed", "unknown", "cancelled")}
    connection.execute(update(push_execution).where(push_execution.c.id == execution).values(**numbers, **values))
    return counts


def _count(connection: Connection, execution: int) -> Counts:
    rows = connection.execute(
        select(push_delivery.c.state, func.count().label("n"))
        .where(push_delivery.c.execution_id == execution)
        .group_by(push_delivery.c.state)
    )
    n = {DeliveryState(row.state): row.n for row in rows}
    return Counts(
        total=sum(n.values()),
        sent=n.get(DeliveryState.SENT, 0) + n.get(DeliveryState.DELIVERED, 0),
        delivered=n.get(DeliveryState.DELIVERED, 0),
        failed=n.get(DeliveryState.FAILED, 0),
        unknown=n.get(DeliveryState.UNKNOWN, 0),
        cancelled=n.get(DeliveryState.CANCELLED, 0),
        pending=n.get(DeliveryState.PENDING, 0) + n.get(DeliveryState.SENDING, 0),
    )
