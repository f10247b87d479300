"""What the DAG files of push tasks are built from, shard by shard, and whether they have been.

A task that is retired is in none of them; ``retiring`` has those.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Engine, any_, delete, func, literal_column, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from push_provider.ledger.engine import array_of, explained, transaction
from push_provider.ledger.standing import closed
from push_provider.ledger.tables import TaskStatus, push_shard, push_task, revision, shard_of

LIVE: ColumnElement[bool] = push_task.c.retired_at.is_(None)
"""Tasks that are to be DAGs."""


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


def left(connection: Connection, shard: int) -> None:
    """Tell the DAG processor that tasks have left a shard; without any left, the shard has no file any more.

    The last call of a transaction, as :func:`changed` is.
    """
    this = push_shard.c.shard == shard
    connection.execute(update(push_shard).where(this).values(revision=revision.next_value()))
    # By a statement of its own: whoever was waited for at the one above may have added a task.
    some = select(push_task.c.code).where(push_task.c.shard == shard, LIVE)
    connection.execute(delete(push_shard).where(this, ~some.exists()))


def all_changed(connection: Connection, codes: Iterable[str]) -> None:
    """:func:`changed` of several tasks, shard after shard, so that no two transactions wait for each other."""
    for code in sorted(codes, key=lambda code: (shard_of(code), code)):
        changed(connection, code)


def revisions(engine: Engine) -> dict[int, tuple[int, bool]]:
    """Every shard that holds a task: its newest revision, and whether that is built."""
    with transaction(engine) as connection:
        rows = connection.execute(select(push_shard.c.shard, push_shard.c.revision, push_shard.c.built_revision))
        return {row.shard: (row.revision, row.revision == row.built_revision) for row in rows}


class Shard(NamedTuple):
    """How full a shard is.

    :param tasks: how many push tasks are to be DAGs.
    :param built: whether Airflow had all of those DAGs once.
    """

    tasks: int
    built: bool


def filled(engine: Engine) -> dict[int, Shard]:
    """Every shard that holds a task which is to be a DAG."""
    query = (
        select(
            push_task.c.shard,
            func.count().label("tasks"),
            func.bool_and(push_shard.c.revision == push_shard.c.built_revision).label("built"),
        )
        .join_from(push_task, push_shard, push_shard.c.shard == push_task.c.shard)
        .where(LIVE)
        .group_by(push_task.c.shard)
    )
    with transaction(engine) as connection:
        return {row.shard: Shard(row.tasks, row.built) for row in connection.execute(query)}


def live(engine: Engine, codes: Collection[str]) -> set[str]:
    """Those of some codes whose push task is to be a DAG."""
    query = select(push_task.c.code).where(push_task.c.code == any_(array_of(codes)), LIVE)
    with transaction(engine) as connection:
        return set(connection.scalars(query))


def codes_of_shard(engine: Engine, shard: int) -> list[str]:
    """The codes of a shard's push tasks that are to be DAGs."""
    with transaction(engine) as connection:
        return list(connection.scalars(select(push_task.c.code).where(push_task.c.shard == shard, LIVE)))


_VARIABLES: ColumnElement[Any] = literal_column(
    "ARRAY (SELECT jsonb_object_keys(push_task.spec -> 'variables') LIMIT 30)"
).label("variables")
_EXCERPT = func.left(push_task.c.spec.op("->>")("content"), 4000).label("excerpt")


def shard_tasks(engine: Engine, shard: int, code: str | None = None) -> tuple[int, list[ShardTask]]:
    """The tasks of a shard, or the one of ``code``, and the revision that they show, read in one snapshot.

    :param code: also of one that is retired: it may be a run's that somebody cleared just before.
    """
    slim = push_task.c.spec.op("-")("content").op("-")("attachments").op("-")("variables")
    query = (
        select(
            push_task.c.code,
            push_task.c.name,
            slim.label("spec"),
            closed().label("closed"),
            push_task.c.status,
            push_task.c.schedule_since,
            push_task.c.recipients,
            _VARIABLES,
            _EXCERPT,
        )
        .where(push_task.c.shard == shard, push_task.c.code == code if code is not None else LIVE)
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
    """Note for some revisions the revision of which Airflow has all DAGs."""
    with transaction(engine) as connection:
        for shard, revision in sorted(built.items()):
            connection.execute(update(push_shard).where(push_shard.c.shard == shard).values(built_revision=revision))
