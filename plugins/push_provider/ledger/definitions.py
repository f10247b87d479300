"""Push tasks as they are written down: applied, created, changed; and how many of an application may be open."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Connection, Engine, func, not_, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from push_provider import schedule, written
from push_provider.channels.reading import parse_stored
from push_provider.contract.recipients import Recipient
from push_provider.exceptions import FieldError, FieldErrors, InvalidTask, LimitReached, TaskClosed, TaskExists
from push_provider.ledger import recipients, tasks
from push_provider.ledger.engine import explained, transaction
from push_provider.ledger.shards import all_changed, changed
from push_provider.ledger.standing import Standing, closed
from push_provider.ledger.tables import TaskStatus, push_task, shard_of

if TYPE_CHECKING:
    from push_provider.contract import PushTask
    from push_provider.ledger.recipients import Listed

_APP_LOCK = 0x7061  # "pa": keeps this advisory lock apart from others in the database


class Action(StrEnum):
    """What :func:`apply` did."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


class Applied(NamedTuple):
    """The answer of :func:`apply`."""

    action: Action
    row: tasks.TaskRow


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
        digest = recipients.digest_of(task.recipients)
        seen = tasks.seen(connection, task.code)
        ahead = _write_ahead(connection, seen, task, digest) if seen else None
        applied = put(connection, task, now=now, default_timezone=default_timezone, digest=digest, ahead=ahead)
        if applied.action != Action.UNCHANGED:
            changed(connection, task.code)
        if dry_run:
            begun.rollback()
        return applied


def apply_all(
    engine: Engine,
    placed: Sequence[tuple[str, PushTask]],
    *,
    now: datetime,
    default_timezone: str,
    dry_run: bool = False,
) -> list[Applied]:
    """:func:`apply` of several push tasks: all of them, or none if one is wrong.

    The parameters are those of :func:`apply`.

    :param placed: the tasks, no two of one code, each with its place in what was read.
    :returns: what has become of each, in their order.
    :raises InvalidTask: names place and field, for all faults of all tasks.
    """
    while True:
        try:
            return _apply_all(engine, placed, now=now, default_timezone=default_timezone, dry_run=dry_run)
        except TaskExists:
            # Somebody has just created one. To lock it now, behind others, could make two wait for each other; it is
            # locked in its turn when all begins again.
            continue


def _apply_all(
    engine: Engine, placed: Sequence[tuple[str, PushTask]], *, now: datetime, default_timezone: str, dry_run: bool
) -> list[Applied]:
    given: dict[str, Any] = {"now": now, "default_timezone": default_timezone}
    applied: dict[str, Applied] = {}
    faults: dict[str, FieldErrors] = {}
    with explained(), engine.connect() as connection, connection.begin() as begun:
        ahead: dict[str, tuple[bytes, Listed | None]] = {}
        for _, task in placed:
            if seen := tasks.seen(connection, task.code):
                digest = recipients.digest_of(task.recipients)
                ahead[task.code] = digest, _write_ahead(connection, seen, task, digest)
        # In the order in which whoever takes messages locks, too: first what there is, then what is new, each by code.
        before = tasks.locked_all(connection, [task.code for _, task in placed])
        for place, task in sorted(placed, key=lambda one: (one[1].code not in before, one[1].code)):
            code = task.code
            try:
                if code in before:
                    digest, listed = ahead.get(code) or (recipients.digest_of(task.recipients), None)
                    action = _update(connection, before[code], task, digest, ahead=listed, **given)
                else:
                    create(connection, task, **given)
                    action = Action.CREATED
            except InvalidTask as error:
                faults[code] = error.errors.under(f"{place}: ")
            except TaskClosed as error:
                faults[code] = FieldErrors([FieldError(f"{place}: code", str(error))])
            else:
                applied[code] = Applied(action, tasks.locked(connection, code))
        if faults:
            errors = FieldErrors()
            for _, task in placed:
                errors = errors.and_then(faults.get(task.code, FieldErrors()))
            raise InvalidTask(errors)
        all_changed(connection, [code for code, one in applied.items() if one.action != Action.UNCHANGED])
        if dry_run:
            begun.rollback()
    return [applied[task.code] for _, task in placed]


def put(
    connection: Connection,
    task: PushTask,
    *,
    now: datetime,
    default_timezone: str,
    open_limit: int = 0,
    digest: bytes | None = None,
    ahead: Listed | None = None,
) -> Applied:
    """:func:`apply` in a transaction of the caller, who calls :func:`changed` at its end unless nothing has changed.

    After an error the caller rolls back.

    :param open_limit: as for :func:`change`.
    :param digest: of the task's recipients, where it is known already.
    :param ahead: the task's recipients, where they are written already.
    """
    digest = digest or recipients.digest_of(task.recipients)
    # Looked for first: whoever inserts draws a list, in vain if the task is there.
    before = tasks.locked_all(connection, [task.code]).get(task.code)
    if before is None and _insert(connection, task, digest, now=now, default_timezone=default_timezone):
        action = Action.CREATED
    else:
        before = before or tasks.locked(connection, task.code)  # somebody has just created it
        action = _update(connection, before, task, digest, now=now, default_timezone=default_timezone, ahead=ahead)
    row = tasks.locked(connection, task.code)
    _check_open(connection, before, row, open_limit)
    return Applied(action, row)


def create(
    connection: Connection, task: PushTask, *, now: datetime, default_timezone: str, open_limit: int = 0
) -> tasks.TaskRow:
    """Create a push task; call :func:`changed` before the transaction ends.

    :param open_limit: how many tasks of one application may be open at the same time; 0 for no limit.
    :raises TaskExists: there is one of this code.
    :raises LimitReached: the application has as many open tasks as it may.
    :raises InvalidTask: the schedule cannot fire.
    """
    if open_limit:
        _make_room(connection, task.app, open_limit)
    digest = recipients.digest_of(task.recipients)
    if not _insert(connection, task, digest, now=now, default_timezone=default_timezone):
        raise TaskExists(
            f"There is a push task {task.code!r} already. Change it with PATCH, take another code, or leave the "
            "code out to get a new one."
        )
    return tasks.locked(connection, task.code)


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
    :param edit: makes the new task of the present one's spec, which has its recipients; what it raises is passed on. It
        is called again if somebody else has changed the task meanwhile.
    :raises UnknownTask: there is none of this code.
    :raises InvalidTask: the schedule cannot fire.
    :raises TaskClosed: the task is cancelled.
    """
    with explained(), engine.connect() as connection, connection.begin() as begun:
        seen = tasks.found(connection, code)
        task = edit(tasks.whole(connection, seen).spec)
        digest = recipients.digest_of(task.recipients)
        ahead = _write_ahead(connection, seen, task, digest)
        before = tasks.locked(connection, code)
        if before.list_id != seen.list_id or not written.are_same(before.spec, seen.spec):
            task = edit(tasks.whole(connection, before).spec)
            digest = recipients.digest_of(task.recipients)
        action = _update(connection, before, task, digest, now=now, default_timezone=default_timezone, ahead=ahead)
        row = tasks.locked(connection, code)
        _check_open(connection, before, row, open_limit)
        if action != Action.UNCHANGED:
            changed(connection, code)
        if dry_run:
            begun.rollback()
        return Applied(action, row)


def _check_open(connection: Connection, before: tasks.TaskRow | None, row: tasks.TaskRow, limit: int) -> None:
    """Hold the limit for a task that has just become open, or another application's."""
    if limit and row.open and not (before is not None and before.open and before.app == row.app):
        _make_room(connection, row.app, limit, own=1)


_LOCK_COUNTS = text("""
    SELECT pg_advisory_xact_lock(:lock, app) FROM (
        SELECT DISTINCT hashtext(app) AS app FROM unnest(CAST(:apps AS text[])) AS app ORDER BY 1) AS counts
""")


def lock_counts(connection: Connection, apps: Collection[str | None]) -> None:
    """Have the counts of open tasks of several applications hold until the transaction ends.

    Whoever is to call :func:`create` and :func:`put` for more than one calls this first, so that no two wait for each
    other.
    """
    if apps:
        connection.execute(_LOCK_COUNTS, {"lock": _APP_LOCK, "apps": [app or "" for app in apps]})


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
    some = select(push_task.c.code).where(whose, not_(closed())).limit(cap).subquery()
    return connection.execute(select(func.count()).select_from(some)).scalar_one()


def _values(task: PushTask) -> dict[str, Any]:
    return {
        "name": task.name,
        "channel": task.channel,
        "config": task.config,
        "app": task.app,
        "owner": task.owner,
        "spec": task.model_copy(update={"recipients": []}).spec(),
        "execution_type": task.execution.type,
        "max_executions": task.execution.limit,
    }


def _insert(connection: Connection, task: PushTask, digest: bytes, *, now: datetime, default_timezone: str) -> bool:
    listed = recipients.draw(connection, task.recipients, digest)
    values = {**_values(task), **listed._asdict(), "schedule_since": now, "shard": shard_of(task.code), "revision": 0}
    # Two at once: the second waits here for the first, and then finds it.
    created = connection.execute(
        upsert(push_task).values(code=task.code, **values).on_conflict_do_nothing().returning(push_task.c.code)
    ).first()
    if created:
        schedule.check_new(task, now, default_timezone)
        recipients.write(connection, listed.list_id, task.recipients)
    return created is not None


def _write_ahead(connection: Connection, seen: tasks.TaskRow, task: PushTask, digest: bytes) -> Listed | None:
    """Write a task's new recipients before it is locked: a million take seconds, and executions begin meanwhile.

    :returns: None if it has them already.
    """
    return None if _has(connection, seen, task, digest) else _write(connection, task, digest)


def _write(connection: Connection, task: PushTask, digest: bytes) -> Listed:
    listed = recipients.draw(connection, task.recipients, digest)
    recipients.write(connection, listed.list_id, task.recipients)
    return listed


def _update(
    connection: Connection,
    before: tasks.TaskRow,
    task: PushTask,
    digest: bytes,
    *,
    now: datetime,
    default_timezone: str,
    ahead: Listed | None = None,
) -> Action:
    """Update a locked task.

    :param digest: of the new task's recipients.
    :param ahead: those that were written already, if they are still the ones.
    """
    if before.status == TaskStatus.CANCELLED:
        raise TaskClosed(before.why_closed())
    if before.channel != task.channel:
        # What has begun is sent as it was planned, by the operator of the channel that it was planned for.
        raise InvalidTask([FieldError("channel", _CHANNEL_STAYS.format(before.channel))])
    values = _values(task)
    same_recipients = _has(connection, before, task, digest)
    if ahead is not None and (same_recipients or ahead.list_digest != digest):
        recipients.leave(connection, ahead.list_id)
        ahead = None
    if same_recipients and _is_same(before.spec, values["spec"]):
        return Action.UNCHANGED
    if before.spec.get("schedule") != values["spec"]["schedule"]:
        schedule.check_new(task, now, default_timezone)
        values["schedule_since"] = now
    # No smaller limit can undo what has begun.
    if task.execution.limit is not None:
        values["max_executions"] = max(task.execution.limit, before.executions)
    values["retired_at"] = None  # whoever changes a task that was done with means it
    after = Standing(before.status, before.executions, values["max_executions"])
    values["status"] = tasks.settled(connection, task.code, after)
    if not same_recipients:
        recipients.leave(connection, before.list_id)
        values |= (ahead or _write(connection, task, digest))._asdict()
    connection.execute(update(push_task).where(push_task.c.code == task.code).values(updated_at=now, **values))
    return Action.UPDATED


_CHANNEL_STAYS = (
    "is {!r} and cannot be changed: its executions are sent through that. Give the other one another code, or delete "
    "this one first"
)


def _has(connection: Connection, before: tasks.TaskRow, task: PushTask, digest: bytes) -> bool:
    """Whether a task has these recipients already.

    :param digest: theirs. An earlier version noted none.
    """
    if before.list_digest is not None or before.recipients != len(task.recipients):
        return before.list_digest == digest
    had = [Recipient.model_construct(**one) for one in recipients.read(connection, before.list_id)]
    return recipients.digest_of(had) == digest


def _is_same(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether two specs say the same, also if an earlier version wrote the first with other fields than this one."""
    if written.are_same(before, after):
        return True
    try:
        read = parse_stored(before).spec()
    except InvalidTask:
        return False
    return written.are_same(read, after)
