"""Push tasks that are done with retire: they are no DAGs any more, and come back when somebody takes them up again."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Engine, any_, func, select, text, update

from push_provider.exceptions import UnknownTask
from push_provider.ledger.engine import array_of, transaction
from push_provider.ledger.shards import LIVE, changed, left
from push_provider.ledger.tables import push_task

_DONE_WITH = """
    t.retired_at IS NULL AND t.status IN ('finished', 'failed', 'cancelled') AND t.updated_at < :before
        AND NOT EXISTS (SELECT FROM push_execution AS e WHERE e.task_code = t.code AND e.finished_at IS NULL)
"""
_FIND = text(f"SELECT t.shard, t.code FROM push_task AS t WHERE {_DONE_WITH} ORDER BY t.shard, t.code LIMIT :limit")  # noqa: S608  (a constant of ours)
# Nobody is waited for who is changing one of them: that one is not done with.
_RETIRE = text(f"""
    UPDATE push_task SET retired_at = now() WHERE code = ANY (ARRAY (
        SELECT t.code FROM push_task AS t WHERE t.code = ANY(:codes) AND {_DONE_WITH}
        ORDER BY t.code FOR UPDATE SKIP LOCKED))
""")  # noqa: S608  (a constant of ours)

_AT_ONCE = 200
"""Push tasks of a shard that retire in one transaction: each takes half a millisecond, for what it is searched by."""


def retire(engine: Engine, limit: int, *, before: datetime) -> int:
    """Retire up to ``limit`` push tasks whose last execution ended before a moment, shard after shard.

    One that somebody has changed since, or of which an execution is under way, is left as it is.

    :returns: how many.
    """
    with transaction(engine) as connection:
        found: Collection[Any] = connection.execute(_FIND, {"before": before, "limit": limit}).all()
    total = 0
    for shard, some in groupby(found, key=lambda row: row.shard):
        codes = [row.code for row in some]
        for at in range(0, len(codes), _AT_ONCE):
            with transaction(engine) as connection:
                part = {"codes": codes[at : at + _AT_ONCE], "before": before}
                retired = connection.execute(_RETIRE, part).rowcount
                if retired:
                    left(connection, shard)
            total += retired
    return total


def revive(engine: Engine, code: str) -> bool:
    """Have a push task be a DAG again, if it is retired; whether it was.

    :raises UnknownTask: there is none of this code.
    """
    with transaction(engine) as connection:
        if connection.execute(select(push_task.c.code).where(push_task.c.code == code)).first() is None:
            raise UnknownTask(code)
        # It waits here for whoever takes its DAG out of Airflow.
        was = connection.execute(
            update(push_task).where(push_task.c.code == code, ~LIVE).values(retired_at=None, updated_at=func.now())
        ).rowcount
        if was:
            changed(connection, code)
    return bool(was)


def retired(engine: Engine, codes: Collection[str]) -> set[str]:
    """Those of some codes whose push task is retired."""
    with transaction(engine) as connection:
        return set(connection.scalars(select(push_task.c.code).where(push_task.c.code == any_(array_of(codes)), ~LIVE)))


@contextmanager
def held(engine: Engine, codes: Collection[str]) -> Iterator[set[str]]:
    """Those of some codes that are to be no DAG, which none of them becomes within the block.

    They are retired, or no push task has them. Those that somebody is about to bring back are left out.
    """
    with transaction(engine) as connection:
        yield set(codes) - _live(connection, codes)


def _live(connection: Connection, codes: Collection[str]) -> set[str]:
    wanted = push_task.c.code == any_(array_of(codes))
    held = set(
        connection.scalars(
            select(push_task.c.code).where(wanted, ~LIVE).order_by(push_task.c.code).with_for_update(skip_locked=True)
        )
    )
    # After those are held: one that has come back meanwhile is among these.
    return set(connection.scalars(select(push_task.c.code).where(wanted))) - held
