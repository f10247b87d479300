"""Which applications a sender configuration serves: what a connection says in ``apps``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from push_provider.connections.fields import Fields
from push_provider.exceptions import ConfigurationError

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from push_provider.contract import PushTask

EVERY = "*"
"""Stands for every application, and for tasks of none."""


def apps(connection: Connection) -> frozenset[str]:
    """The applications that a connection names: as text with commas, or as a list; empty for none.

    :raises ConfigurationError: its extra cannot be read, or names them otherwise.
    """
    fields = Fields(connection)
    named: Any = fields.extra.get("apps")
    if isinstance(named, str):
        named = re.split("[,，]", named)
    if named is not None and not (isinstance(named, list) and all(isinstance(name, str) for name in named)):
        raise fields.error("apps", "takes applications, separated by commas")
    return frozenset(filter(None, (name.strip() for name in named or ())))


def serves(connection: Connection | None, task: PushTask) -> bool | None:
    """Whether a connection names the application of a task.

    :param connection: None if there is none.
    :returns: None if it names no application at all, or what it says cannot be read; then nothing is sent through it.
    """
    from push_provider.channels.registry import get_channel

    if connection is None:
        return None
    if connection.conn_type not in get_channel(task.channel).connection_types:
        return False
    try:
        named = apps(connection)
    except ConfigurationError:
        return None
    return (EVERY in named or task.app in named) if named else None


def require_default(connection: Connection, task: PushTask) -> None:
    """Refuse to send a task that names no configuration through one that serves others.

    It is asked when it is sent, too: which one is the default changes, and so does what it says.

    :param connection: the default one of the task's channel.
    :raises ConfigurationError: it names applications, and not the task's.
    """
    named = apps(connection)
    if named and EVERY not in named and task.app not in named:
        raise ConfigurationError(
            f"Push task {task.code!r} names no config, and the default one serves certain applications alone (its "
            f"field 'apps'). Name a config, or let the default one serve application {task.app!r}."
        )
