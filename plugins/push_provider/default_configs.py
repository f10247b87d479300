"""Which sender configuration is each channel's default: the mark on Airflow's connections, and the ledger's note of it.

People mark a connection with ``is_default`` in its extra, by Airflow's form, its API or its command line. Tasks cannot
search for it, so it is noted in the ledger by those who may read Airflow's database: :class:`Watch` in the API server,
and :func:`make_default` for API and command line. Connections of a secrets backend or of the environment cannot be
listed: they become the default by :func:`make_default` alone, until another one is marked.
"""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from push_provider.channels import registry
from push_provider.connections.fields import Fields, either
from push_provider.exceptions import ConfigurationError, UnknownConfig
from push_provider.ledger import defaults
from push_provider.ledger.defaults import Default
from push_provider.ledger.engine import get_engine

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from airflow.models.connection import Connection
    from sqlalchemy import Engine
    from sqlalchemy.orm import Session

    Sessions = Callable[[], AbstractContextManager[Session]]

log = logging.getLogger(__name__)

_MARK = "is_default"


def channel_types() -> Mapping[str, str]:
    """Each connection type that messages can be sent through, and its channel."""
    return {kind: name for name, channel in registry.channels().items() for kind in channel.connection_types}


def current(engine: Engine) -> dict[str, str]:
    """Connection id of each channel's default: the one that is marked, else the one of the known name."""
    marked = defaults.every(engine)
    return {
        name: marked[name].config if name in marked else channel.default_connection
        for name, channel in registry.channels().items()
    }


def is_marked(connection: Connection) -> bool:
    """Whether a connection is marked as the default; not, if its extra cannot be read."""
    try:
        return Fields(connection).flag(_MARK) is True
    except ConfigurationError:  # which is said when it is sent through
        return False


def make_default(engine: Engine, sessions: Sessions, config: str, channel: str | None = None) -> str:
    """Make a connection the default of its channel, and no other.

    :param sessions: gives a session on Airflow's database, committed at its end.
    :param config: connection id.
    :param channel: that it must be of; None for any.
    :returns: its channel.
    :raises UnknownConfig: there is none of this id that messages can be sent through.
    :raises ConfigurationError: it is disabled, of another channel, or its extra cannot be read.
    """
    kind = _checked(config, channel)
    with defaults.changing(engine) as ledger:
        with sessions() as session:
            same = _stored(session)[kind]
            stored = any(one.conn_id == config for one in same)
            _mark(same, config)
        # Only now: if this is lost, the mark is found all the same. The other way round, the old mark would win again.
        defaults.put(ledger, kind, Default(config, stored))
    return kind


def reconcile(engine: Engine, sessions: Sessions) -> bool:
    """Bring the ledger's note up to what Airflow's connections say.

    One that was marked beside the present default takes its place; of several, the newest does. The others lose their
    mark.

    :param sessions: gives a session on Airflow's database, committed at its end.
    :returns: whether there was anything to change.
    """
    changed = False
    with defaults.changing(engine) as ledger:
        noted = defaults.within(ledger)
        found: dict[str, Default | None] = {}
        with sessions() as session:
            by_channel = _stored(session)
            for channel in registry.channels():
                same = by_channel[channel]
                default = found[channel] = _found(same, noted.get(channel))
                changed |= _mark(same, default.config if default else None)
        for channel, default in found.items():
            if default != noted.get(channel):
                log.info("Default configuration of channel %s: %s", channel, default.config if default else "none")
                defaults.put(ledger, channel, default)
                changed = True
    return changed


class Watch:
    """Notices that connections have changed, and reconciles then. To ask costs a small query in each database.

    :param sessions: gives a session on Airflow's database, committed at its end.
    """

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._seen: Any = None

    def __call__(self) -> None:
        """Look once.

        :raises LedgerUnavailable: the ledger cannot be asked.
        """
        from airflow.models.connection import Connection
        from sqlalchemy import select

        engine = get_engine()
        # Airflow keeps no time of change. What is stored may be encrypted, and is compared as it is.
        columns = Connection.__table__.c
        query = select(columns.id, columns.conn_id, columns.conn_type, columns.extra)
        with self._sessions() as session:
            stored = session.execute(query.where(columns.conn_type.in_(list(channel_types())))).all()
        seen = (sorted(map(tuple, stored)), defaults.every(engine))
        # What had to be changed is not what is there now, and could come again: only what was right is remembered.
        if seen != self._seen:
            self._seen = None if reconcile(engine, self._sessions) else seen


def _checked(config: str, channel: str | None) -> str:
    """The channel of a connection that may be its default."""
    from airflow.models.connection import Connection
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        connection = Connection.get_connection_from_secrets(config)
    except AirflowNotFoundException:
        raise UnknownConfig(
            f"There is no connection {config!r}; Airflow lists those of its database under Admin > Connections."
        ) from None
    types = channel_types()
    kind = types.get(connection.conn_type)
    if kind is None:
        raise UnknownConfig(
            f"Connection {config!r} is of type {connection.conn_type!r}; messages go through {either(types)}."
        )
    if channel not in (None, kind):
        raise ConfigurationError(
            f"Connection {config!r} is of type {connection.conn_type!r}, so of channel {kind!r} and not {channel!r}."
        )
    Fields(connection).require_enabled()
    return kind


def _stored(session: Session) -> Mapping[str, Sequence[Connection]]:
    """The connections of each channel in Airflow's database, kept from others until the session ends."""
    from airflow.models.connection import Connection
    from sqlalchemy import select

    types = channel_types()
    query = select(Connection).where(Connection.conn_type.in_(list(types))).order_by(Connection.id).with_for_update()
    found = defaultdict[str, list[Connection]](list)
    for connection in session.scalars(query):
        found[types[connection.conn_type]].append(connection)
    return found


def _found(same: Sequence[Connection], noted: Default | None) -> Default | None:
    """The default of a channel, by the marks on its connections and what was noted before."""
    marked = [one.conn_id for one in same if is_marked(one)]
    new = [conn_id for conn_id in marked if noted is None or conn_id != noted.config]
    if new or marked:
        return Default((new or marked)[-1], stored=True)
    return None if noted is None or noted.stored else noted


def _mark(same: Sequence[Connection], config: str | None) -> bool:
    """Let one connection have the mark, and no other; whether that changed one."""
    changed = False
    for one in same:
        wanted = one.conn_id == config
        if wanted != is_marked(one):
            one.set_extra(json.dumps({**one.extra_dejson, _MARK: wanted}, ensure_ascii=False))
            changed = True
    return changed
