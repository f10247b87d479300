"""Apps at Aliyun Mobile Push as Airflow connections of type ``push_aliyun_app``.

:func:`aliyun_app_config` turns a connection into an
:class:`~push_provider.channels.app.aliyun_config.AliyunAppConfig`;
:class:`~push_provider.hooks.aliyun_app.PushAliyunAppHook` is what Airflow itself uses of such a connection.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from push_provider.channels.app.aliyun_codes import meaning
from push_provider.channels.app.aliyun_config import DEFAULT_CONNECTION, AliyunAppConfig
from push_provider.connections import aliyun
from push_provider.connections.aliyun import account_fields
from push_provider.connections.fields import Fields
from push_provider.connections.lookup import get_connection

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from push_provider.connections.aliyun import Answer
    from push_provider.exceptions import ConfigurationError

CONN_TYPE = "push_aliyun_app"
_APP_KEY = re.compile(r"[1-9]\d{0,17}", re.ASCII)
_ACTIVITY = re.compile(r"[A-Za-z_][\w$]*(\.[A-Za-z_][\w$]*)+", re.ASCII)


def get_app_connection(config: str | None = None, default: str | None = None) -> Connection:
    """Look up the connection that a push task sends through.

    :param config: the task's ``config``, a connection id; None or empty takes the default.
    :param default: the connection that is marked as the default; None takes :data:`DEFAULT_CONNECTION`.
    :raises ConfigurationError: there is no such connection; the text says how to make it.
    """
    how = (
        f"--conn-type {CONN_TYPE} --conn-login <access key id> --conn-password <access key secret> --conn-port 443 "
        """--conn-extra '{"app_key": "<number>"}'"""
    )
    return get_connection(config, default=default or DEFAULT_CONNECTION, form="Push Aliyun App", options=how)


def aliyun_app_config(connection: Connection) -> AliyunAppConfig:
    """Resolve an app at Aliyun.

    Login, password, ``region``, ``endpoint``, ``max_connections`` and ``timeout`` are those of
    :func:`~push_provider.connections.aliyun.account_fields`. The extra also holds ``app_key``, ``apns_env``
    (``product`` or ``dev``), ``activity`` and ``enabled``.

    :param connection: secrets in clear.
    :raises ConfigurationError: wrong type, disabled, or a field is missing or wrong; the text names it.
    """
    fields = Fields(connection)
    if connection.conn_type != CONN_TYPE:
        raise fields.error("type", f"is {connection.conn_type!r}; app push through Aliyun goes by {CONN_TYPE!r}")
    fields.require_enabled()
    account = account_fields(fields, connection, "cloudpush.aliyuncs.com")
    key = fields.line("app_key")
    if not key:
        raise fields.error("app_key", "is empty; enter the app's AppKey, a number, as the EMAS console shows it")
    if not _APP_KEY.fullmatch(key):
        raise fields.error("app_key", f"is {key!r}; it takes a number such as 333456789")
    activity = fields.line("activity")
    if activity and not _ACTIVITY.fullmatch(activity):
        raise fields.error("activity", f"is {activity!r}; it takes a class with its package, like com.example.Popup")
    return AliyunAppConfig(
        **account,
        app_key=int(key),
        apns_env=(fields.choice("apns_env", ("product", "dev")) or "product").upper(),
        activity=activity,
    )


def refusal(config: AliyunAppConfig, answer: Answer) -> ConfigurationError:
    """The error of an answer that concerns the account or the app."""
    return aliyun.refusal(config, answer, meaning(answer.code).remedy)
