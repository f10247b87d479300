"""Look up the Airflow connection that a push task sends through."""

from __future__ import annotations

from typing import TYPE_CHECKING

from push_provider.connections.absence import require_absent
from push_provider.exceptions import ConfigurationError

if TYPE_CHECKING:
    from airflow.sdk import Connection


def get_connection(config: str | None, *, default: str, form: str, options: str) -> Connection:
    """The connection of this id, or the channel's default one.

    :param config: a push task's ``config``; None or empty takes ``default``.
    :param default: connection id of the channel's default one. Airflow lets a task look up a connection by its id only,
        so which one is marked is known from the ledger.
    :param form: what Airflow's form calls the connection type, for the error.
    :param options: of ``airflow connections add``, for the error.
    :raises ConfigurationError: there is no such connection; the text says how to make it.
    :raises TransientError: Airflow cannot be asked just now.
    """
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    conn_id = config or default
    try:
        return BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        require_absent(conn_id)
        named = "" if config else "The push task names no config, and the default one is missing: "
        other = "" if config else ". Or take another one: airflow push default <channel> <its id>"
        raise ConfigurationError(
            f"{named}there is no connection {conn_id!r}. Create it in Airflow under Admin > Connections with "
            f"type {form!r}, or with: airflow connections add {conn_id} {options}{other}"
        ) from None
