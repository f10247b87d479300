"""What Airflow itself uses of an app at Aliyun Mobile Push: its test, and hooks in people's own tasks."""

from __future__ import annotations

from functools import cached_property

from airflow.sdk import BaseHook

from push_provider.channels.app.aliyun_account import CONN_TYPE, aliyun_app_config, get_app_connection
from push_provider.channels.app.aliyun_check import check
from push_provider.channels.app.aliyun_client import AliyunAppClient
from push_provider.channels.app.aliyun_config import DEFAULT_CONNECTION, AliyunAppConfig
from push_provider.exceptions import PushError


class PushAliyunAppHook(BaseHook):
    """Airflow's hook for connections of type ``push_aliyun_app``.

    :param aliyun_app_conn_id: id of the connection.
    """

    conn_name_attr = "aliyun_app_conn_id"
    default_conn_name = DEFAULT_CONNECTION
    conn_type = CONN_TYPE
    hook_name = "Push Aliyun App"

    def __init__(self, aliyun_app_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.aliyun_app_conn_id = aliyun_app_conn_id

    @cached_property
    def config(self) -> AliyunAppConfig:
        """The app, resolved; for errors see :func:`aliyun_app_config`."""
        return aliyun_app_config(get_app_connection(self.aliyun_app_conn_id))

    def get_conn(self) -> AliyunAppClient:
        """Mobile Push for this app.

        :raises ConfigurationError: the connection is wrong.
        """
        return AliyunAppClient(self.config)

    def test_connection(self) -> tuple[bool, str]:
        """Ask Aliyun whether the key and the app are usable, without pushing anything.

        :return: whether they are, and what was found, for people; on failure with the remedy.
        """
        try:
            return check(self.get_conn())
        except PushError as error:
            return False, f"The configuration cannot be used. {error}"
