"""Each channel's default sender configuration, for tasks: they can look connections up by id, and search for none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from sqlalchemy import Connection, Engine, delete, select, text
from sqlalchemy.dialects.postgresql import insert

from push_provider.ledger.engine import transaction
from push_provider.ledger.tables import push_default

_LOCK = 0x7075_6466  # "pudf": one change of defaults at a time, whoever makes it


class Default(NamedTuple):
    """The default sender configuration of a channel.

    :param config: connection id.
    :param stored: it is in Airflow's database, and its own mark decides; else somebody has named one from elsewhere.
    """

    config: str
    stored: bool


def of(engine: Engine, channel: str) -> str | None:
    """Connection id of a channel's default sender configuration; None if none is marked."""
    found = select(push_default.c.config).where(push_default.c.channel == channel)
    with transaction(engine) as connection:
        return connection.execute(found).scalar()


def every(engine: Engine) -> Mapping[str, Default]:
    """What is marked, by channel."""
    with transaction(engine) as connection:
        return within(connection)


def within(connection: Connection) -> dict[str, Default]:
    """The same as :func:`every`, as a part of a transaction."""
    rows = connection.execute(select(push_default.c.channel, push_default.c.config, push_default.c.stored))
    return {row.channel: Default(row.config, row.stored) for row in rows}


@contextmanager
def changing(engine: Engine) -> Iterator[Connection]:
    """A transaction that alone changes defaults: others wait for its end."""
    with transaction(engine) as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        yield connection


def put(connection: Connection, channel: str, default: Default | None) -> None:
    """Write down the default of a channel; None for none."""
    if default is None:
        connection.execute(delete(push_default).where(push_default.c.channel == channel))
        return
    written = insert(push_default).values(channel=channel, **default._asdict())
    connection.execute(written.on_conflict_do_update(index_elements=[push_default.c.channel], set_=default._asdict()))
