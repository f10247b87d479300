"""What Airflow itself uses of a Firebase project: its test, and hooks in people's own tasks."""

from __future__ import annotations

from functools import cached_property

from airflow.sdk import BaseHook

from push_provider.channels.app.aliyun_account import get_app_connection
from push_provider.channels.app.fcm_account import fcm_config
from push_provider.channels.app.fcm_check import check
from push_provider.channels.app.fcm_client import FcmClient
from push_provider.channels.app.fcm_config import CONN_TYPE, FcmConfig
from push_provider.exceptions import PushError


class PushFcmHook(BaseHook):
    """Airflow's hook for connections of type ``push_fcm``.

    :param fcm_conn_id: id of the connection.
    """

    conn_name_attr = "fcm_conn_id"
    default_conn_name = "push_fcm_default"
    conn_type = CONN_TYPE
    hook_name = "Push FCM"

    def __init__(self, fcm_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.fcm_conn_id = fcm_conn_id

    @cached_property
    def config(self) -> FcmConfig:
        """The project, resolved; for errors see :func:`fcm_config`."""
        return fcm_config(get_app_connection(self.fcm_conn_id))

    def get_conn(self) -> FcmClient:
        """FCM for this project.

        :raises ConfigurationError: the connection is wrong.
        """
        return FcmClient(self.config)

    def test_connection(self) -> tuple[bool, str]:
        """Ask Google whether the service account and the project are usable, without pushing anything.

        :return: whether they are, and what was found, for people; on failure with the remedy.
        """
        try:
            return check(self.get_conn())
        except PushError as error:
            return False, f"The configuration cannot be used. {error}"
