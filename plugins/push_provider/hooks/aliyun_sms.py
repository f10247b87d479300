"""What Airflow itself uses of an Aliyun SMS account: its test, and hooks in people's own tasks."""

from __future__ import annotations

from functools import cached_property

from airflow.sdk import BaseHook

from push_provider.channels.sms.aliyun_account import CONN_TYPE, aliyun_config, get_sms_connection
from push_provider.channels.sms.aliyun_check import check_sign, check_template
from push_provider.channels.sms.aliyun_client import AliyunClient
from push_provider.channels.sms.aliyun_config import DEFAULT_CONNECTION, AliyunConfig
from push_provider.exceptions import PushError


class PushAliyunSmsHook(BaseHook):
    """Airflow's hook for connections of type ``push_aliyun_sms``.

    :param aliyun_sms_conn_id: id of the connection.
    """

    conn_name_attr = "aliyun_sms_conn_id"
    default_conn_name = DEFAULT_CONNECTION
    conn_type = CONN_TYPE
    hook_name = "Push Aliyun SMS"

    def __init__(self, aliyun_sms_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.aliyun_sms_conn_id = aliyun_sms_conn_id

    @cached_property
    def config(self) -> AliyunConfig:
        """The account, resolved; for errors see :func:`aliyun_config`."""
        return aliyun_config(get_sms_connection(self.aliyun_sms_conn_id))

    def get_conn(self) -> AliyunClient:
        """The SMS service for this account.

        :raises ConfigurationError: the connection is wrong.
        """
        return AliyunClient(self.config)

    def test_connection(self) -> tuple[bool, str]:
        """Ask Aliyun whether key, signature and template are usable, without sending anything.

        :return: whether all are, and what was found of each, for people; on failure with the remedy.
        """
        try:
            client = self.get_conn()
            key, sign = check_sign(client)
            template = check_template(client) if key.ok else None
        except PushError as error:
            return False, f"The configuration cannot be used. {error}"
        found = [check for check in (key, sign, template) if check]
        return all(check.ok for check in found), " ".join(check.text for check in found)
