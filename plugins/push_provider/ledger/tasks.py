"""Push tasks in the ledger: apply, change, look up, cancel, delete; and what their DAGs are built from."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Row,
    Select,
    all_,
    and_,
    any_,
    cast,
    func,
    literal_column,
    not_,
    or_,
    select,
    true,
    update,
)
from sqlalchemy import delete as sql_delete
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as upsert

from push_provider import schedule, written
from push_provider.contract import PushTask, parse_stored
from push_provider.exceptions import InvalidTask, LimitReached, TaskBusy, TaskClosed, TaskExists, UnknownTask
from push_provider.ledger import answers
from push_provider.ledger.engine import array_of, explained, transaction
from push_provider.ledger.tables import (
    DeliveryState,
    ExecutionState,
    TaskStatus,
    push_delivery,
    push_execution,
    push_shard,
    push_task,
    revision,
    shard_of,
)

_APP_LOCK = 0x7061  # "pa": keeps this advisory lock apart from others in the database
_ADDRESSES: ColumnElement[Any] = literal_column(
    """jsonb_path_query_array(push_task.spec, '$."recipients"[*]."to"'::jsonpath)""", JSONB
)
"""As the index ``push_task_addresses_ix`` has it."""


class Standing(NamedTuple):
    """What a task's status follows from; read without its spec, which may hold a million recipients."""

    status: TaskStatus
    executions: int
    max_executions: int | None

    @property
    def open(self) -> bool:
        """Whether another execution may begin."""
        return self.status != TaskStatus.CANCELLED and (
            self.max_executions is None or self.executions < self.max_executions
        )


class TaskRow(NamedTuple):
    """A push task and where it stands."""

    code: str
    name: str
    channel: str
    config: str | None
    app: str | None
    owner: str | None
    spec: Mapping[str, Any]
    execution_type: str
    max_executions: int | None
    executions: int
    status: TaskStatus
    schedule_since: datetime
    last_execution_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @property
    def open(self) -> bool:
        """Whether another execution may begin."""
        return Standing(self.status, self.executions, self.max_executions).open

    def task(self) -> PushTask:
        """The task itself.

        :raises InvalidTask: this version does not understand what another version stored.
        """
        return parse_stored(self.spec)

    def why_closed(self) -> str:
        """Why no execution may begin, and the remedy."""
        if self.status == TaskStatus.CANCELLED:
            return f"Push task {self.code!r} is cancelled. Apply it under another code to push it again."
        return (
            f"Push task {self.code!r} is finished: all {self.max_executions} of its executions have begun. "
            "Apply it with a larger execution.max_executions to go on."
        )


class Action(StrEnum):
    """What :func:`apply` did."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


class Applied(NamedTuple):
    """The answer of :func:`apply`."""

    action: Action
    row: TaskRow


class ShardTask(NamedTuple):
    """What a task's DAG is built from; ``spec`` is without recipients, content, variables and attachments.

    :param recipients: how many of its own it has.
    :param variables: names of some of those that it gives.
    :param excerpt: the beginning of its content, if it has any of its own.
    """

    code: str
    name: str
    spec: Mapping[str, Any]
    open: bool
    cancelled: bool
    schedule_since: datetime
    recipients: int
    variables: Sequence[str]
    excerpt: str | None


_COLUMNS = [push_task.c[name] for name in TaskRow._fields]


def _row(row: Row[Any]) -> TaskRow:
    return TaskRow._make(row)._replace(status=TaskStatus(row.status))


def changed(connection: Connection, code: str) -> None:
    """Tell the DAG processor that the task's DAG must be built anew.

    The last statement of a transaction: all tasks of the shard wait from here to its commit. Of several tasks at once
    :func:`all_changed` tells.
    """
    shard = shard_of(code)
    connection.execute(update(push_task).where(push_task.c.code == code).values(revision=revision.next_value()))
    connection.execute(
        upsert(push_shard)
        .values(shard=shard, revision=revision.next_value())
        .on_conflict_do_update(index_elements=[push_shard.c.shard], set_={"revision": revision.next_value()})
    )


def all_changed(connection: Connection, codes: Iterable[str]) -> None:
    """:func:`changed` of several tasks, shard after shard, so that no two transactions wait for each other."""
    for code in sorted(codes, key=lambda code: (shard_of(code), code)):
        changed(connection, code)


def apply(engine: Engine, task: PushTask, *, now: datetime, default_timezone: str, dry_run: bool = False) -> Applied:
    """Create a push task, or update the one of the same code.

    A changed schedule counts from ``now``, as if the task were new; executions that have begun stay counted.

    :param now: the present moment.
    :param default_timezone: the clock of a schedule that names none.
    :param dry_run: check all and change nothing.
    :raises InvalidTask: the schedule cannot fire.
    :raises TaskClosed: the task of this code is cancelled.
    """
    with explained(), engine.connect() as connection, connection.begin() as begun:
        applied = put(connection, task, now=now, default_timezone=default_timezone)
        if applied.action != Action.UNCHANGED:
            changed(connection, task.code)
        if dry_run:
            begun.rollback()
        return applied


def put(
    connection: Connection, task: PushTask, *, now: datetime, default_timezone: str, open_limit: int = 0
) -> Applied:
    """:func:`apply` in a transaction of the caller, who calls :func:`changed` at its end unless nothing has changed.

    After an error the caller rolls back.

    :param open_limit: as for :func:`change`.
    """
    before = None
    if _insert(connection, task, now=now, default_timezone=default_timezone):
        action = Action.CREATED
    else:
        before = locked(connection, task.code)
        action = _update(connection, before, task, now=now, default_timezone=default_timezone)
    row = locked(connection, task.code)
    _check_open(connection, before, row, open_limit)
    return Applied(action, row)


def create(
    connection: Connection, task: PushTask, *, now: datetime, default_timezone: str, open_limit: int = 0
) -> TaskRow:
    """Create a push task; call :func:`changed` before the transaction ends.

    :param open_limit: how many tasks of one application may be open at the same time; 0 for no limit.
    :raises TaskExists: there is one of this code.
    :raises LimitReached: the application has as many open tasks as it may.
    :raises InvalidTask: the schedule cannot fire.
    """
    if open_limit:
        _make_room(connection, task.app, open_limit)
    if not _insert(connection, task, now=now, default_timezone=default_timezone):
        raise TaskExists(
            f"There is a push task {task.code!r} already. Change it with PATCH, take another code, or leave the "
            "code out to get a new one."
        )
    return locked(connection, task.code, recipients=False)


def change(
    engine: Engine,
    code: str,
    edit: Callable[[Mapping[str, Any]], PushTask],
    *,
    now: datetime,
    default_timezone: str,
    open_limit: int = 0,
    dry_run: bool = False,
) -> Applied:
    """Change a push task; two changes at once follow each other, and none is lost.

    The parameters are those of :func:`apply`.

    :param open_limit: as for :func:`create`, of a task that becomes open, or another application's.
    :raises LimitReached: the application has as many open tasks as it may.
    :param edit: makes the new task of the present one's spec; what it raises is passed on.
    :raises UnknownTask: there is none of this code.
    :raises InvalidTask: the schedule cannot fire.
    :raises TaskClosed: the task is cancelled.
    """
    with explained(), engine.connect() as connection, connection.begin() as begun:
        before = locked(connection, code)
        action = _update(connection, before, edit(before.spec), now=now, default_timezone=default_timezone)
        row = locked(connection, code, recipients=False)
        _check_open(connection, before, row, open_limit)
        if action != Action.UNCHANGED:
            changed(connection, code)
        if dry_run:
            begun.rollback()
        return Applied(action, row)


def _check_open(connection: Connection, before: TaskRow | None, row: TaskRow, limit: int) -> None:
    """Hold the limit for a task that has just become open, or another application's."""
    if limit and row.open and not (before is not None and before.open and before.app == row.app):
        _make_room(connection, row.app, limit, own=1)


def _make_room(connection: Connection, app: str | None, limit: int, *, own: int = 0) -> None:
    """Refuse another open task of an application that has as many as it may; ``own`` is 1 where it is written."""
    # The count holds until the commit: another task of this application waits here.
    connection.execute(select(func.pg_advisory_xact_lock(_APP_LOCK, func.hashtext(app or ""))))
    if _count_open(connection, app, limit + own) >= limit + own:
        whose = f"Application {app!r} has" if app is not None else "Tasks that name no application: there are"
        raise LimitReached(
            f"{whose} {limit} open push tasks, and no more may be open ([push] max_open_tasks). Wait until some "
            "finish, or cancel some."
        )


def count_open(engine: Engine, app: str | None, *, cap: int) -> int:
    """How many tasks of an application are open; not counted beyond ``cap``."""
    with transaction(engine) as connection:
        return _count_open(connection, app, cap)


def _count_open(connection: Connection, app: str | None, cap: int) -> int:
    whose = push_task.c.app == app if app is not None else push_task.c.app.is_(None)
    some = select(push_task.c.code).where(whose, not_(_closed())).limit(cap).subquery()
    return connection.execute(select(func.count()).select_from(some)).scalar_one()


def _values(task: PushTask) -> dict[str, Any]:
    return {
        "name": task.name,
        "channel": task.channel,
        "config": task.config,
        "app": task.app,
        "owner": task.owner,
        "spec": task.spec(),
        "execution_type": task.execution.type,
        "max_executions": task.execution.limit,
    }


def _insert(connection: Connection, task: PushTask, *, now: datetime, default_timezone: str) -> bool:
    # Two at once: the second waits here for the first, and then finds it.
    created = connection.execute(
        upsert(push_task)
        .values(code=task.code, schedule_since=now, shard=shard_of(task.code), revision=0, **_values(task))
        .on_conflict_do_nothing()
        .returning(push_task.c.code)
    ).first()
    if created:
        schedule.check_new(task, now, default_timezone)
    return created is not None


def _update(connection: Connection, before: TaskRow, task: PushTask, *, now: datetime, default_timezone: str) -> Action:
    """Update a locked task."""
    if before.status == TaskStatus.CANCELLED:
        raise TaskClosed(before.why_closed())
    values = _values(task)
    if _is_same(before.spec, values["spec"]):
        return Action.UNCHANGED
    if before.spec.get("schedule") != values["spec"]["schedule"]:
        schedule.check_new(task, now, default_timezone)
        values["schedule_since"] = now
    # No smaller limit can undo what has begun.
    if task.execution.limit is not None:
        values["max_executions"] = max(task.execution.limit, before.executions)
    after = Standing(before.status, before.executions, values["max_executions"])
    values["status"] = _settled(connection, task.code, after)
    connection.execute(update(push_task).where(push_task.c.code == task.code).values(updated_at=now, **values))
    return Action.UPDATED


def _is_same(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether two specs say the same, also if an earlier version wrote the first with other fields than this one."""
    # Not by ==, for which 1, 1.00 and true are the same.
    wanted = written.dumps(after, sort_keys=True)
    if written.dumps(before, sort_keys=True) == wanted:
        return True
    try:
        read = parse_stored(before).spec()
    except InvalidTask:
        return False
    return written.dumps(read, sort_keys=True) == wanted


def delete(engine: Engine, code: str, *, purge: bool) -> None:
    """Delete a push task.

    :param purge: with the log of its executions and deliveries; otherwise one that has a log stays.
    :raises UnknownTask: there is none of this code.
    :raises TaskBusy: an execution is under way, or there is a log and it is not to be purged.
    """
    with transaction(engine) as connection:
        standing = lock(connection, code)
        if connection.execute(select(_under_way(code).exists())).scalar():
            raise TaskBusy(f"An execution of push task {code!r} is under way. Cancel the task first, or wait.")
        if standing.executions and not purge:
            raise TaskBusy(
                f"Push task {code!r} has a log of {standing.executions} execution(s), which would go with it. Cancel "
                "it to stop it and keep the log, or delete it with purge=true."
            )
        connection.execute(sql_delete(push_task).where(push_task.c.code == code))
        answers.forget(connection, code)
        changed(connection, code)


def get(engine: Engine, code: str, *, recipients: bool = True) -> TaskRow:
    """One push task.

    :param recipients: with them; there may be many.
    :raises UnknownTask: there is none of this code.
    """
    with transaction(engine) as connection:
        return _one(connection, code, _query(push_task.c.code == code, recipients=recipients))


class TaskItem(NamedTuple):
    """A push task as lists show it: without what may be long."""

    code: str
    name: str
    channel: str
    config: str | None
    app: str | None
    owner: str | None
    subject: str | None
    schedule: Mapping[str, Any]
    recipients: int
    execution_type: str
    max_executions: int | None
    executions: int
    status: TaskStatus
    schedule_since: datetime
    last_execution_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @property
    def open(self) -> bool:
        """Whether another execution may begin."""
        return Standing(self.status, self.executions, self.max_executions).open


class TaskFilter(NamedTuple):
    """Which push tasks are wanted: those that match everything given.

    :param codes: only these; what a caller may see.
    :param without: not these.
    :param status: one of :class:`TaskStatus`, or several.
    :param delayed: those that a schedule starts later (true), or those that start at once or by hand.
    :param sender: connection ids of the sender configuration.
    :param default_of: with ``sender``, also tasks of these channels that name no configuration.
    :param recipient: has this address among its own.
    :param name: has this text in its name, in capitals or not.
    :param search: has this text in its name, code or configuration's id, or in an address among its own recipients,
        in capitals or not.
    :param search_senders: with ``search``, also tasks of these connection ids.
    :param search_default_of: with ``search``, also tasks of these channels that name no configuration.
    """

    codes: Collection[str] | None = None
    without: Collection[str] = ()
    status: str | Collection[str] | None = None
    channel: str | None = None
    execution_type: str | None = None
    delayed: bool | None = None
    sender: Collection[str] | None = None
    default_of: Collection[str] = ()
    recipient: str | None = None
    name: str | None = None
    search: str | None = None
    search_senders: Collection[str] = ()
    search_default_of: Collection[str] = ()
    app: str | None = None
    owner: str | None = None
    last_run_from: datetime | None = None
    last_run_to: datetime | None = None


TASK_ORDERS = ("created_at", "updated_at", "last_execution_at", "name", "code")
"""Columns that a list may be ordered by."""


def find(
    engine: Engine, *, order_by: str = "-created_at", limit: int = 100, offset: int = 0, **filters: Any
) -> list[TaskItem]:
    """Push tasks that match, newest first unless ``order_by`` says otherwise.

    ``filters`` are those of :class:`TaskFilter`.

    :param order_by: one of :data:`TASK_ORDERS`, with ``-`` in front for the reverse.
    """
    columns = [push_task.c[order_by.removeprefix("-")], push_task.c.code]  # two pages never show the same task
    order: list[ColumnElement[Any]] = [one.desc() for one in columns] if order_by.startswith("-") else [*columns]
    if columns[0].nullable:  # elsewhere it would keep the index from being used
        order[0] = order[0].nulls_last()
    query = _matching(TaskFilter(**filters), *[push_task.c[name] for name in TaskItem._fields]).order_by(*order)
    with transaction(engine) as connection:
        rows = connection.execute(query.limit(limit).offset(offset))
        return [TaskItem._make(row)._replace(status=TaskStatus(row.status)) for row in rows]


def count(engine: Engine, *, cap: int, **filters: Any) -> int:
    """How many push tasks match; not counted beyond ``cap``."""
    with transaction(engine) as connection:
        some = _matching(TaskFilter(**filters), push_task.c.code).limit(cap).subquery()
        return connection.execute(select(func.count()).select_from(some)).scalar_one()


def _matching(wanted: TaskFilter, *columns: ColumnElement[Any]) -> Select[Any]:
    query: Select[Any] = select(*columns)
    equal = ("channel", "execution_type", "app", "owner")
    clauses = [push_task.c[name] == value for name in equal if (value := getattr(wanted, name)) is not None]
    if wanted.codes is not None:
        clauses.append(push_task.c.code == any_(array_of(wanted.codes)))
    if wanted.without:
        clauses.append(push_task.c.code != all_(array_of(wanted.without)))
    if wanted.status is not None:
        clauses.append(push_task.c.status.in_([wanted.status] if isinstance(wanted.status, str) else wanted.status))
    if wanted.delayed is not None:
        at_once = push_task.c.schedule["kind"].astext.in_(("now", "manual"))
        clauses.append(not_(at_once) if wanted.delayed else at_once)
    if wanted.sender is not None:
        clauses.append(_sent_through(wanted.sender, wanted.default_of))
    if wanted.recipient is not None:
        clauses.append(_ADDRESSES.op("@>")(cast([wanted.recipient], JSONB)))
    if wanted.name is not None:
        clauses.append(push_task.c.name.icontains(wanted.name, autoescape=True))
    if wanted.search is not None:
        # The index knows no column but this one; what is searched for is made small by what made that small.
        found = push_task.c.searched.like(func.lower(_part(wanted.search)), escape="/")
        by_sender = wanted.search_senders or wanted.search_default_of
        clauses.append(
            or_(found, _sent_through(wanted.search_senders, wanted.search_default_of)) if by_sender else found
        )
    if wanted.last_run_from is not None:
        clauses.append(push_task.c.last_execution_at >= wanted.last_run_from)
    if wanted.last_run_to is not None:
        clauses.append(push_task.c.last_execution_at < wanted.last_run_to)
    return query.where(*clauses)


def _part(text: str) -> str:
    """The pattern of LIKE that finds a text anywhere."""
    return f"%{re.sub('([/%_])', _ESCAPED, text)}%"


_ESCAPED = r"/\1"


def _sent_through(configs: Collection[str], default_of: Collection[str]) -> ColumnElement[bool]:
    """Tasks of these sender configurations, and those of these channels that name none."""
    named = push_task.c.config == any_(array_of(configs))
    if not default_of:
        return named
    return or_(named, and_(push_task.c.config.is_(None), push_task.c.channel.in_(default_of)))


def cancel(engine: Engine, code: str) -> int:
    """Cancel a push task: no execution begins any more, and what is not sent yet is not sent.

    What a process is sending at this moment is not called back. Cancelling twice changes nothing.

    :returns: how many deliveries were cancelled.
    :raises UnknownTask: there is none of this code.
    """
    with transaction(engine) as connection:
        before = lock(connection, code)
        cancelled = connection.execute(
            update(push_delivery)
            .where(push_delivery.c.execution_id.in_(_under_way(code)), push_delivery.c.state == DeliveryState.PENDING)
            .values(state=DeliveryState.CANCELLED, updated_at=func.now())
        ).rowcount
        # Nobody is at work on these yet; those that run are closed by whoever runs them.
        connection.execute(
            update(push_execution)
            .where(push_execution.c.task_code == code, push_execution.c.state == ExecutionState.PLANNED)
            .values(state=ExecutionState.CANCELLED, cancelled=push_execution.c.total, finished_at=func.now())
        )
        if before.status != TaskStatus.CANCELLED:
            connection.execute(
                update(push_task)
                .where(push_task.c.code == code)
                .values(status=TaskStatus.CANCELLED, updated_at=func.now())
            )
            changed(connection, code)
    return cancelled


def settle(connection: Connection, code: str) -> TaskStatus:
    """Bring a task's status up to date, after one of its executions began or ended, or its limit changed."""
    before = lock(connection, code)
    status = _settled(connection, code, before)
    if status != before.status:
        connection.execute(
            update(push_task).where(push_task.c.code == code).values(status=status, updated_at=func.now())
        )
    return status


def _settled(connection: Connection, code: str, standing: Standing) -> TaskStatus:
    if standing.status == TaskStatus.CANCELLED:
        return standing.status
    if connection.execute(select(_under_way(code).exists())).scalar():
        return TaskStatus.RUNNING
    if standing.executions == 0:
        return TaskStatus.PENDING
    if standing.open:
        return TaskStatus.ACTIVE
    last = connection.execute(
        select(push_execution.c.state)
        .where(push_execution.c.task_code == code, push_execution.c.number.is_not(None))
        .order_by(push_execution.c.number.desc())
        .limit(1)
    ).scalar()
    good = last in (None, ExecutionState.SUCCEEDED)  # None: the ledger was trimmed
    return TaskStatus.FINISHED if good else TaskStatus.FAILED


def _under_way(code: str) -> Select[Any]:
    return select(push_execution.c.id).where(push_execution.c.task_code == code, push_execution.c.finished_at.is_(None))


def _closed() -> ColumnElement[bool]:
    """The same as ``not Standing.open``, in SQL."""
    return or_(
        push_task.c.status == TaskStatus.CANCELLED,
        and_(push_task.c.max_executions.is_not(None), push_task.c.executions >= push_task.c.max_executions),
    )


def lock(connection: Connection, code: str) -> Standing:
    """Lock a push task until the transaction ends: its executions begin, reopen and end one after the other.

    Every transaction that locks rows of a task's executions or deliveries does this first, so that no two
    wait for each other. ``claim`` and ``record`` of :mod:`~push_provider.ledger.executions` wait for no row.

    :raises UnknownTask: there is none of this code.
    """
    columns = [push_task.c[name] for name in Standing._fields]
    row = connection.execute(select(*columns).where(push_task.c.code == code).with_for_update()).first()
    if row is None:
        raise UnknownTask(code)
    return Standing(TaskStatus(row.status), row.executions, row.max_executions)


def locked(connection: Connection, code: str, *, recipients: bool = True) -> TaskRow:
    """The same as :func:`lock`, and the task.

    :param recipients: with them; there may be many, and who plans leaves them in the database.
    :raises UnknownTask: there is none of this code.
    """
    return _one(connection, code, _query(push_task.c.code == code, recipients=recipients).with_for_update())


def locked_all(connection: Connection, codes: Sequence[str]) -> dict[str, TaskRow]:
    """The same for many tasks, without their recipients; those that do not exist are left out.

    Each transaction that locks several tasks must have the right to alone: two could wait for each other.
    """
    query = _query(push_task.c.code.in_(codes), recipients=False).order_by(push_task.c.code).with_for_update()
    return {row.code: _row(row) for row in connection.execute(query)}


def _query(which: ColumnElement[bool], *, recipients: bool) -> Select[Any]:
    spec = push_task.c.spec if recipients else push_task.c.spec.op("-")("recipients")
    columns = [spec.label("spec") if column is push_task.c.spec else column for column in _COLUMNS]
    return select(*columns).where(which)


def _one(connection: Connection, code: str, query: Select[Any]) -> TaskRow:
    row = connection.execute(query).first()
    if row is None:
        raise UnknownTask(code)
    return _row(row)


def count_execution(connection: Connection, row: TaskRow) -> int:
    """Count one more execution of a locked task, if its limit allows; after the last, call :func:`changed`.

    :returns: the execution's number, from 1.
    :raises TaskClosed: the task is cancelled, or all of its executions have begun.
    """
    number = connection.execute(
        update(push_task)
        .where(
            push_task.c.code == row.code,
            push_task.c.status != TaskStatus.CANCELLED,
            or_(push_task.c.max_executions.is_(None), push_task.c.executions < push_task.c.max_executions),
        )
        .values(
            executions=push_task.c.executions + 1,
            status=TaskStatus.RUNNING,
            last_execution_at=func.now(),
            updated_at=func.now(),
        )
        .returning(push_task.c.executions)
    ).scalar()
    if number is None:
        raise TaskClosed(row.why_closed())
    return int(number)


# --- for the DAG files --------------------------------------------------------------------------------


def shards(engine: Engine) -> dict[int, tuple[int, bool]]:
    """Every shard that holds a task: its newest revision, and whether that is built."""
    with transaction(engine) as connection:
        rows = connection.execute(select(push_shard.c.shard, push_shard.c.revision, push_shard.c.built_revision))
        return {row.shard: (row.revision, row.revision == row.built_revision) for row in rows}


def built(engine: Engine) -> dict[int, int]:
    """How many push tasks each shard has, of which Airflow had all DAGs once."""
    query = (
        select(push_task.c.shard, func.count().label("tasks"))
        .join_from(push_task, push_shard, push_shard.c.shard == push_task.c.shard)
        .where(push_shard.c.revision == push_shard.c.built_revision)
        .group_by(push_task.c.shard)
    )
    with transaction(engine) as connection:
        return {int(row.shard): int(row.tasks) for row in connection.execute(query)}


def codes_of_shard(engine: Engine, shard: int) -> list[str]:
    """The codes of a shard's push tasks."""
    with transaction(engine) as connection:
        return list(connection.scalars(select(push_task.c.code).where(push_task.c.shard == shard)))


_VARIABLES: ColumnElement[Any] = literal_column(
    "ARRAY (SELECT jsonb_object_keys(push_task.spec -> 'variables') LIMIT 30)"
).label("variables")
_EXCERPT = func.left(push_task.c.spec.op("->>")("content"), 4000).label("excerpt")


def shard_tasks(engine: Engine, shard: int, code: str | None = None) -> tuple[int, list[ShardTask]]:
    """The tasks of a shard, or the one of ``code``, and the revision that they show, read in one snapshot."""
    slim = push_task.c.spec.op("-")("recipients").op("-")("content").op("-")("attachments").op("-")("variables")
    query = (
        select(
            push_task.c.code,
            push_task.c.name,
            slim.label("spec"),
            _closed().label("closed"),
            push_task.c.status,
            push_task.c.schedule_since,
            push_task.c.recipients,
            _VARIABLES,
            _EXCERPT,
        )
        .where(push_task.c.shard == shard, push_task.c.code == code if code is not None else true())
        .order_by(push_task.c.code)
    )
    with explained(), engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        current = connection.execute(select(push_shard.c.revision).where(push_shard.c.shard == shard)).scalar()
        rows = connection.execute(query).all()
    return current or 0, [
        ShardTask(
            row.code,
            row.name,
            row.spec,
            not row.closed,
            row.status == TaskStatus.CANCELLED,
            row.schedule_since,
            row.recipients,
            row.variables,
            row.excerpt,
        )
        for row in rows
    ]


def mark_built(engine: Engine, built: Mapping[int, int]) -> None:
    """Note for some shards the revision of which Airflow has all DAGs."""
    with transaction(engine) as connection:
        for shard, revision in sorted(built.items()):
            connection.execute(update(push_shard).where(push_shard.c.shard == shard).values(built_revision=revision))
