"""Aliyun SMS accounts as Airflow connections of type ``push_aliyun_sms``.

:func:`aliyun_config` turns a connection into an :class:`~push_provider.channels.sms.aliyun_config.AliyunConfig`;
:class:`~push_provider.hooks.aliyun_sms.PushAliyunSmsHook` is what Airflow itself uses of such a connection.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from push_provider.channels.sms.aliyun_codes import meaning
from push_provider.channels.sms.aliyun_config import DEFAULT_CONNECTION, AliyunConfig, TemplateKind
from push_provider.connections import aliyun
from push_provider.connections.aliyun import account_fields
from push_provider.connections.fields import Fields
from push_provider.connections.lookup import get_connection
from push_provider.connections.unanswered import NoAnswer, NotSent
from push_provider.exceptions import ConfigurationError, ProviderUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.sdk import Connection

    from push_provider.channels.sms.aliyun_client import AliyunClient
    from push_provider.connections.aliyun import Answer

CONN_TYPE = "push_aliyun_sms"
APPROVED_TEMPLATE = "1"
_TEMPLATE_KINDS = {
    **dict.fromkeys("012", TemplateKind.MAINLAND),  # verification codes, notices, promotions
    "3": TemplateKind.INTERNATIONAL,
}
"""TemplateType of GetSmsTemplate
(https://help.aliyun.com/zh/sms/developer-reference/api-dysmsapi-2017-05-25-getsmstemplate)."""
_PLACEHOLDER = re.compile(r"\$\{\s*([^{}\s]+)\s*\}")


def get_sms_connection(config: str | None = None, default: str | None = None) -> Connection:
    """Look up the connection that a push task sends through.

    :param config: the task's ``config``, a connection id; None or empty takes the default.
    :param default: the connection that is marked as the default; None takes :data:`DEFAULT_CONNECTION`.
    :raises ConfigurationError: there is no such connection; the text says how to make it.
    """
    how = (
        f"--conn-type {CONN_TYPE} --conn-login <access key id> --conn-password <access key secret> --conn-port 443 "
        """--conn-extra '{"sign_name": "<signature>", "template_code": "SMS_<number>"}'"""
    )
    return get_connection(config, default=default or DEFAULT_CONNECTION, form="Push Aliyun SMS", options=how)


def aliyun_config(connection: Connection) -> AliyunConfig:
    """Resolve an Aliyun account.

    Login is the access key id, password its secret. The extra holds ``sign_name``, ``template_code``,
    ``template_kind`` (a :class:`TemplateKind`), ``params_note`` (for people), ``region``, ``endpoint`` (a host or an
    address with ``https://``; ``http://`` on this machine only), ``max_connections``, ``timeout`` (seconds) and
    ``enabled``.

    :param connection: secrets in clear.
    :raises ConfigurationError: wrong type, disabled, or a field is missing or wrong; the text names it.
    """
    fields = Fields(connection)
    if connection.conn_type != CONN_TYPE:
        raise fields.error("type", f"is {connection.conn_type!r}; SMS go through {CONN_TYPE!r}")
    fields.require_enabled()
    kind = fields.choice("template_kind", tuple(kind.value for kind in TemplateKind))
    return AliyunConfig(
        **account_fields(fields, connection, "dysmsapi.aliyuncs.com"),
        sign_name=fields.line("sign_name"),
        template_code=fields.line("template_code"),
        template_kind=TemplateKind(kind) if kind else None,
    )


def refusal(config: AliyunConfig, answer: Answer) -> ConfigurationError:
    """The error of an answer that concerns the account, the signature or the template."""
    return aliyun.refusal(config, answer, meaning(answer.code, answer.message).remedy)


def placeholders(template: str) -> frozenset[str]:
    """The names of a template's parameters: its ``${…}``."""
    return frozenset(_PLACEHOLDER.findall(template))


def template_kind(answer: Answer) -> TemplateKind | None:
    """The kind of a template, as GetSmsTemplate tells it; None if it does not."""
    return _TEMPLATE_KINDS.get(str(answer.body.template_type)) if answer.ok else None


def ask(client: AliyunClient, call: Callable[..., Answer], *arguments: Any) -> Answer:
    """Make a call that changes nothing.

    :raises ProviderUnavailable: there is no answer.
    """
    try:
        return call(*arguments)
    except (NotSent, NoAnswer) as error:
        raise ProviderUnavailable(f"Connection {client.config.connection!r}: {error}; try again later.") from None
