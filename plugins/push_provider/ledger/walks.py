"""How far upkeep has got with what it goes through from end to end, one process at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert as upsert

from push_provider.ledger.engine import in_no_hurry
from push_provider.ledger.tables import push_upkeep

if TYPE_CHECKING:
    from sqlalchemy import Connection

_POSITION = text("SELECT position FROM push_upkeep WHERE what = :what FOR UPDATE SKIP LOCKED")
_GO_ON = text("UPDATE push_upkeep SET position = :position WHERE what = :what")


def locked(connection: Connection, what: str) -> int | None:
    """Where to go on, which nobody else does until the transaction ends; None if others are at it."""
    connection.execute(upsert(push_upkeep).values(what=what).on_conflict_do_nothing())
    return connection.execute(_POSITION, {"what": what}).scalar()


def seen(connection: Connection, what: str) -> int:
    """How far it has got; 0 if nobody has begun."""
    position = select(push_upkeep.c.position).where(push_upkeep.c.what == what)
    return connection.execute(position).scalar() or 0


def go_on(connection: Connection, what: str, position: int) -> None:
    """Note how far it has got; what a crash of the server forgets is gone through again."""
    in_no_hurry(connection)
    connection.execute(_GO_ON, {"what": what, "position": position})
