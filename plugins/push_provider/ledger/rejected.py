"""Rejected messages in the ledger: look up, and forward to a dead-letter topic."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import Engine, func, select, update

from push_provider.exceptions import UnknownMessage
from push_provider.ledger.engine import transaction
from push_provider.ledger.messages import Message
from push_provider.ledger.tables import push_rejected

if TYPE_CHECKING:
    from uuid import UUID


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


_LISTED = [
    func.octet_length(push_rejected.c.value).label("size") if name == "size" else push_rejected.c[name]
    for name in RejectedRow._fields
]
_MESSAGE = [push_rejected.c[name] for name in Message._fields]


def find(
    engine: Engine, *, task: str | None = None, replayed: bool = False, limit: int = 100, offset: int = 0
) -> list[RejectedRow]:
    """Rejected messages, newest first.

    :param task: only those that speak of this push task.
    :param replayed: also those that a replay took after all.
    """
    query = select(*_LISTED).order_by(push_rejected.c.id.desc())
    if task is not None:
        query = query.where(push_rejected.c.task_code == task)
    if not replayed:
        query = query.where(push_rejected.c.replayed_at.is_(None))
    with transaction(engine) as connection:
        return [RejectedRow(*row) for row in connection.execute(query.limit(limit).offset(offset))]


def get(engine: Engine, rejected: int) -> Message:
    """A rejected message, as it came.

    :raises UnknownMessage: there is none of this id.
    """
    with transaction(engine) as connection:
        row = connection.execute(select(*_MESSAGE).where(push_rejected.c.id == rejected)).first()
    if row is None:
        raise UnknownMessage(rejected)
    return Message(*row)


def reason(engine: Engine, position: UUID) -> str | None:
    """Why the message at a position was rejected last; None if it was not."""
    with transaction(engine) as connection:
        query = select(push_rejected.c.reason).where(push_rejected.c.position == position)
        return connection.execute(query).scalar()


def to_forward(engine: Engine, limit: int) -> list[Forward]:
    """Up to ``limit`` rejected messages that the dead-letter topic has not got yet, oldest first."""
    query = (
        select(push_rejected.c.id, push_rejected.c.forward_to, push_rejected.c.reason, *_MESSAGE)
        .where(push_rejected.c.forward_to.is_not(None), push_rejected.c.forwarded_at.is_(None))
        .order_by(push_rejected.c.forward_to, push_rejected.c.id)
        .limit(limit)
    )
    with transaction(engine) as connection:
        rows = connection.execute(query).all()
    return [Forward(row[0], row[1], row[2], Message(*row[3:])) for row in rows]


def forwarded(engine: Engine, ids: Sequence[int]) -> None:
    """Note that the dead-letter topic has these."""
    with transaction(engine) as connection:
        connection.execute(
            update(push_rejected).where(push_rejected.c.id == func.any(list(ids))).values(forwarded_at=func.now())
        )
