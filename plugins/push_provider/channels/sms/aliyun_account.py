"""Aliyun SMS accounts as Airflow connections of type ``push_aliyun_sms``.

:func:`aliyun_config` turns a connection into an :class:`~push_provider.channels.sms.aliyun_config.AliyunConfig`;
:class:`~push_provider.hooks.aliyun_sms.PushAliyunSmsHook` is what Airflow itself uses of such a connection.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from push_provider.addresses import bare
from push_provider.channels.sms.aliyun_client import NoAnswer, NotSent
from push_provider.channels.sms.aliyun_codes import meaning
from push_provider.channels.sms.aliyun_config import (
    DEFAULT_CONNECTION,
    DEFAULT_MAX_CONNECTIONS,
    DEFAULT_REGION,
    DEFAULT_TIMEOUT,
    AliyunConfig,
    TemplateKind,
)
from push_provider.connections.fields import Fields, is_loopback
from push_provider.connections.lookup import get_connection
from push_provider.exceptions import ConfigurationError, ProviderUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.sdk import Connection

    from push_provider.channels.sms.aliyun_client import AliyunClient, Answer

CONN_TYPE = "push_aliyun_sms"
MAX_CONNECTIONS = 32
HTTPS_PORT = 443
APPROVED_TEMPLATE = "1"
_TEMPLATE_KINDS = {
    **dict.fromkeys("012", TemplateKind.MAINLAND),  # verification codes, notices, promotions
    "3": TemplateKind.INTERNATIONAL,
}
"""TemplateType of GetSmsTemplate
(https://help.aliyun.com/zh/sms/developer-reference/api-dysmsapi-2017-05-25-getsmstemplate)."""
_REGION = re.compile(r"[a-z]{2}(-[a-z0-9]+)+")
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
    key = fields.login()
    if not key:
        raise fields.error("login", "is empty; enter the access key id")
    if not connection.password:
        raise fields.error("password", "is empty; enter the access key secret")
    region = fields.line("region") or DEFAULT_REGION
    if not _REGION.fullmatch(region):
        raise fields.error("region", f"is {region!r}; it takes a region id such as {DEFAULT_REGION}")
    kind = fields.choice("template_kind", tuple(kind.value for kind in TemplateKind))
    endpoint, secure = _endpoint(fields)
    return AliyunConfig(
        connection=connection.conn_id,
        access_key_id=key,
        access_key_secret=bare(connection.password),
        sign_name=fields.line("sign_name"),
        template_code=fields.line("template_code"),
        template_kind=TemplateKind(kind) if kind else None,
        region=region,
        endpoint=endpoint,
        secure=secure,
        max_connections=fields.whole("max_connections", maximum=MAX_CONNECTIONS) or DEFAULT_MAX_CONNECTIONS,
        timeout=fields.seconds("timeout") or DEFAULT_TIMEOUT,
    )


def _endpoint(fields: Fields) -> tuple[str | None, bool]:
    """Host and port of the endpoint if one is given, and whether to speak HTTPS to it."""
    text = fields.line("endpoint")
    if not text:
        return None, True
    problem = fields.error(
        "endpoint", f"is {text!r}; it takes a host such as dysmsapi.aliyuncs.com, or https:// and a host"
    )
    url = text if "://" in text else f"https://{text}"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise problem from None
    if parts.scheme not in ("http", "https") or not host or parts.username or parts.path.strip("/") or parts.query:
        raise problem
    if any(not (c.isalnum() or c in ".-:") for c in host):
        raise problem
    if parts.scheme == "http" and not is_loopback(host):
        raise fields.error("endpoint", f"is {text!r}; http:// is for this machine only, use https://")
    host = f"[{host}]" if ":" in host else host
    if port is None and parts.scheme == "https" and (given := fields.port()) not in (None, HTTPS_PORT):
        port = given
    return host if port is None else f"{host}:{port}", parts.scheme == "https"


def refusal(config: AliyunConfig, answer: Answer) -> ConfigurationError:
    """The error of an answer that concerns the account, the signature or the template."""
    remedy = meaning(answer.code, answer.message).remedy or "look the code up in Aliyun's documentation"
    return ConfigurationError(
        f"Connection {config.connection!r}: Aliyun refuses the call with {answer.code} ({answer.message[:200]}); "
        f"{remedy}."
    )


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
