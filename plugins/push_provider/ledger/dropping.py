"""Executions leave the ledger: they are in no list from that moment, and their deliveries go afterwards.

A million rows take seconds to delete. So an execution's own row goes, by which all lists find its deliveries, and
``push_dropped`` has its id until they are gone, too. Those of a purged push task are deleted in portions. Those of what
is old wait for their partition, which is dropped when nothing else is left of it (:mod:`~.partitions`); only what waits
in vain, because something of the same time lives on, is deleted as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, select, text

from push_provider.exceptions import NothingToRedrive
from push_provider.ledger import known_addresses
from push_provider.ledger.engine import in_no_hurry, transaction
from push_provider.ledger.spans import Span
from push_provider.ledger.tables import push_task

_DROP_TASK = text("""
    WITH gone AS (
        DELETE FROM push_execution WHERE task_code = :code RETURNING id, total, first_delivery, last_delivery),
    left_over AS (
        INSERT INTO push_dropped (execution_id, deliveries, first_delivery, last_delivery)
        SELECT id, total, first_delivery, last_delivery FROM gone WHERE total > 0)
    SELECT count(*) FROM gone
""")


def drop_task(connection: Connection, code: str) -> int:
    """Drop all executions of a locked push task of which none is under way; returns how many."""
    return int(connection.execute(_DROP_TASK, {"code": code}).scalar_one())


_OLD = text("""
    SELECT id, task_code FROM push_execution WHERE created_at < :before AND finished_at < :before
    ORDER BY created_at, id LIMIT :limit
""")
# Nobody is waited for who has locked one of them, or is about to open an execution again: its turn comes with the next
# portion.
_LOCK = text("SELECT code FROM push_task WHERE code = ANY(:codes) ORDER BY code FOR UPDATE SKIP LOCKED")
_DROP_OLD = text("""
    WITH gone AS (
        DELETE FROM push_execution WHERE id = ANY (ARRAY (
            SELECT id FROM push_execution
            WHERE id = ANY(:ids) AND task_code = ANY(:codes) AND finished_at < :before
            ORDER BY id FOR UPDATE SKIP LOCKED))
        RETURNING id, task_code, created_at, total, first_delivery, last_delivery),
    noted AS (
        UPDATE push_task AS t SET dropped_until = greatest(t.dropped_until, g.until)
        FROM (SELECT task_code, max(created_at) AS until FROM gone GROUP BY task_code) AS g
        WHERE t.code = g.task_code),
    left_over AS (
        INSERT INTO push_dropped (execution_id, deliveries, first_delivery, last_delivery, due)
        SELECT id, total, first_delivery, last_delivery, now() + CAST(:patience AS interval)
        FROM gone WHERE total > 0)
    SELECT count(*) FROM gone
""")


def drop_old(engine: Engine, limit: int, *, before: datetime, patience: timedelta = timedelta()) -> int:
    """Drop up to ``limit`` executions that ended before a moment, oldest first; returns how many.

    Their push tasks stay, with the number of executions that they have had.

    :param patience: for how long their deliveries wait for their partition to be dropped.
    """
    with transaction(engine) as connection:
        found: Sequence[Any] = connection.execute(_OLD, {"before": before, "limit": limit}).all()
        if not found:
            return 0
        locked = connection.scalars(_LOCK, {"codes": sorted({row.task_code for row in found})}).all()
        values = {"ids": [row.id for row in found], "codes": locked, "before": before, "patience": patience}
        return int(connection.execute(_DROP_OLD, values).scalar_one())


def require_kept(connection: Connection, code: str, run_after: datetime) -> None:
    """Make sure that a run without an execution is not one whose execution was dropped: it would send anew to all.

    :param run_after: of the run.
    :raises NothingToRedrive: it may be one.
    """
    until = connection.execute(select(push_task.c.dropped_until).where(push_task.c.code == code)).scalar()
    if until is not None and run_after <= until:
        raise NothingToRedrive(
            f"What became of this run of {run_after:%Y-%m-%d %H:%M %Z} has left the ledger ([push] retention_days), so "
            "nobody can tell whom it reached. Trigger the push task anew to send once more."
        )


_DROPPED = text("""
    SELECT execution_id, deliveries, first_delivery, last_delivery FROM push_dropped WHERE due <= now()
    ORDER BY due, execution_id LIMIT 500 FOR UPDATE SKIP LOCKED
""")
# Within each execution from where the last portion ended: what was deleted is not looked through again.
_CLEAR = text("""
    WITH part AS (
        SELECT d.id FROM push_dropped AS p
        CROSS JOIN LATERAL (
            SELECT id FROM push_delivery
            WHERE execution_id = p.execution_id AND id > p.after_id AND id BETWEEN :first AND :last
            ORDER BY id LIMIT :limit) AS d
        WHERE p.execution_id = ANY(:executions) ORDER BY p.execution_id, d.id LIMIT :limit),
    gone AS (
        DELETE FROM push_delivery WHERE id = ANY (ARRAY (SELECT id FROM part)) AND id BETWEEN :first AND :last
        RETURNING execution_id, id, recipient)
    SELECT execution_id, max(id) AS last, count(*) AS deliveries, array_agg(DISTINCT recipient) AS addresses
    FROM gone GROUP BY execution_id ORDER BY execution_id
""")
_NOTE = text("UPDATE push_dropped SET after_id = :last WHERE execution_id = :execution")
_DONE = text("DELETE FROM push_dropped WHERE execution_id = ANY(:executions)")


def clear(engine: Engine, limit: int) -> int:
    """Delete up to ``limit`` deliveries of executions that were dropped, and that wait no longer for their partition.

    :returns: how many; 0 when none is left, or others are at it.
    """
    while True:
        with transaction(engine) as connection:
            some = _some(connection.execute(_DROPPED).all(), limit)
            if not some:
                return 0
            executions = [row.execution_id for row in some]
            spans = [Span.noted(row.first_delivery, row.last_delivery) for row in some]
            within = {"first": min(span.first for span in spans), "last": max(span.last for span in spans)}
            gone = connection.execute(_CLEAR, {"executions": executions, "limit": limit, **within}).all()
            count = int(sum(row.deliveries for row in gone))
            if count < limit:
                done = executions
            else:  # the last of them may have more
                done = [one for one in executions if one < gone[-1].execution_id]
                connection.execute(_NOTE, {"last": gone[-1].last, "execution": gone[-1].execution_id})
            connection.execute(_DONE, {"executions": done})
            in_no_hurry(connection)  # what a crash forgets is deleted again
            known_addresses.forget(connection, {address for row in gone for address in row.addresses})
        if count:
            return count


def _some(dropped: Sequence[Any], limit: int) -> list[Any]:
    """The first executions that have so many deliveries: no more are sorted than are deleted, or about."""
    some = []
    for row in dropped:
        if limit <= 0:
            break
        some.append(row)
        limit -= row.deliveries
    return some
