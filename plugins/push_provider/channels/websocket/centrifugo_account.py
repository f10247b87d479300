"""Centrifugo as Airflow connections of type ``push_centrifugo``.

:func:`centrifugo_config` turns a connection into a
:class:`~push_provider.channels.websocket.centrifugo_config.CentrifugoConfig`;
:class:`~push_provider.hooks.centrifugo.PushCentrifugoHook` is what Airflow itself uses of such a connection.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from push_provider.addresses import bare
from push_provider.channels.websocket.centrifugo_config import (
    DEFAULT_CONNECTION,
    DEFAULT_HISTORY_SIZE,
    DEFAULT_HISTORY_TTL,
    DEFAULT_MAX_CONNECTIONS,
    DEFAULT_NAMESPACE,
    DEFAULT_TIMEOUT,
    CentrifugoConfig,
)
from push_provider.connections.fields import Fields, is_loopback
from push_provider.connections.lookup import get_connection

if TYPE_CHECKING:
    from airflow.sdk import Connection

CONN_TYPE = "push_centrifugo"
MAX_CONNECTIONS = 32
_NAMESPACE = re.compile(r"[-a-zA-Z0-9_.]{2,40}", re.ASCII)
"""As Centrifugo's own check of its configuration has it (``internal/config/validate.go``)."""
_WEBSOCKET_PATH = "/connection/websocket"


def get_centrifugo_connection(config: str | None = None, default: str | None = None) -> Connection:
    """Look up the connection that a push task sends through.

    :param config: the task's ``config``, a connection id; None or empty takes the default.
    :param default: the connection that is marked as the default; None takes :data:`DEFAULT_CONNECTION`.
    :raises ConfigurationError: there is no such connection; the text says how to make it.
    """
    how = (
        f"--conn-type {CONN_TYPE} --conn-password <API key> --conn-port 8000 "
        """--conn-extra '{"address": "<https://…>", "token_secret": "<HMAC secret>"}'"""
    )
    return get_connection(config, default=default or DEFAULT_CONNECTION, form="Push Centrifugo", options=how)


def centrifugo_config(connection: Connection) -> CentrifugoConfig:
    """Resolve a connection to Centrifugo.

    The password is the API key. The extra holds ``address``, ``allow_http``, ``token_secret``, ``client_url``,
    ``namespace``, ``history_ttl`` (seconds), ``history_size``, ``max_connections``, ``timeout`` (seconds) and
    ``enabled``.

    :param connection: secrets in clear.
    :raises ConfigurationError: wrong type, disabled, or a field is missing or wrong; the text names it.
    """
    fields = Fields(connection)
    if connection.conn_type != CONN_TYPE:
        raise fields.error("type", f"is {connection.conn_type!r}; WebSocket messages go through {CONN_TYPE!r}")
    fields.require_enabled()
    key = bare(connection.password or "")
    if not key:
        raise fields.error("password", "is empty; enter the API key of Centrifugo (http_api.key)")
    if not (key.isascii() and key.isprintable()):
        raise fields.error("password", "is no API key: it takes printable characters of ASCII")
    namespace = fields.line("namespace") or DEFAULT_NAMESPACE
    if not _NAMESPACE.fullmatch(namespace):
        raise fields.error("namespace", f"is {namespace!r}; it takes 2 to 40 letters, digits, '-', '_' and '.'")
    address = _address(fields)
    return CentrifugoConfig(
        connection=connection.conn_id,
        address=address,
        api_key=key,
        token_secret=fields.line("token_secret"),
        client_url=_client_url(fields, address),
        namespace=namespace,
        history_ttl=fields.seconds("history_ttl") or DEFAULT_HISTORY_TTL,
        history_size=fields.whole("history_size", maximum=1_000_000) or DEFAULT_HISTORY_SIZE,
        max_connections=fields.whole("max_connections", maximum=MAX_CONNECTIONS) or DEFAULT_MAX_CONNECTIONS,
        timeout=fields.seconds("timeout") or DEFAULT_TIMEOUT,
    )


def _address(fields: Fields) -> str:
    text = fields.line("address")
    if not text:
        raise fields.error("address", "is empty; enter Centrifugo's address, like https://centrifugo.example.com")
    scheme, host = _parts(fields, "address", text, ("https", "http"))
    if scheme == "http" and not is_loopback(host) and not fields.flag("allow_http"):
        raise fields.error(
            "address",
            f"is {text!r}: the API key would go in clear to another machine; use https://, or in a network of your own "
            "switch allow_http on",
        )
    return text.rstrip("/")


def _client_url(fields: Fields, address: str) -> str:
    text = fields.line("client_url")
    if not text:
        return f"ws{address.removeprefix('http')}{_WEBSOCKET_PATH}"
    _parts(fields, "client_url", text, ("wss", "ws"))
    return text


def _parts(fields: Fields, name: str, text: str, schemes: tuple[str, ...]) -> tuple[str, str]:
    """Scheme and host of a URL."""
    problem = fields.error(name, f"is {text!r}; it takes {schemes[0]}:// and a host, like {schemes[0]}://example.com")
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise problem from None
    if parts.scheme not in schemes or not host or parts.username or parts.query or parts.fragment:
        raise problem
    if any(not (c.isalnum() or c in ".-_:") for c in host) or not text.isprintable() or " " in text:
        raise problem
    return parts.scheme, host
