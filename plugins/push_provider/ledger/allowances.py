"""How many requests each caller of the REST API may still make: a token bucket that all API servers share."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Engine, text

from push_provider.ledger.engine import in_no_hurry, transaction

_ENTER = text("""
    INSERT INTO push_allowance (caller, tokens, updated_at) VALUES (:caller, :burst, clock_timestamp())
    ON CONFLICT DO NOTHING
""")
_DRAW = text("""
    WITH bucket AS MATERIALIZED (
        SELECT least(:burst, tokens + :rate * extract(epoch FROM clock_timestamp() - updated_at)) AS level
        FROM push_allowance WHERE caller = :caller FOR UPDATE)
    UPDATE push_allowance SET tokens = level - least(:wanted, floor(level)), updated_at = clock_timestamp()
    FROM bucket WHERE caller = :caller
    RETURNING least(:wanted, floor(level)) AS granted, level
""")


class Draw(NamedTuple):
    """What a caller got.

    :param granted: requests that may be made; 0 for none.
    :param wait: seconds after which there is one again.
    """

    granted: int
    wait: float


def draw(engine: Engine, caller: str, *, wanted: int, rate: float, burst: float) -> Draw:
    """Take up to ``wanted`` requests out of a caller's allowance.

    :param rate: requests a second that come back.
    :param burst: how many there are at most; at least ``wanted``.
    """
    values = {"caller": caller, "wanted": wanted, "rate": rate, "burst": burst}
    with transaction(engine) as connection:
        in_no_hurry(connection)  # a crash forgets a second of somebody's allowance; the disk would cost every request
        row = connection.execute(_DRAW, values).first()
        if row is None:
            connection.execute(_ENTER, values)
            row = connection.execute(_DRAW, values).one()
    return Draw(int(row.granted), max(0.0, (1 - row.level) / rate))
