"""Partitions of ``push_delivery``: made ahead, closed when full or old, and dropped when nothing of them lives.

Deleting a hundred million rows one by one writes as much as sending did, and leaves holes; dropping their table is a
matter of milliseconds. Partition n has the ids from n · 10⁹ on. It never runs out of them: it is closed by moving the
sequence on to the first id of the next one.

Nobody who sends waits for any of it. A partition is made beside the table and then attached, which locks out nobody
(PostgreSQL, ALTER TABLE; CREATE TABLE … PARTITION OF would). It is detached CONCURRENTLY, which waits for others and
has nobody wait. What takes a lock that others may want gives up after 50 ms and tries again.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from threading import Timer
from typing import NamedTuple

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

from push_provider.databases import sqlstate
from push_provider.ledger import known_addresses, spans, walks
from push_provider.ledger.engine import explained, transaction
from push_provider.ledger.tables import PARTITION_IDS

log = logging.getLogger(__name__)

MOST = 10_000_000
"""Ids after which a partition is closed: some gigabytes with their indexes, which are dropped in a fraction of a
second."""
_LOCK = 0x7075_7370  # "pusp": one at a time, whoever does the upkeep
_TRIES = 20
_PAUSE = 0.1
"""Seconds between two tries."""
_PATIENCE = 30.0
"""Seconds for which a detachment waits for transactions of others; then the next time of upkeep goes on with it."""


class Partition(NamedTuple):
    """A part of ``push_delivery``.

    :param first: id that it has room for.
    :param end: the first id after it.
    :param pending: its detachment was begun, and not ended.
    """

    name: str
    first: int
    end: int
    pending: bool


_PARTITIONS = text("""
    SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) AS bound, i.inhdetachpending AS pending
    FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
    WHERE i.inhparent = CAST('push_delivery' AS regclass)
""")
_BOUND = re.compile(r"FROM \((?:MINVALUE|'(\d+)')\) TO \('(\d+)'\)")


def partitions(connection: Connection) -> list[Partition]:
    """All partitions, in the order of their ids."""
    found = []
    for row in connection.execute(_PARTITIONS):
        bound = _BOUND.search(row.bound or "")
        if bound:
            found.append(Partition(row.relname, int(bound[1] or 0), int(bound[2]), row.pending))
    return sorted(found, key=lambda one: one.first)


@contextmanager
def _alone(engine: Engine) -> Iterator[Connection | None]:
    """A transaction, if nobody else is at the partitions; None if somebody is."""
    with transaction(engine) as connection:
        free = connection.execute(text("SELECT pg_try_advisory_xact_lock(:lock)"), {"lock": _LOCK}).scalar_one()
        yield connection if free else None


def _without_waiting(engine: Engine, work: Callable[[Connection], int]) -> int:
    """Do something in a transaction that waits for no lock for longer than a moment; tried again if it had to.

    :returns: what it returned; 0 if others were in its way each time.
    """
    for _ in range(_TRIES):
        try:
            with engine.begin() as connection:
                connection.execute(text("SET LOCAL lock_timeout = '50ms'"))
                return work(connection)
        except OperationalError as error:
            if sqlstate(error) != "55P03":  # lock_not_available
                raise
        time.sleep(_PAUSE)
    return 0


# --- making -----------------------------------------------------------------------------------------------------


def make_ahead(engine: Engine, limit: int = 1) -> int:
    """Make the partition after the one that is written to, if it is not there yet.

    :param limit: at most so many.
    :returns: how many were made; 0 also if others are at it.
    """
    with explained(), _alone(engine) as connection:
        if connection is None:
            return 0
        return sum(_without_waiting(engine, _maker(first)) for first in _missing(connection)[:limit])


def _missing(connection: Connection) -> list[int]:
    """First ids of those that should be there and are not: the one that is written to, and the next."""
    there = partitions(connection)
    missing = []
    place = spans.begin(connection)
    for _ in range(2):
        found = next((one for one in there if one.first <= place < one.end), None)
        if found is None:
            first = place // PARTITION_IDS * PARTITION_IDS
            missing.append(first)
            place = first + PARTITION_IDS
        else:
            place = found.end
    return missing


def _maker(first: int) -> Callable[[Connection], int]:
    name = f"push_delivery_{first // PARTITION_IDS}"

    def make(connection: Connection) -> int:
        connection.execute(text(f"CREATE TABLE {name} (LIKE push_delivery INCLUDING ALL) WITH (fillfactor = 60)"))
        bounds = f"FROM ({first}) TO ({first + PARTITION_IDS})"
        connection.execute(text(f"ALTER TABLE push_delivery ATTACH PARTITION {name} FOR VALUES {bounds}"))
        log.info("Partition %s was made, for what is sent later", name)
        return 1

    return make


# --- closing ----------------------------------------------------------------------------------------------------


_CURRENT = text("""
    INSERT INTO push_upkeep AS u (what, position, since) VALUES ('partition', :number, :now)
    ON CONFLICT (what) DO UPDATE SET position = excluded.position,
        since = CASE WHEN u.position = excluded.position THEN coalesce(u.since, excluded.since)
                     ELSE excluded.since END
    RETURNING since
""")


def rotate(engine: Engine, limit: int = 1, *, now: datetime, age: timedelta | None, most: int = MOST) -> int:
    """Close the partition that is written to, if it is full or old: what is planned from now on lies in the next.

    What is being planned at this moment may lie in both. One in which nothing lies stays, however old it is.

    :param limit: at most so many; there is one at a time.
    :param now: the present moment.
    :param age: after which it is old; None: never.
    :param most: ids after which it is full.
    :returns: how many were closed; 0 also if others are at it, or if the next one is not there.
    """
    with _alone(engine) as connection:
        if connection is None or not limit:
            return 0
        there = partitions(connection)
        place = spans.begin(connection)
        current = next((one for one in there if one.first <= place < one.end), None)
        if current is None:
            return 0
        number = current.end // PARTITION_IDS - 1
        since = connection.execute(_CURRENT, {"number": number, "now": now}).scalar_one()
        # The first id of all is 1; and the first partition, from before there were any, may have room for more.
        used = place - max(current.first, current.end - PARTITION_IDS, 1)
        old = age is not None and now - since >= age
        if not used or not (used >= most or old):
            return 0
        if not any(one.first == current.end and not one.pending for one in there):
            return 0
        connection.execute(text("SELECT setval('push_delivery_id_seq', :next, false)"), {"next": current.end})
        connection.execute(_CURRENT, {"number": number + 1, "now": now})
    log.info("Partition %s is closed, with %s ids used: it is %s", current.name, used, "old" if old else "full")
    return 1


# --- dropping ---------------------------------------------------------------------------------------------------


# A copy that somebody keeps under a date, say push_delivery_20261130, is none: it would be one of ids to come.
_DETACHED = text(f"""
    SELECT c.relname FROM pg_class AS c JOIN pg_class AS p ON p.oid = CAST('push_delivery' AS regclass)
    WHERE c.relnamespace = p.relnamespace AND c.relkind = 'r' AND NOT c.relispartition
        AND c.relname ~ '^push_delivery_[0-9]+$'
        AND CAST(substring(c.relname FROM '[0-9]+$') AS numeric) * {PARTITION_IDS}
            < (SELECT last_value FROM push_delivery_id_seq)
    ORDER BY length(c.relname), c.relname LIMIT 1
""")  # noqa: S608  (a constant of ours)
_LIVES = text("""
    SELECT EXISTS (
        SELECT FROM push_execution
        WHERE total > 0 AND int8range(first_delivery, last_delivery, '[]') && int8range(:first, :end))
""")
_DETACHING = "detached"
_WALK = text("""
    INSERT INTO push_upkeep (what, position) VALUES (:what, 0)
    ON CONFLICT (what) DO UPDATE SET what = excluded.what RETURNING position
""")
# Those that somebody deletes at this moment find nothing, and go by themselves.
_FORGET = text("""
    DELETE FROM push_dropped WHERE execution_id = ANY (ARRAY (
        SELECT execution_id FROM push_dropped AS p
        WHERE p.first_delivery IS NOT NULL AND NOT EXISTS (
            SELECT FROM unnest(CAST(:firsts AS bigint[]), CAST(:ends AS bigint[])) AS q (first, after)
            WHERE p.first_delivery < q.after AND p.last_delivery >= q.first)
        FOR UPDATE SKIP LOCKED))
""")


def drop_old(engine: Engine, limit: int) -> int:
    """Drop closed partitions of which nothing lives, the oldest first: a portion of the work.

    One is detached: what lies in it is found by nobody any more. Then those of its addresses are forgotten that no
    other delivery has, and in the end its table is dropped. What was begun, and broken off, is gone on with.

    :param limit: deliveries whose addresses are looked at.
    :returns: how many were; 0 when there is nothing to drop, or others are at it.
    """
    with explained(), _alone(engine) as connection:
        if connection is None:
            return 0
        while True:
            name = connection.execute(_DETACHED).scalar()
            if name is None and not (name := _detach_one(engine, connection)):
                return 0
            if gone := _walk(engine, name, limit):
                return gone
            if not _without_waiting(engine, partial(_drop, name=name)):
                return 0


def _detach_one(engine: Engine, connection: Connection) -> str | None:
    """Detach the oldest partition of which nothing lives; returns its name."""
    place = spans.begin(connection)
    there = partitions(connection)
    for one in there:
        if one.pending:  # PostgreSQL detaches one at a time
            return one.name if _detach(engine, one.name, "FINALIZE") else None
    for one in there:
        if one.end <= place and _without_waiting(engine, partial(_is_done, one=one)):
            return one.name if _detach(engine, one.name, "CONCURRENTLY") else None
    return None


def _is_done(connection: Connection, one: Partition) -> int:
    """Whether nothing of a closed partition lives, nor will."""
    bounds = {"first": one.first, "end": one.end}
    if connection.execute(_LIVES, bounds).scalar_one():
        return 0
    # Whoever began to write here before it was closed has ended when this lock is had, and what they wrote is seen.
    connection.execute(text(f"LOCK TABLE {one.name} IN SHARE MODE"))
    return int(not connection.execute(_LIVES, bounds).scalar_one())


def _detach(engine: Engine, name: str, how: str) -> bool:
    """Detach a partition, outside of any transaction; whether others let it come to its end."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        driver = connection.connection.dbapi_connection
        assert driver is not None

        def give_up() -> None:
            with suppress(Exception):  # it may be through, or away
                driver.cancel()

        # No lock_timeout: it can be set for a session alone, and behind a pool that would be another's.
        timer = Timer(_PATIENCE, give_up)
        timer.start()
        try:
            connection.execute(text(f"ALTER TABLE push_delivery DETACH PARTITION {name} {how}"))
        except OperationalError as error:
            if sqlstate(error) not in ("57014", "55P03"):  # query_canceled, lock_not_available
                raise
            log.info("Partition %s is not detached yet: somebody's transaction has lasted for long", name)
            return False
        finally:
            timer.cancel()
            timer.join()
    return True


def _walk(engine: Engine, name: str, limit: int) -> int:
    """Forget addresses of some deliveries of a partition that was detached; returns how many were gone through."""
    query = text(f"SELECT id, recipient FROM {name} WHERE id > :after ORDER BY id LIMIT :limit")  # noqa: S608
    with engine.begin() as connection:
        after = connection.execute(_WALK, {"what": _DETACHING}).scalar_one()
        rows = connection.execute(query, {"after": after, "limit": limit}).all()
        if rows:
            known_addresses.forget(connection, {row.recipient for row in rows})
            walks.go_on(connection, _DETACHING, rows[-1].id)
    return len(rows)


def _drop(connection: Connection, name: str) -> int:
    """Drop a partition that was detached, and what is known of executions that lay in it; returns 1."""
    there = [one for one in partitions(connection) if not one.pending]
    connection.execute(text(f"DROP TABLE {name}"))
    walks.go_on(connection, _DETACHING, 0)
    bounds = {"firsts": [one.first for one in there], "ends": [one.end for one in there]}
    connection.execute(_FORGET, bounds)
    log.info("Partition %s is dropped: nothing of it was left", name)
    return 1


# --- statistics -------------------------------------------------------------------------------------------------


_LOOK = text("""
    INSERT INTO push_upkeep AS u (what, since) VALUES ('looked', :now)
    ON CONFLICT (what) DO UPDATE SET since = excluded.since WHERE u.since <= excluded.since - interval '1 day'
""")


def look(engine: Engine, limit: int = 1, *, now: datetime) -> int:
    """Have PostgreSQL look at all partitions as one table, once a day: by itself it looks at each alone.

    It plans with what it saw how an execution and its deliveries are found together (manual, 25.1.3).

    :param limit: at most so often.
    :param now: the present moment.
    :returns: 1 if it has; 0 if it has within a day.
    """
    with explained(), engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if not limit or not connection.execute(_LOOK, {"now": now}).rowcount:
            return 0
        connection.execute(text("ANALYZE (SKIP_LOCKED) push_delivery"))
    return 1
