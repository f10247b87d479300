"""Aliyun SMS accounts as Airflow connections of type ``push_aliyun_sms``.

:func:`aliyun_config` turns a connection into an :class:`~push_provider.hooks.aliyun_config.AliyunConfig`;
:class:`PushAliyunSmsHook` is what Airflow itself uses of such a connection.
"""

from __future__ import annotations

import re
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from airflow.sdk import BaseHook

from push_provider.addresses import bare
from push_provider.exceptions import ConfigurationError, ProviderUnavailable, PushError
from push_provider.hooks.aliyun_client import OK, SIGNS_PAGE, AliyunClient, Answer, NoAnswer, NotSent
from push_provider.hooks.aliyun_codes import Fault, is_permission, meaning
from push_provider.hooks.aliyun_config import (
    DEFAULT_CONNECTION,
    DEFAULT_MAX_CONNECTIONS,
    DEFAULT_REGION,
    DEFAULT_TIMEOUT,
    AliyunConfig,
    TemplateKind,
)
from push_provider.hooks.fields import Fields, is_loopback
from push_provider.hooks.lookup import get_connection

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.sdk import Connection

CONN_TYPE = "push_aliyun_sms"
MAX_CONNECTIONS = 32
HTTPS_PORT = 443
APPROVED_TEMPLATE = "1"
APPROVED_SIGN = "AUDIT_STATE_PASS"
_TEMPLATE_KINDS = {
    **dict.fromkeys("012", TemplateKind.MAINLAND),  # verification codes, notices, promotions
    "3": TemplateKind.INTERNATIONAL,
}
"""TemplateType of GetSmsTemplate
(https://help.aliyun.com/zh/sms/developer-reference/api-dysmsapi-2017-05-25-getsmstemplate)."""
_SIGN_PAGES = 20
"""Pages of signatures that are looked at: a thousand signatures."""
_TEST_SECONDS = 15.0
"""For the list of signatures, for which somebody waits."""
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
            key, sign = _test_sign(client)
            template = _test_template(client) if key.ok else None
        except PushError as error:
            return False, f"The configuration cannot be used. {error}"
        found = [check for check in (key, sign, template) if check]
        return all(check.ok for check in found), " ".join(check.text for check in found)


class _Check(NamedTuple):
    """What was found of one part of a configuration."""

    text: str
    ok: bool


def ask(client: AliyunClient, call: Callable[..., Answer], *arguments: Any) -> Answer:
    """Make a call that changes nothing.

    :raises ProviderUnavailable: there is no answer.
    """
    try:
        return call(*arguments)
    except (NotSent, NoAnswer) as error:
        raise ProviderUnavailable(f"Connection {client.config.connection!r}: {error}; try again later.") from None


def _test_sign(client: AliyunClient) -> tuple[_Check, _Check | None]:
    """The access key, which every call needs, and the signature, which a list of all shows."""
    wanted = client.config.sign_name
    states: dict[str, str] = {}
    end = time.monotonic() + _TEST_SECONDS
    for page in range(1, _SIGN_PAGES + 1):
        if time.monotonic() > end:
            why = f"Signature: not checked, the list of all did not come in {_TEST_SECONDS:g} s."
            return _Check("Access key: accepted.", ok=True), _Check(why, ok=False)
        answer = ask(client, client.signs, page)
        if is_permission(answer.code):
            key = _Check("Access key: accepted.", ok=True)
            why = f"Signature: not checked, this key may not list signatures ({answer.code})."
            return key, _Check(why, ok=True)
        if not answer.ok:
            concerns_key = meaning(answer.code, answer.message).fault is Fault.ACCOUNT
            what = "Access key: refused." if concerns_key else "Aliyun cannot say."
            return _Check(f"{what} {refusal(client.config, answer)}", ok=False), None
        listed = (answer.body.sms_sign_list or [])[:SIGNS_PAGE]
        states |= {sign.sign_name: sign.audit_status for sign in listed}
        if wanted is None or wanted in states or len(listed) < SIGNS_PAGE:
            break
    key = _Check("Access key: accepted.", ok=True)
    if wanted is None:
        return key, _Check("Signature: none entered; each push task must name its own.", ok=True)
    if wanted not in states:
        known = ", ".join(sorted(states)[:5]) or "none"
        return key, _Check(f"Signature {wanted!r}: this account has no such one; it has: {known}.", ok=False)
    if states[wanted] != APPROVED_SIGN:
        return key, _Check(f"Signature {wanted!r}: not approved ({states[wanted]}).", ok=False)
    return key, _Check(f"Signature {wanted!r}: approved.", ok=True)


def _test_template(client: AliyunClient) -> _Check:
    code = client.config.template_code
    if code is None:
        return _Check("Template: none entered; each push task must name its own.", ok=True)
    answer = ask(client, client.template, code)
    if is_permission(answer.code):
        return _Check(f"Template {code}: not checked, this key may not ask for it ({answer.code}).", ok=True)
    if answer.code != OK:
        return _Check(f"Template {code}: not usable ({answer.code}: {answer.message[:200]}).", ok=False)
    if str(answer.body.template_status) != APPROVED_TEMPLATE:
        return _Check(f"Template {code}: not approved (status {answer.body.template_status}).", ok=False)
    names = ", ".join(sorted(placeholders(answer.body.template_content or ""))) or "none"
    kind = template_kind(answer) or client.config.template_kind or TemplateKind.MAINLAND
    return _Check(f"Template {code}: approved ({kind}); parameters: {names}.", ok=True)
