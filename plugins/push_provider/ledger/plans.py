"""Executions as they were planned: how they are found, and what a try of one sends."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Engine, Row, Select, or_, select

from push_provider.channels.reading import parse_stored
from push_provider.ledger import writing
from push_provider.ledger.engine import transaction
from push_provider.ledger.tables import push_execution, push_snapshot

if TYPE_CHECKING:
    from push_provider.contract import PushTask


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
    planned_at: datetime
    error: str | None
    """Why its templates could not be read, if they could not: nothing of it can be sent."""
    new: bool
    """False if the execution was there already: the same run, or the same key."""


def has_key(engine: Engine, code: str, key: str) -> bool:
    """Whether an execution of the task has begun under this idempotency key."""
    with transaction(engine) as connection:
        return existing(connection, code, None, key) is not None


def existing(connection: Connection, code: str, run_id: str | None, key: str | None) -> Row[Any] | None:
    """The execution of a task that has this run, or this key; one that was refused is none.

    :returns: its ``id``, ``number``, ``total`` and ``run_after``.
    """
    same = []
    if run_id is not None:
        same.append(push_execution.c.run_id == run_id)
    if key is not None:
        same.append(push_execution.c.idempotency_key == key)
    if not same:
        return None
    columns = [push_execution.c[name] for name in ("id", "number", "total", "run_after")]
    counted = (push_execution.c.task_code == code, push_execution.c.number.is_not(None))
    return connection.execute(select(*columns).where(*counted, or_(*same))).first()


_PLANNED: Select[Any] = select(
    *[
        push_execution.c[name]
        for name in (
            "id",
            "token",
            "number",
            "source",
            "total",
            "scheduled_for",
            "created_at",
            "variables",
            "unreadable",
            "on_unknown",
            "list_id",
        )
    ],
    push_snapshot.c.task,
    push_snapshot.c.templates,
).join(push_snapshot, push_snapshot.c.id == push_execution.c.snapshot_id)


def planned(connection: Connection, *which: ColumnElement[bool]) -> Row[Any] | None:
    """What :func:`whole` takes, of one execution."""
    return connection.execute(_PLANNED.where(*which)).first()


def whole(engine: Engine, row: Row[Any], *, new: bool) -> Plan:
    """The plan of an execution, whose deliveries are written."""
    if row.list_id is not None:
        with transaction(engine) as connection:
            writing.write_left(connection, row.id)
    task = row.task if row.on_unknown is None else {**row.task, "on_unknown": row.on_unknown}
    return Plan(
        id=row.id,
        token=row.token.replace("-", ""),
        number=row.number,
        task=parse_stored(task),
        templates=row.templates,
        variables=row.variables,
        source=row.source,
        total=row.total,
        scheduled_for=row.scheduled_for,
        planned_at=row.created_at,
        error=row.unreadable,
        new=new,
    )
