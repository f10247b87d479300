"""Rejected messages in the ledger: keep, look up, forward to a dead-letter topic, and forget when they are old."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Engine, Select, any_, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from push_provider.exceptions import UnknownMessage
from push_provider.ledger.engine import array_of, storable, transaction
from push_provider.ledger.orders import Message, Refused
from push_provider.ledger.tables import push_rejected

if TYPE_CHECKING:
    from uuid import UUID

_LOCK = 0x7075_6D66  # "pumf": one forwards to a topic at a time
_BYTES = 16 * 1024 * 1024
"""Of values that are forwarded at once."""


class RejectedRow(NamedTuple):
    """A rejected message, as lists show it: without its value, which may be large."""

    id: int
    topic: str
    partition: int
    offset: int
    element: int | None
    sent_at: datetime | None
    task_code: str | None
    reason: str
    rejected_at: datetime
    replayed_at: datetime | None
    size: int | None
    """Bytes of the value; None for a tombstone."""


class Forward(NamedTuple):
    """A rejected message on its way to the dead-letter topic."""

    id: int
    topic: str
    reason: str
    message: Message


class Letters(NamedTuple):
    """Rejected messages on their way to one dead-letter topic.

    :param waiting: all that are.
    :param arrived: ids of those that the topic has, as whoever sends them notes them.
    """

    waiting: list[Forward]
    arrived: set[int]


_LISTED = [
    func.octet_length(push_rejected.c.value).label("size") if name == "size" else push_rejected.c[name]
    for name in RejectedRow._fields
]
_MESSAGE = [push_rejected.c[name] for name in Message._fields]


class RejectedFilter(NamedTuple):
    """Which rejected messages are wanted: those that match everything given.

    :param codes: only those that speak of these push tasks; what a caller may see.
    :param task: only those that speak of this push task.
    :param replayed: whether a replay took them after all; None for both.
    :param rejected_from: rejected at this moment or later.
    :param rejected_to: rejected before this moment.
    """

    codes: Collection[str] | None = None
    task: str | None = None
    replayed: bool | None = False
    rejected_from: datetime | None = None
    rejected_to: datetime | None = None


def find(engine: Engine, *, limit: int = 100, offset: int = 0, **filters: Any) -> list[RejectedRow]:
    """Rejected messages, newest first, that match; ``filters`` are those of :class:`RejectedFilter`."""
    query = (
        select(*_LISTED)
        .where(*_matching(RejectedFilter(**filters)))
        .order_by(push_rejected.c.rejected_at.desc(), push_rejected.c.id.desc())
    )
    with transaction(engine) as connection:
        return [RejectedRow(*row) for row in connection.execute(query.limit(limit).offset(offset))]


def count(engine: Engine, *, cap: int, **filters: Any) -> int:
    """How many rejected messages match; not counted beyond ``cap``."""
    some = select(push_rejected.c.id).where(*_matching(RejectedFilter(**filters))).limit(cap).subquery()
    with transaction(engine) as connection:
        return connection.execute(select(func.count()).select_from(some)).scalar_one()


def _matching(wanted: RejectedFilter) -> list[ColumnElement[bool]]:
    columns = push_rejected.c
    clauses: list[ColumnElement[bool]] = []
    if wanted.codes is not None:
        clauses.append(columns.task_code == any_(array_of(wanted.codes)))
    if wanted.task is not None:
        clauses.append(columns.task_code == wanted.task)
    if wanted.replayed is not None:
        clauses.append(columns.replayed_at.is_not(None) if wanted.replayed else columns.replayed_at.is_(None))
    if wanted.rejected_from is not None:
        clauses.append(columns.rejected_at >= wanted.rejected_from)
    if wanted.rejected_to is not None:
        clauses.append(columns.rejected_at < wanted.rejected_to)
    return clauses


def listed(engine: Engine, rejected: int) -> RejectedRow | None:
    """A rejected message, as lists show it; None if there is none of this id."""
    with transaction(engine) as connection:
        row = connection.execute(select(*_LISTED).where(push_rejected.c.id == rejected)).first()
    return None if row is None else RejectedRow(*row)


def get(engine: Engine, rejected: int) -> Message:
    """A rejected message, as it came.

    :raises UnknownMessage: there is none of this id.
    """
    with transaction(engine) as connection:
        row = connection.execute(select(*_MESSAGE).where(push_rejected.c.id == rejected)).first()
    if row is None:
        raise UnknownMessage(rejected)
    return Message(*row)


def kept(engine: Engine, position: UUID) -> tuple[Message, datetime] | None:
    """The rejected message at a position, as it came, and when it was rejected; None if there is none."""
    query = select(push_rejected.c.rejected_at, *_MESSAGE).where(push_rejected.c.position == position)
    with transaction(engine) as connection:
        row = connection.execute(query).first()
    return None if row is None else (Message(*row[1:]), row[0])


def is_settled(engine: Engine, position: UUID) -> bool:
    """Whether a replay took the message at a position already."""
    query = select(push_rejected.c.replayed_at.is_not(None)).where(push_rejected.c.position == position)
    with transaction(engine) as connection:
        return bool(connection.execute(query).scalar())


def reason(engine: Engine, position: UUID) -> str | None:
    """Why the message at a position was rejected last; None if it was not."""
    with transaction(engine) as connection:
        query = select(push_rejected.c.reason).where(push_rejected.c.position == position)
        return connection.execute(query).scalar()


def awaiting(engine: Engine, topic: str = "", *, beyond: bool = False) -> str | None:
    """The first dead-letter topic, in the order of names, that has not got all that it is to get; None: there is none.

    :param topic: it and those behind it are looked at.
    :param beyond: those behind it alone.
    """
    columns = push_rejected.c
    query = select(func.min(columns.forward_to)).where(
        columns.forward_to.is_not(None),
        columns.forward_to > topic if beyond else columns.forward_to >= topic,
        columns.forwarded_at.is_(None),
    )
    with transaction(engine) as connection:
        found: str | None = connection.execute(query).scalar_one()
    return found


@contextmanager
def forwarding(engine: Engine, topic: str, limit: int, *, size: int = _BYTES) -> Iterator[Letters | None]:
    """Some of the rejected messages that a dead-letter topic has not got yet, oldest first.

    They are this caller's alone: whoever asks meanwhile is given None. At the end of the block it is noted of those
    that have ``arrived`` that the topic has them; the rest come again, and so do all after an error, or if the process
    dies. Who was given some looks afterwards whether the topic waits for more: who was given None relies on it.

    :param limit: at most so many.
    :param size: at most so many bytes of values, unless the first one has more.
    """
    query = (
        select(push_rejected.c.id, push_rejected.c.forward_to, push_rejected.c.reason, *_MESSAGE)
        .where(push_rejected.c.id.in_(_oldest(topic, limit, size)))
        .order_by(push_rejected.c.id)
    )
    with transaction(engine) as connection:
        # Not of the rows: whoever replays one of them would wait for the broker, and keep its push task locked.
        if not connection.execute(select(func.pg_try_advisory_xact_lock(_LOCK, func.hashtext(topic)))).scalar_one():
            yield None
            return
        waiting = [Forward(row[0], row[1], row[2], Message(*row[3:])) for row in connection.execute(query)]
        letters = Letters(waiting, set())
        yield letters
        if letters.arrived:
            these = push_rejected.c.id == func.any(list(letters.arrived))
            connection.execute(update(push_rejected).where(these).values(forwarded_at=func.now()))


def _oldest(topic: str, limit: int, size: int) -> Select[tuple[int]]:
    columns = push_rejected.c
    first = (
        select(columns.id, func.coalesce(func.octet_length(columns.value), 0).label("size"))  # reads no value
        .where(columns.forward_to == topic, columns.forwarded_at.is_(None))
        .order_by(columns.id)
        .limit(limit)
        .subquery()
    )
    number, so_far = (one.over(order_by=first.c.id) for one in (func.row_number(), func.sum(first.c.size)))
    added = select(first.c.id, number.label("number"), so_far.label("so_far")).subquery()
    return select(added.c.id).where(or_(added.c.number == 1, added.c.so_far <= size))


def keep(connection: Connection, rejected: Sequence[Refused], forward_to: str | None) -> None:
    """Keep rejected messages; of one that is known already, the new reason.

    :param forward_to: the topic that they are to be forwarded to.
    """
    statement = upsert(push_rejected)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[push_rejected.c.position], set_={"reason": statement.excluded.reason}
        ),
        [
            {
                "position": message.position,
                "topic": message.topic,
                "partition": message.partition,
                "offset": message.offset,
                "element": message.element,
                "sent_at": message.sent_at,
                "task_code": storable(code)[:200] if code else None,
                "value": message.value,
                "reason": storable(reason)[:2000],
                "forward_to": forward_to,
            }
            for message, code, reason in rejected
        ],
    )


def settle(connection: Connection, position: UUID) -> None:
    """Note that a replay took a rejected message after all."""
    connection.execute(
        update(push_rejected)
        .where(push_rejected.c.position == position, push_rejected.c.replayed_at.is_(None))
        .values(replayed_at=func.now())
    )


_TRIM = text("""
    DELETE FROM push_rejected WHERE id = ANY (ARRAY (
        SELECT id FROM push_rejected
        WHERE rejected_at < :before AND (forward_to IS NULL OR forwarded_at IS NOT NULL)
        ORDER BY rejected_at, id LIMIT :limit FOR UPDATE SKIP LOCKED))
""")


def trim(engine: Engine, limit: int, *, before: datetime) -> int:
    """Forget up to ``limit`` messages that were rejected before a moment, oldest first; returns how many.

    What a dead-letter topic is to get stays until it has got it.
    """
    with transaction(engine) as connection:
        return connection.execute(_TRIM, {"before": before, "limit": limit}).rowcount
