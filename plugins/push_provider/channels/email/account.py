"""Mail accounts as Airflow connections: type ``push_email``, and the SMTP provider's ``smtp``.

:func:`email_config` turns a connection into an :class:`~push_provider.channels.email.smtp_config.SmtpConfig`;
:class:`~push_provider.hooks.email.PushEmailHook` is what Airflow itself uses of such a connection. The rules follow
nodemailer (https://nodemailer.com/smtp), whose list of services this is, with three exceptions: what the connection
says wins over the service, a service's port holds only together with its kind of TLS, and a password
never goes in clear to another machine unless ``ignore_tls`` says so.
"""

from __future__ import annotations

import re
import ssl
from typing import TYPE_CHECKING, NamedTuple

from push_provider.addresses import email_address
from push_provider.channels.email.services import Service, find_service, service_for_address, similar_services
from push_provider.channels.email.smtp_config import (
    CONTENT_TIMEOUT,
    DEFAULT_CONNECTION,
    DEFAULT_MAX_CONNECTIONS,
    DEFAULT_TIMEOUT,
    SMTP_CONN_TYPE,
    SmtpConfig,
    Tls,
)
from push_provider.connections.fields import Fields, either, is_loopback
from push_provider.connections.lookup import get_connection
from push_provider.exceptions import ProviderUnavailable

if TYPE_CHECKING:
    from airflow.sdk import Connection

CONN_TYPE = "push_email"
AUTH_METHODS = ("PLAIN", "LOGIN", "CRAM-MD5")
MAX_CONNECTIONS = 64
MAX_MESSAGES = 1_000_000
_TOKEN_SECONDS = 10.0
"""For each answer of the OAuth 2 server."""
_MICROSOFT_SCOPE = "https://outlook.office.com/.default"
"""What a client asks for to send mail (https://learn.microsoft.com/exchange/client-developer/legacy-protocols)."""
STARTTLS_PORTS = frozenset({25, 587, 2525})
"""Ports on which no server speaks TLS from the first byte (RFC 3207, RFC 6409, and 2525 by custom)."""
IMPLICIT_TLS_PORT = 465
SUBMISSION_PORT = 587
RELAY_PORT = 25

_NAMED_ADDRESS = re.compile(r'"?(?P<name>[^<>"]*)"?\s*<(?P<address>[^<>]+)>')
"""``Name <address>``, as the provider's hook takes it. Not parseaddr: it finds addresses within names."""


def get_email_connection(config: str | None = None, default: str | None = None) -> Connection:
    """Look up the connection that a push task sends through.

    :param config: the task's ``config``, a connection id; None or empty takes the default.
    :param default: the connection that is marked as the default; None takes :data:`DEFAULT_CONNECTION`.
    :raises ConfigurationError: there is no such connection; the text says how to make it.
    """
    how = (
        f"--conn-type {CONN_TYPE} --conn-login <sender's address> --conn-password <authorisation code> "
        """--conn-extra '{"service": "<such as QQ>"}'"""
    )
    return get_connection(config, default=default or DEFAULT_CONNECTION, form="Push Email", options=how)


def email_config(connection: Connection) -> SmtpConfig:
    """Resolve a mail account.

    ``push_email``: login is the sender's address, password the authorisation code, host and port the server.
    The extra holds ``service``, ``secure`` (true: TLS from the start; false: STARTTLS), ``ignore_tls`` (no
    STARTTLS even if offered; as in nodemailer it says nothing about ``secure``), ``auth_method``,
    ``from_email``, ``from_name``, ``max_connections``, ``messages_per_connection``, ``timeout`` (seconds),
    ``enabled``, and for servers of one's own ``ssl_context`` (``none`` trusts any certificate) and ``ciphers``
    (OpenSSL's cipher list).
    Without a host, the service is found by name, or by the domain of the login.

    ``smtp``: the fields and defaults of
    :class:`airflow.providers.smtp.hooks.smtp.SmtpHook`; besides, the extra may hold ``from_name``,
    ``max_connections``, ``messages_per_connection``, ``enabled`` and ``ciphers``.

    Both take ``auth_type`` ``oauth2`` with ``access_token``, or ``client_id``, ``client_secret``,
    ``tenant_id`` and ``scope``, as the SMTP provider does. Text stands for what it says ("465", "true").

    With a password or token and a server that is not on this machine, STARTTLS is required and not only
    used when offered (RFC 3207 section 6: anybody on the way could hide the offer and read the password).

    :param connection: secrets in clear.
    :raises ConfigurationError: wrong type, disabled, or a field is missing or wrong; the text names it.
    :raises ProviderUnavailable: the OAuth 2 server cannot be reached.
    """
    fields = Fields(connection)
    resolve = {CONN_TYPE: _push_email_server, SMTP_CONN_TYPE: _smtp_server}.get(connection.conn_type or "")
    if resolve is None:
        raise fields.error("type", f"is {connection.conn_type!r}; email goes through {CONN_TYPE!r} or 'smtp'")
    fields.require_enabled()
    server = resolve(fields)
    from_name, from_email = _sender(fields)
    token = _access_token(connection, fields) if server.oauth2 else None
    password = None if server.oauth2 else connection.password or None
    user = fields.login() or (from_email if token else None)
    if password and not user and connection.conn_type == CONN_TYPE:
        raise fields.error("login", "is empty but there is a password; enter the sender's address (authUser)")
    tls = server.tls
    if tls is Tls.OPPORTUNISTIC and (password or token) and not is_loopback(server.host):
        tls = Tls.REQUIRED

    timeout = fields.seconds("timeout") or DEFAULT_TIMEOUT
    return SmtpConfig(
        connection=connection.conn_id,
        host=server.host,
        port=server.port,
        tls=tls,
        user=user if (user and password) or token else None,
        password=password if user else None,
        auth_method=server.auth_method,
        access_token=token,
        from_email=from_email,
        from_name=from_name,
        max_connections=fields.whole("max_connections", maximum=MAX_CONNECTIONS) or DEFAULT_MAX_CONNECTIONS,
        messages_per_connection=fields.whole("messages_per_connection", maximum=MAX_MESSAGES),
        timeout=timeout,
        # Airflow's form stores the default also where nobody has touched the field.
        content_timeout=CONTENT_TIMEOUT if timeout == DEFAULT_TIMEOUT else None,
        ciphers=_ciphers(fields),
        verify=fields.choice("ssl_context", ("default", "none")) != "none",
    )


# --- where the server is ------------------------------------------------------------------------------


class _Server(NamedTuple):
    host: str
    port: int
    tls: Tls
    auth_method: str | None
    oauth2: bool


def _push_email_server(fields: Fields) -> _Server:
    host = fields.host()
    service = _find_service(fields, host)
    port, secure = _port_and_secure(fields.port(), fields.flag("secure"), service)
    ignore_tls = fields.flag("ignore_tls")
    if ignore_tls is None:
        ignore_tls = service is not None and service.ignore_tls
    method = (fields.text("auth_method") or "").upper().replace("_", "-") or (service and service.auth_method)
    oauth2 = method == "XOAUTH2" or fields.choice("auth_type", ("basic", "oauth2")) == "oauth2"
    if method and method not in (*AUTH_METHODS, "XOAUTH2"):
        raise fields.error("auth_method", f"is {method!r}; it takes {', '.join(AUTH_METHODS)}, or nothing")
    return _Server(
        # nodemailer's default host is localhost: Maildev is the service without one.
        host=host or (service and service.host) or "localhost",
        port=port,
        tls=Tls.IMPLICIT if secure else Tls.NONE if ignore_tls else Tls.OPPORTUNISTIC,
        auth_method=None if oauth2 else method or None,
        oauth2=oauth2,
    )


def _ciphers(fields: Fields) -> str | None:
    text = fields.text("ciphers")
    if text:
        try:
            ssl.create_default_context().set_ciphers(text)
        except ssl.SSLError:
            raise fields.error("ciphers", f"is {text!r}, where OpenSSL finds no cipher") from None
    return text


def _find_service(fields: Fields, host: str | None) -> Service | None:
    """The service that is named; without one and without a host, the service of the login's domain."""
    name = fields.text("service")
    if name:
        service = find_service(name)
        if service is None:
            similar = similar_services(name)
            meant = f"did you mean {either(similar)}? Else" if similar else "choose one of the list, or"
            raise fields.error("service", f"is {name!r}, no known service; {meant} leave it empty and enter a host")
        return service
    if host:
        return None
    login = fields.login() or ""
    service = service_for_address(login)
    if service is None:
        similar = similar_services(login.rpartition("@")[2]) if "@" in login else []
        hint = f" (perhaps {either(similar)})" if similar else ""
        raise fields.error(
            "host", f"is empty, and no known service has the login's domain; enter a host or a service{hint}"
        )
    return service


def _port_and_secure(port: int | None, secure: bool | None, service: Service | None) -> tuple[int, bool]:
    """Port, and whether TLS begins at once, from what is given and what the service says.

    A port that is given settles TLS where it can (465; 25, 587 and 2525), because the service's own
    setting belongs to its own port; in the same way the service's port holds only for its own setting.
    """
    own_port = service.port if service else None
    own_secure = bool(service and service.secure)
    if secure is None:
        if port is None or port == own_port:
            # nodemailer: an entry that says nothing is secure on port 465.
            secure = own_port == IMPLICIT_TLS_PORT if service and service.secure is None else own_secure
        elif port == IMPLICIT_TLS_PORT:
            secure = True
        else:
            secure = own_secure and port not in STARTTLS_PORTS
    if port is None:
        port = own_port if secure == own_secure else None
    return port or (IMPLICIT_TLS_PORT if secure else SUBMISSION_PORT), secure


def _smtp_server(fields: Fields) -> _Server:
    """As the SMTP provider's hook reads its connection: TLS from the start unless ``disable_ssl``."""
    host = fields.host()
    if host is None:
        raise fields.error("host", "is empty; enter the mail server's name")
    implicit = not fields.flag("disable_ssl")
    starttls = not fields.flag("disable_tls")
    return _Server(
        host=host,
        # smtplib's defaults, which the provider's hook relies on.
        port=fields.port() or (IMPLICIT_TLS_PORT if implicit else RELAY_PORT),
        tls=Tls.IMPLICIT if implicit else Tls.REQUIRED if starttls else Tls.NONE,
        auth_method=None,
        oauth2=fields.choice("auth_type", ("basic", "oauth2")) == "oauth2",
    )


# --- who sends ----------------------------------------------------------------------------------------


def _sender(fields: Fields) -> tuple[str | None, str]:
    """Display name and address of the sender."""
    name, given = fields.line("from_name"), fields.line("from_email")
    address = given or fields.login() or ""
    named = _NAMED_ADDRESS.fullmatch(given or "")
    if named:
        name, address = name or named["name"].strip(), named["address"]
    try:
        return name or None, email_address(address)
    except ValueError:
        wrong = (
            f"is {given!r}, which is no mail address"
            if given
            else "is empty, and the login is no mail address; enter the sender's address"
        )
        raise fields.error("from_email", wrong) from None


def _access_token(connection: Connection, fields: Fields) -> str:
    """OAuth 2 bearer token: the one given, or a new one of Microsoft's for the client, as the SMTP provider gets it.

    The provider's own way (``SmtpHook._get_oauth2_token``) sets no end to the answers.

    :raises ConfigurationError: there are no credentials, or they are refused.
    :raises ProviderUnavailable: the OAuth 2 server cannot be reached.
    """
    from airflow.sdk.log import mask_secret
    from requests import RequestException

    given = fields.extra.get("access_token")
    if given and not isinstance(given, str):
        raise fields.error("access_token", "takes text")
    try:
        token = given or _microsoft_token(fields)
    except ImportError as error:
        raise fields.error("client_id", f"needs the Python package {error.name!r}; install it") from None
    except RequestException as error:
        raise ProviderUnavailable(
            f"Connection {connection.conn_id!r}: no answer of the OAuth 2 server ({type(error).__name__})."
        ) from None
    except ValueError as error:  # of msal: a tenant that is none, an answer that is no JSON
        secret = str(fields.extra.get("client_secret") or "\0")
        reason = str(error).replace(secret, "***")
        raise fields.error("auth_type", f"is oauth2, but there is no access token: {reason}") from None
    mask_secret(token)
    return token


def _microsoft_token(fields: Fields) -> str:
    """A token by the client's own credentials, without a person.

    :raises ValueError: there are none, or they are refused.
    """
    client, secret = fields.line("client_id"), fields.extra.get("client_secret")
    if not client or not secret:
        raise ValueError("it takes access_token, or client_id and client_secret")
    from msal import ConfidentialClientApplication

    from push_provider.connections.bounded_http import bounded_session

    session = bounded_session(timeout=_TOKEN_SECONDS, connections=1)
    try:
        application = ConfidentialClientApplication(
            client_id=client,
            client_credential=secret,
            authority=f"https://login.microsoftonline.com/{fields.line('tenant_id') or 'common'}",
            http_client=session,
        )
        answer = application.acquire_token_for_client(scopes=[fields.line("scope") or _MICROSOFT_SCOPE])
    finally:
        session.close()
    token = answer.get("access_token")
    if not isinstance(token, str):
        raise ValueError(f"Microsoft refuses it: {answer.get('error_description')}")
    return token
