"""Each address of deliveries once: by part of one, deliveries are found among a hundred million.

With an index of trigrams on the deliveries themselves, planning a million recipients took 53 s in place of 10. So
upkeep notes their addresses afterwards, each once. What it has not got to, which is what was planned within some
minutes, a search looks through.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import Connection, Engine, func, select, text

from push_provider.exceptions import FieldError, InvalidTask
from push_provider.ledger import walks
from push_provider.ledger.engine import transaction
from push_provider.ledger.tables import push_address

MOST = 1000
"""Addresses that a search may find."""
_WHAT = "addresses"
# As far as the first that is younger: ids are drawn before they are committed, and what is planned at this moment may
# stand in between.
_NOTE = text("""
    WITH part AS (
        SELECT id, recipient, bool_and(created_at < now() - interval '10 minutes') OVER (ORDER BY id) AS old
        FROM (SELECT id, recipient, created_at FROM push_delivery WHERE id > :after ORDER BY id LIMIT :limit) AS d),
    noted AS (
        INSERT INTO push_address (address) SELECT DISTINCT recipient FROM part AS p
        WHERE old AND NOT EXISTS (SELECT FROM push_address AS a WHERE a.address = p.recipient)
        ON CONFLICT DO NOTHING)
    SELECT max(id) AS last, count(*) AS deliveries FROM part WHERE old
""")


def note(engine: Engine, limit: int) -> int:
    """Go through up to ``limit`` deliveries, and note those of their addresses that are not known.

    :returns: how many were gone through; 0 when none is left, or others are at it.
    """
    with transaction(engine) as connection:
        after = walks.locked(connection, _WHAT)
        if after is None:
            return 0
        row = connection.execute(_NOTE, {"after": after, "limit": limit}).one()
        if row.last is not None:
            walks.go_on(connection, _WHAT, row.last)
    return int(row.deliveries)


_FORGET = text("""
    DELETE FROM push_address AS a
    WHERE a.address = ANY(:addresses) AND NOT EXISTS (SELECT FROM push_delivery AS d WHERE d.recipient = a.address)
""")


def forget(connection: Connection, addresses: Collection[str]) -> None:
    """Forget those of some addresses that no delivery has any more."""
    connection.execute(_FORGET, {"addresses": list(addresses)})


class Found(NamedTuple):
    """What a search has to look through.

    :param pattern: of LIKE, for an address in small letters; ``/`` escapes.
    :param addresses: that match, of those that are known.
    :param position: deliveries with an id beyond are to be looked through themselves.
    """

    pattern: str
    addresses: list[str]
    position: int


def matching(connection: Connection, part: str) -> Found:
    """The addresses that have a text in them, in capitals or not.

    :raises InvalidTask: there are too many of them.
    """
    pattern = f"%{re.sub('([/%_])', _ESCAPED, part)}%"
    # The position first: what upkeep goes through in between is looked through, and known.
    position = walks.seen(connection, _WHAT)
    like = func.lower(push_address.c.address).like(func.lower(pattern), escape="/")
    found = list(connection.scalars(select(push_address.c.address).where(like).limit(MOST + 1)))
    if len(found) > MOST:
        raise InvalidTask([FieldError("search", f"is part of more than {MOST} addresses; name more of the one")])
    return Found(pattern, found, position)


_ESCAPED = r"/\1"
