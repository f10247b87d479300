"""Executions begin in the ledger: what is sent is written down, and to whom, before anything is sent.

``plan`` reserves an execution and writes its deliveries, in one transaction. Those of messages are made in parts, of
``reserve`` and what writes deliveries.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any, NamedTuple, Required, TypedDict, Unpack

from sqlalchemy import Connection, Engine, Row, delete, func, insert, or_, select, tuple_, update

from push_provider.channels.reading import parse_stored
from push_provider.contract import PushTask, Trigger
from push_provider.exceptions import ContentError, FieldError, InvalidTask, UnknownExecution
from push_provider.ledger import closing, deliveries, dropping, shards, spans, tasks
from push_provider.ledger.engine import storable, transaction
from push_provider.ledger.tables import ExecutionState, push_execution

_MADE_ANEW = "Its run was deleted, and another one was made under the same id"


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


class Origin(TypedDict, total=False):
    """What an execution comes of."""

    source: Required[str]
    """``schedule``, ``backfill``, ``manual``, ``cli``, ``rest``, ``kafka``, ``dag``."""
    run_id: str | None
    """The DAG run; left out, it is bound later with :func:`bind`."""
    run_after: datetime | None
    """Of that run, by which it is told from a later one of the same id."""
    key: str | None
    """Idempotency key, unique in the task."""
    triggered_by: str | None
    scheduled_for: datetime | None


def plan(
    engine: Engine,
    code: str,
    *,
    freeze: Callable[[PushTask], Mapping[str, str]],
    trigger: Trigger | None = None,
    **origin: Unpack[Origin],
) -> Plan:
    """Reserve an execution of a push task and write its deliveries; the same run or key again gives the first.

    An execution counts from here on, whatever becomes of it.

    :param freeze: gives a task's template sources by name (:func:`push_provider.rendering.freeze`). If they
        cannot be read the execution begins all the same, so that its failure is on record.
    :param trigger: recipients and variables of this execution; left out, the task's own.
    :param origin: as :class:`Origin` has it.
    :raises UnknownTask: there is no such task.
    :raises TaskClosed: it is cancelled, or all its executions have begun.
    :raises InvalidTask: there is nobody to send to, or another version wrote the task and this one cannot read it.
    :raises NothingToRedrive: the run is so old that its execution may have left the ledger.
    """
    with transaction(engine) as connection:
        return plan_within(connection, code, freeze=freeze, trigger=trigger, **origin)


def plan_within(
    connection: Connection,
    code: str,
    *,
    freeze: Callable[[PushTask], Mapping[str, str]],
    trigger: Trigger | None = None,
    **origin: Unpack[Origin],
) -> Plan:
    """The same as :func:`plan`, as a part of a transaction."""
    trigger = trigger or Trigger()
    # From here to the commit no other execution of this task begins.
    row = tasks.locked(connection, code, recipients=False)
    existing = _existing(connection, code, origin.get("run_id"), origin.get("key"))
    if existing:
        return _plan(existing, new=False)
    run_after = origin.get("run_after")
    if run_after is not None and origin["source"] != "backfill":  # whose runs are of times long past
        dropping.require_kept(connection, code, run_after)
    inserted, number = reserve(connection, row, freeze=freeze, variables=trigger.variables, **origin)
    since = spans.begin(connection)
    if trigger.recipients is None:
        total = deliveries.copy_own(connection, inserted, code)
    else:
        total = deliveries.write(connection, ((inserted, one.to, one.variables) for one in trigger.recipients))
    if not total:  # and with this error nothing of the above has happened
        raise InvalidTask(
            [FieldError("recipients", f"push task {code!r} has none of its own; name at least one in the trigger")]
        )
    spans.note(connection, since, {inserted: total})
    planned = connection.execute(select(*_PLAN_COLUMNS).where(push_execution.c.id == inserted)).one()
    if number == row.max_executions:
        shards.changed(connection, code)  # its DAG loses its schedule
    return _plan(planned, new=True)


def reserve(
    connection: Connection,
    row: tasks.TaskRow,
    *,
    freeze: Callable[[PushTask], Mapping[str, str]],
    variables: Mapping[str, Any],
    **origin: Unpack[Origin],
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
    run_id, run_after = origin.get("run_id"), origin.get("run_after")
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
            source=origin["source"],
            triggered_by=origin.get("triggered_by"),
            idempotency_key=origin.get("key"),
            snapshot=snapshot,
            error=error,
            scheduled_for=origin.get("scheduled_for"),
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
    closing.close_within(connection, row.id, _MADE_ANEW)
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
