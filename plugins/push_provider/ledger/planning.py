"""Executions begin in the ledger: what is sent is written down, and to whom, before anything is sent.

``plan`` reserves an execution and writes its deliveries, in one transaction. Those of messages are made in parts, of
``reserve`` and what writes deliveries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Required, TypedDict, Unpack

from sqlalchemy import Connection, Engine, Row, func, insert, or_, update

from push_provider.contract import PushTask, Trigger
from push_provider.exceptions import ContentError, FieldError, InvalidTask, UnknownExecution
from push_provider.ledger import closing, dropping, moving, plans, run_ids, shards, snapshots, spans, tasks, writing
from push_provider.ledger.engine import storable, transaction
from push_provider.ledger.tables import ExecutionState, push_execution

if TYPE_CHECKING:
    from push_provider.ledger.plans import Plan

_MADE_ANEW = "Its run was deleted, and another one was made under the same id"
_AT_ONCE = 1000
"""Own recipients whose deliveries are written when an execution begins, in some milliseconds; those of more are left to
its run, and whoever begins it is not kept waiting."""


class Origin(TypedDict, total=False):
    """What an execution comes of."""

    source: Required[str]
    """``schedule``, ``backfill``, ``manual``, ``cli``, ``rest``, ``kafka``, ``dag``."""
    run_id: str | None
    """The DAG run; left out, it is bound later with :func:`bind`."""
    run_after: datetime | None
    """Of that run, by which it is told from a later one of the same id."""
    cleared: bool
    """Whether that run was cleared; left out, it was not."""
    key: str | None
    """Idempotency key, unique in the task."""
    triggered_by: str | None
    scheduled_for: datetime | None


class Frozen(NamedTuple):
    """The template sources of a task by name, or why they could not be read."""

    templates: Mapping[str, str]
    error: str | None


def frozen(freeze: Callable[[PushTask], Mapping[str, str]], row: tasks.TaskRow) -> Frozen:
    """Read the templates of a task.

    :param freeze: gives a task's template sources by name (:func:`push_provider.rendering.freeze`). If they cannot be
        read an execution begins all the same, so that its failure is on record.
    :raises InvalidTask: another version wrote the task and this one cannot read it.
    """
    try:
        return Frozen(dict(freeze(row.task())), None)
    except ContentError as fault:
        return Frozen({}, storable(str(fault)))


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

    :param freeze: as :func:`frozen` has it.
    :param trigger: recipients and variables of this execution; left out, the task's own.
    :param origin: as :class:`Origin` has it.
    :raises UnknownTask: there is no such task.
    :raises TaskClosed: it is cancelled, or all its executions have begun.
    :raises InvalidTask: there is nobody to send to, or another version wrote the task and this one cannot read it.
    :raises NothingToRedrive: the run is so old that its execution may have left the ledger.
    """
    with transaction(engine) as connection:
        begun = begin_within(connection, code, freeze=freeze, trigger=trigger, **origin)
        row = plans.planned(connection, push_execution.c.id == begun.id)
    assert row is not None
    return plans.whole(engine, row, new=begun.new)


class Begun(NamedTuple):
    """An execution that has begun, as :class:`Plan` has it."""

    id: int
    number: int
    total: int
    new: bool


def begin_within(
    connection: Connection,
    code: str,
    *,
    freeze: Callable[[PushTask], Mapping[str, str]],
    trigger: Trigger | None = None,
    **origin: Unpack[Origin],
) -> Begun:
    """The same as :func:`plan`, as a part of a transaction, which is not held up by many recipients.

    If the task's own are more than a few, their deliveries are written by whoever asks for the :class:`Plan`.
    """
    trigger = trigger or Trigger()
    # Files are read while nobody waits for the task.
    seen = tasks.found(connection, code)
    read = frozen(freeze, seen)
    # From here to the commit no other execution of this task begins.
    row = tasks.locked(connection, code)
    existing = plans.existing(connection, code, origin.get("run_id"), origin.get("key"))
    if existing:
        return Begun(existing.id, existing.number, existing.total, new=False)
    run_after = origin.get("run_after")
    # The runs of a backfill are of times long past when they are new. One that was cleared is not: it has sent before.
    if run_after is not None and (origin["source"] != "backfill" or origin.get("cleared")):
        dropping.require_kept(connection, code, run_after)
    if row.spec != seen.spec:
        read = frozen(freeze, row)
    given = trigger.recipients
    later = given is None and row.recipients > _AT_ONCE
    total = row.recipients if given is None else len(given)
    inserted, number = reserve(
        connection,
        row,
        read,
        variables=trigger.variables,
        total=total if later else 0,
        list_id=row.list_id if later else None,
        **origin,
    )
    if not total:  # and with this error nothing of the above has happened
        raise InvalidTask(
            [FieldError("recipients", f"push task {code!r} has none of its own; name at least one in the trigger")]
        )
    if not later:
        since = spans.begin(connection)
        if given is None:
            writing.copy_list(connection, inserted, row.list_id)
        else:
            writing.write(connection, ((inserted, one.to, one.variables) for one in given))
        spans.note(connection, since, {inserted: total})
    if number == row.max_executions:
        shards.changed(connection, code)  # its DAG loses its schedule
    return Begun(inserted, number, total, new=True)


def reserve(
    connection: Connection,
    row: tasks.TaskRow,
    read: Frozen,
    *,
    variables: Mapping[str, Any],
    total: int,
    list_id: int | None = None,
    **origin: Unpack[Origin],
) -> tuple[int, int]:
    """Count an execution of a locked task and write it down, without deliveries; parameters as :func:`plan` has them.

    :param read: the task's templates.
    :param variables: the trigger's.
    :param total: how many deliveries it is to have of ``list_id``.
    :param list_id: the list of recipients of whom they are written later.
    :returns: its id, and its number in the task.
    :raises TaskClosed: the task is cancelled, or all its executions have begun. Nothing has changed then.
    """
    number = tasks.count_execution(connection, row)
    run_id, run_after = origin.get("run_id"), origin.get("run_after")
    run_ids.forget_refusal(connection, row.code, run_id, run_after)
    inserted = connection.execute(
        insert(push_execution)
        .values(
            task_code=row.code,
            number=number,
            run_id=run_id,
            run_after=run_after,
            source=origin["source"],
            triggered_by=origin.get("triggered_by"),
            idempotency_key=origin.get("key"),
            snapshot_id=snapshots.keep(connection, row.spec, read.templates),
            variables=dict(variables),
            unreadable=read.error,
            error=read.error,
            total=total,
            list_id=list_id,
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
        moving.hold(connection, code)
        row = tasks.locked(connection, code)
        known = plans.existing(connection, code, run_id, None)
        if known and not run_ids.is_earlier(known.run_after, run_after):
            return
        _of_run(connection, code, run_id, run_after)
        run_ids.forget_refusal(connection, code, run_id, run_after)
        words = storable(error)
        connection.execute(
            insert(push_execution).values(
                task_code=code,
                run_id=run_id,
                run_after=run_after,
                source=source,
                triggered_by=triggered_by,
                snapshot_id=snapshots.keep(connection, row.spec, {}),
                unreadable=words,
                error=words,
                state=ExecutionState.FAILED,
                scheduled_for=scheduled_for,
                finished_at=func.now(),
            )
        )


def bind(engine: Engine, code: str, execution: int, run_id: str) -> Plan:
    """Bind an execution that was planned before its DAG run existed to that run.

    :raises UnknownTask: there is no such task.
    :raises UnknownExecution: there is none of this id in this task, another run has it, or the run has
        another.
    """
    with transaction(engine) as connection:
        moving.hold(connection, code)
        tasks.lock(connection, code)
        run_ids.forget_refusal(connection, code, run_id, None)
        bound = plans.existing(connection, code, run_id, None)
        if bound and bound.id != execution:
            raise UnknownExecution(
                f"conf.execution: run {run_id!r} of push task {code!r} has execution {bound.id} and cannot "
                f"take {execution}; begin it in a run of its own"
            )
        found = (
            push_execution.c.id == execution,
            push_execution.c.task_code == code,
            or_(push_execution.c.run_id.is_(None), push_execution.c.run_id == run_id),
        )
        connection.execute(update(push_execution).where(*found).values(run_id=run_id))
        row = plans.planned(connection, *found)
    if row is None:
        raise UnknownExecution(
            f"conf.execution: push task {code!r} has no execution {execution} that waits for a run; "
            "leave conf.execution out to begin a new one"
        )
    return plans.whole(engine, row, new=False)


def of_run(engine: Engine, code: str, run_id: str, *, run_after: datetime | None = None) -> Plan | None:
    """The execution of a DAG run, if one was planned: a retried or cleared run has one.

    A run that was deleted and made anew under the same id is another one: the execution of the former is closed, and
    bound to no run any more.

    :param run_after: of the run; left out, every run of this id is the same.
    """
    with transaction(engine) as connection:
        moving.hold(connection, code)
        tasks.lock(connection, code)
        row = _of_run(connection, code, run_id, run_after)
    return plans.whole(engine, row, new=False) if row else None


def _of_run(connection: Connection, code: str, run_id: str, run_after: datetime | None) -> Row[Any] | None:
    row = plans.existing(connection, code, run_id, None)
    if row is None:
        return None
    if run_ids.is_same(row.run_after, run_after):
        return plans.planned(connection, push_execution.c.id == row.id)
    closing.close_within(connection, row.id, _MADE_ANEW)
    connection.execute(update(push_execution).where(push_execution.c.id == row.id).values(run_id=None))
    return None
