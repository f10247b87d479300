"""Addresses that are gone, as a provider has said: noted, given to callers, and sent nothing more until taken off.

A phone that has lost the app keeps no address: what is sent there costs a call, and vendors count such calls against
the sender. So the delivery that finds out fails for good, and those that come after it fail before any call.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Engine, any_, delete, func, select, text

from push_provider.exceptions import UnknownSuppression
from push_provider.ledger import moving, spans
from push_provider.ledger.engine import array_of, storable, transaction
from push_provider.ledger.tables import push_suppression

if TYPE_CHECKING:
    from push_provider.channels.base import Outcome

CODE = "suppressed"
"""Error code of deliveries that failed because their address was known to be gone."""


class SuppressionRow(NamedTuple):
    """An address that gets nothing more."""

    id: int
    channel: str
    address: str
    code: str
    reason: str | None
    task_code: str
    suppressed_at: datetime


class SuppressionFilter(NamedTuple):
    """Which suppressions are wanted: those that match everything given.

    :param codes: only those that these push tasks found; what a caller may see.
    :param channel: only those of this channel.
    :param address: only that of this address.
    :param task: only those that this push task found.
    :param suppressed_from: noted at this moment or later.
    :param suppressed_to: noted before this moment.
    """

    codes: Collection[str] | None = None
    channel: str | None = None
    address: str | None = None
    task: str | None = None
    suppressed_from: datetime | None = None
    suppressed_to: datetime | None = None


_COLUMNS = [push_suppression.c[name] for name in SuppressionRow._fields]

# In order of their addresses: two executions that find the same ones do not wait for each other in a circle.
_NOTE = text("""
    INSERT INTO push_suppression (channel, address, code, reason, task_code)
    SELECT DISTINCT ON (t.channel, d.recipient) t.channel, d.recipient, o.code, o.reason, t.code
    FROM unnest(CAST(:ids AS bigint[]), CAST(:codes AS text[]), CAST(:reasons AS text[])) AS o (id, code, reason)
    JOIN push_delivery AS d ON d.id = o.id AND d.id BETWEEN :first AND :last
    JOIN push_execution AS e ON e.id = d.execution_id
    JOIN push_task AS t ON t.code = e.task_code
    ORDER BY t.channel, d.recipient
    ON CONFLICT (channel, address) DO UPDATE
    SET code = excluded.code, reason = excluded.reason, task_code = excluded.task_code, suppressed_at = now()
""")


def note(connection: Connection, outcomes: Sequence[Outcome]) -> None:
    """Note that the addresses of some deliveries are gone."""
    connection.execute(
        _NOTE,
        {
            **spans.values([outcome.id for outcome in outcomes]),
            "codes": [storable(outcome.code or "gone") for outcome in outcomes],
            "reasons": [storable(outcome.text)[:500] if outcome.text else None for outcome in outcomes],
        },
    )


_ANY = text("""
    SELECT EXISTS (
        SELECT FROM push_execution AS e JOIN push_task AS t ON t.code = e.task_code
        JOIN push_suppression AS s ON s.channel = t.channel WHERE e.id = :execution)
""")
_FAIL = text(f"""
    UPDATE push_delivery AS d
    SET state = CASE WHEN d.error_code = '{moving.IN_DOUBT}' THEN 'unknown' ELSE 'failed' END, updated_at = now(),
        error_code = CASE WHEN d.error_code = '{moving.IN_DOUBT}' THEN d.error_code ELSE :code END,
        error_text = CASE WHEN d.error_code = '{moving.IN_DOUBT}' THEN d.error_text ELSE
            'Nothing was sent: on ' || to_char(s.suppressed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI "UTC"')
            || ' the provider said that this address is gone (' || s.code || '). If it is not, take it off the '
            || 'suppressions' END
    FROM push_suppression AS s, push_execution AS e, push_task AS t
    WHERE e.id = :execution AND t.code = e.task_code AND s.channel = t.channel
        AND d.execution_id = e.id AND d.id BETWEEN :first AND :last AND d.state = 'pending' AND d.recipient = s.address
""")  # noqa: S608  (a constant of ours)


def fail_pending(connection: Connection, execution: int) -> int:
    """Fail the pending deliveries of an execution that go to addresses that are gone; returns how many.

    What an earlier try left in doubt is unknown instead: it may have arrived before.
    """
    # Most channels have none, and then no delivery is looked at: there may be a million.
    if not connection.execute(_ANY, {"execution": execution}).scalar_one():
        return 0
    span = spans.of(connection, execution)
    return connection.execute(_FAIL, {"execution": execution, "code": CODE, **span._asdict()}).rowcount


_GONE = text("""
    SELECT count(*) FROM push_execution AS e
    JOIN push_task AS t ON t.code = e.task_code
    JOIN push_delivery AS d ON d.execution_id = e.id AND d.id BETWEEN :first AND :last AND d.notable = 'failed'
    JOIN push_suppression AS s ON s.channel = t.channel AND s.address = d.recipient
    WHERE e.id = :execution
""")


def failed(engine: Engine, execution: int) -> int:
    """How many deliveries of an execution have failed, and will again, because their address is gone."""
    with transaction(engine) as connection:
        span = spans.of(connection, execution)
        return int(connection.execute(_GONE, {"execution": execution, **span._asdict()}).scalar_one())


def find(engine: Engine, *, limit: int = 100, offset: int = 0, **filters: Any) -> list[SuppressionRow]:
    """Suppressions, newest first, that match; ``filters`` are those of :class:`SuppressionFilter`."""
    query = (
        select(*_COLUMNS)
        .where(*_matching(SuppressionFilter(**filters)))
        .order_by(push_suppression.c.suppressed_at.desc(), push_suppression.c.id.desc())
    )
    with transaction(engine) as connection:
        return [SuppressionRow(*row) for row in connection.execute(query.limit(limit).offset(offset))]


def count(engine: Engine, *, cap: int, **filters: Any) -> int:
    """How many suppressions match; not counted beyond ``cap``."""
    some = select(push_suppression.c.id).where(*_matching(SuppressionFilter(**filters))).limit(cap).subquery()
    with transaction(engine) as connection:
        return connection.execute(select(func.count()).select_from(some)).scalar_one()


def get(engine: Engine, suppression: int) -> SuppressionRow:
    """One suppression.

    :raises UnknownSuppression: there is none of this id.
    """
    with transaction(engine) as connection:
        row = connection.execute(select(*_COLUMNS).where(push_suppression.c.id == suppression)).first()
    if row is None:
        raise UnknownSuppression(suppression)
    return SuppressionRow(*row)


def lift(engine: Engine, suppression: int) -> SuppressionRow:
    """Take an address off: what is sent to it from now on is tried again. Returns what was known of it.

    :raises UnknownSuppression: there is none of this id.
    """
    query = delete(push_suppression).where(push_suppression.c.id == suppression).returning(*_COLUMNS)
    with transaction(engine) as connection:
        row = connection.execute(query).first()
    if row is None:
        raise UnknownSuppression(suppression)
    return SuppressionRow(*row)


_FORGET = text("""
    DELETE FROM push_suppression WHERE id = ANY (ARRAY (
        SELECT id FROM push_suppression WHERE suppressed_at < :before
        ORDER BY suppressed_at, id LIMIT :limit FOR UPDATE SKIP LOCKED))
""")


def forget(engine: Engine, limit: int, *, before: datetime) -> int:
    """Forget up to ``limit`` suppressions that were noted before a moment, oldest first; returns how many.

    No address outlives the log of what was sent to it. One that is still gone is found out once more.
    """
    with transaction(engine) as connection:
        return connection.execute(_FORGET, {"before": before, "limit": limit}).rowcount


def _matching(wanted: SuppressionFilter) -> list[ColumnElement[bool]]:
    columns = push_suppression.c
    clauses: list[ColumnElement[bool]] = []
    if wanted.codes is not None:
        clauses.append(columns.task_code == any_(array_of(wanted.codes)))
    if wanted.channel is not None:
        clauses.append(columns.channel == wanted.channel)
    if wanted.address is not None:
        clauses.append(columns.address == wanted.address)
    if wanted.task is not None:
        clauses.append(columns.task_code == wanted.task)
    if wanted.suppressed_from is not None:
        clauses.append(columns.suppressed_at >= wanted.suppressed_from)
    if wanted.suppressed_to is not None:
        clauses.append(columns.suppressed_at < wanted.suppressed_to)
    return clauses
