"""Firebase projects as Airflow connections of type ``push_fcm``."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from push_provider.channels.app.fcm_config import (
    CONN_TYPE,
    DEFAULT_MAX_CONNECTIONS,
    DEFAULT_TIMEOUT,
    ENDPOINT,
    FcmConfig,
)
from push_provider.connections.fields import Fields, is_loopback

if TYPE_CHECKING:
    from airflow.sdk import Connection

MAX_CONNECTIONS = 8
_PROJECT = re.compile(r"[a-z][a-z0-9:.-]{2,60}", re.ASCII)
_NEEDED = ("client_email", "private_key", "token_uri")


def fcm_config(connection: Connection) -> FcmConfig:
    """Resolve a Firebase project.

    The password is the JSON of a service account. The extra holds ``project`` (the service account's own if left out),
    ``endpoint``, ``max_connections``, ``timeout`` (seconds) and ``enabled``.

    :param connection: secrets in clear.
    :raises ConfigurationError: wrong type, disabled, or a field is missing or wrong; the text names it.
    """
    fields = Fields(connection)
    if connection.conn_type != CONN_TYPE:
        raise fields.error("type", f"is {connection.conn_type!r}; app push through FCM goes by {CONN_TYPE!r}")
    fields.require_enabled()
    account = _account(fields, connection.password or "")
    project = fields.line("project") or str(account.get("project_id") or "")
    if not _PROJECT.fullmatch(project):
        raise fields.error("project", f"is {project!r}; it takes the id of a Firebase project, like my-shop-1a2b3")
    return FcmConfig(
        connection=connection.conn_id,
        project=project,
        account=account,
        endpoint=_address(fields, "endpoint", fields.line("endpoint") or ENDPOINT),
        max_connections=fields.whole("max_connections", maximum=MAX_CONNECTIONS) or DEFAULT_MAX_CONNECTIONS,
        timeout=fields.seconds("timeout") or DEFAULT_TIMEOUT,
    )


def _account(fields: Fields, text: str) -> dict[str, Any]:
    how = "enter the JSON file of a service account: Firebase console, Project settings, Service accounts"
    if not text.strip():
        raise fields.error("password", f"is empty; {how}")
    try:
        account = json.loads(text)
    except ValueError:
        account = None
    # What it holds is not repeated: it is secret.
    if not isinstance(account, dict) or account.get("type") != "service_account":
        raise fields.error("password", f"is no service account; {how}")
    if missing := [name for name in _NEEDED if not isinstance(account.get(name), str) or not account[name]]:
        raise fields.error("password", f"lacks {', '.join(missing)}; {how}")
    _address(fields, "password", account["token_uri"])
    return account


def _address(fields: Fields, name: str, text: str) -> str:
    try:
        parts = urlsplit(text)
        host = parts.hostname
    except ValueError:
        host = None
    if not host or parts.scheme not in ("https", "http") or parts.username or parts.query:
        raise fields.error(name, f"is or holds {text!r}; it takes https:// and a host")
    if parts.scheme == "http" and not is_loopback(host):
        raise fields.error(name, f"is or holds {text!r}; http:// is for this machine only, use https://")
    return text.rstrip("/")
