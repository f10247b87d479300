"""The recipients of push tasks, in lists that never change: a task that gets others gets another list.

So an execution that begins now goes to those whom its task has now, though its deliveries are written later, by its
run. A list that no task has any more goes when no execution waits for it, either.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Connection, Engine, delete, insert, select, text

from push_provider import written
from push_provider.ledger.copying import copy
from push_provider.ledger.engine import transaction
from push_provider.ledger.tables import push_list, push_list_left, push_recipient, recipient_list

if TYPE_CHECKING:
    from push_provider.contract.recipients import Recipient

_COPY = "COPY push_recipient (list_id, position, address, variables) FROM STDIN"


class Listed(NamedTuple):
    """What a push task says of its own recipients; the names are those of its columns.

    :param list_id: where they are, or are to be; None where there is nobody.
    :param recipients: how many.
    """

    list_id: int | None
    list_digest: bytes
    recipients: int


def draw(connection: Connection, recipients: Sequence[Recipient], digest: bytes) -> Listed:
    """Draw the number of a list for these, which is then to be written.

    :param digest: theirs.
    """
    if not recipients:
        return Listed(None, digest, 0)
    number = connection.execute(select(recipient_list.next_value())).scalar_one()
    return Listed(number, digest, len(recipients))


def write(connection: Connection, number: int | None, recipients: Sequence[Recipient]) -> None:
    """Write the recipients of a list that was drawn."""
    if number is None:
        return
    rows = ((number, place, one.to, variables_of(one.variables)) for place, one in enumerate(recipients, 1))
    copy(connection, _COPY, rows)
    addresses = "\n".join(one.to for one in recipients)
    connection.execute(insert(push_list).values(list_id=number, addresses=addresses))


def variables_of(variables: Mapping[str, Any]) -> str:
    """Variables as JSON, as ``COPY`` takes them."""
    return written.dumps(variables) if variables else "{}"


def digest_of(recipients: Sequence[Recipient]) -> bytes:
    """By which two lists that say the same are known: SHA-256 of all of it in its order."""
    digest = hashlib.sha256()
    for one in recipients:
        digest.update(f"{written.dumps([one.to, one.variables], sort_keys=True)}\n".encode())
    return digest.digest()


def read(connection: Connection, number: int | None, *, most: int | None = None) -> list[dict[str, Any]]:
    """The recipients of a list in its order, as the contract has them.

    :param most: only the first so many.
    """
    query = select(push_recipient.c.address, push_recipient.c.variables).where(push_recipient.c.list_id == number)
    rows = connection.execute(query.order_by(push_recipient.c.position).limit(most))
    return [{"to": row.address, "variables": row.variables} for row in rows]


def leave(connection: Connection, number: int | None) -> None:
    """Note that the push task whose list it was has it no more: nobody finds it by its addresses."""
    if number is not None:
        connection.execute(delete(push_list).where(push_list.c.list_id == number))
        connection.execute(insert(push_list_left).values(list_id=number))


_LEFT = text("""
    SELECT l.list_id FROM push_list_left AS l
    WHERE NOT EXISTS (SELECT FROM push_execution AS e WHERE e.list_id = l.list_id)
    ORDER BY l.list_id LIMIT 500 FOR UPDATE SKIP LOCKED
""")
_CLEAR = text("""
    DELETE FROM push_recipient WHERE (list_id, position) IN (
        SELECT list_id, position FROM push_recipient
        WHERE list_id = ANY(:lists) ORDER BY list_id, position LIMIT :limit)
""")
_DONE = text("DELETE FROM push_list_left WHERE list_id = ANY(:lists)")


def clear(engine: Engine, limit: int) -> int:
    """Delete up to ``limit`` recipients of lists that nobody has any more.

    :returns: how many; 0 when none is left, or others are at it.
    """
    while True:
        with transaction(engine) as connection:
            lists = connection.scalars(_LEFT).all()
            if not lists:
                return 0
            gone = connection.execute(_CLEAR, {"lists": lists, "limit": limit}).rowcount
            if gone < limit:
                connection.execute(_DONE, {"lists": lists})
        if gone:
            return gone
