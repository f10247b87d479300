"""What Airflow itself uses of a Centrifugo: its test, and hooks in people's own tasks."""

from __future__ import annotations

from functools import cached_property

from airflow.sdk import BaseHook

from push_provider.channels.websocket.centrifugo_account import (
    CONN_TYPE,
    centrifugo_config,
    get_centrifugo_connection,
)
from push_provider.channels.websocket.centrifugo_check import check
from push_provider.channels.websocket.centrifugo_client import CentrifugoClient
from push_provider.channels.websocket.centrifugo_config import DEFAULT_CONNECTION, CentrifugoConfig
from push_provider.exceptions import PushError


class PushCentrifugoHook(BaseHook):
    """Airflow's hook for connections of type ``push_centrifugo``.

    :param centrifugo_conn_id: id of the connection.
    """

    conn_name_attr = "centrifugo_conn_id"
    default_conn_name = DEFAULT_CONNECTION
    conn_type = CONN_TYPE
    hook_name = "Push Centrifugo"

    def __init__(self, centrifugo_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.centrifugo_conn_id = centrifugo_conn_id

    @cached_property
    def config(self) -> CentrifugoConfig:
        """The Centrifugo, resolved; for errors see :func:`centrifugo_config`."""
        return centrifugo_config(get_centrifugo_connection(self.centrifugo_conn_id))

    def get_conn(self) -> CentrifugoClient:
        """Its server API.

        :raises ConfigurationError: the connection is wrong.
        """
        return CentrifugoClient(self.config)

    def test_connection(self) -> tuple[bool, str]:
        """Ask Centrifugo whether the key and the namespace are usable, without publishing anything.

        :return: whether they are, and what was found, for people; on failure with the remedy.
        """
        try:
            client = self.get_conn()
        except PushError as error:
            return False, f"The configuration cannot be used. {error}"
        try:
            return check(client)
        except PushError as error:
            return False, str(error)
        finally:
            client.close()
