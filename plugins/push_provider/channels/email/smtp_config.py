"""A mail account, resolved: what a connection says and what its service fills in, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

DEFAULT_CONNECTION = "push_email_default"
"""The connection of push tasks that name none."""
SMTP_CONN_TYPE = "smtp"
"""Airflow's own connection type of mail accounts, which serves beside ours."""
DEFAULT_MAX_CONNECTIONS = 4
DEFAULT_TIMEOUT = 30.0
CONTENT_TIMEOUT = 600.0
"""Seconds for the answer to a content where the configuration leaves the timeout as it is: who waits for less typically
sends the mail twice (RFC 5321, 4.5.3.2.6)."""


class Tls(StrEnum):
    """How the connection to a mail server is protected."""

    IMPLICIT = "implicit"
    """TLS from the first byte (RFC 8314; port 465)."""
    OPPORTUNISTIC = "opportunistic"
    """STARTTLS when the server offers it (RFC 3207)."""
    REQUIRED = "required"
    """STARTTLS, or nothing is sent."""
    NONE = "none"
    """Never, even when offered (``ignoreTLS``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpConfig:
    """Everything needed to open connections to one mail server.

    :param connection: id of the Airflow connection it came from, for messages.
    :param host: name or address of the server.
    :param port: TCP port.
    :param tls: see :class:`Tls`.
    :param user: login name; None sends without login.
    :param password: the password or authorisation code; never shown.
    :param auth_method: ``PLAIN``, ``LOGIN`` or ``CRAM-MD5``; None takes the best that the server offers.
    :param access_token: OAuth 2 bearer token; given, XOAUTH2 is used instead of the password.
    :param from_email: envelope and header sender.
    :param from_name: display name of the sender, or None.
    :param max_connections: connections kept open at the same time.
    :param messages_per_connection: mails after which a connection is closed and another opened; None for no limit
        but the one that the server shows.
    :param timeout: seconds for connecting to an address of the server, and for each answer as a whole.
    :param content_timeout: the same for the answer to a content that was handed over whole; None for no more.
    :param ciphers: OpenSSL cipher list, or None for Python's default.
    :param verify: check the server's certificate and name.
    """

    connection: str
    host: str
    port: int
    tls: Tls
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    auth_method: str | None = None
    access_token: str | None = field(default=None, repr=False)
    from_email: str
    from_name: str | None = None
    max_connections: int = DEFAULT_MAX_CONNECTIONS
    messages_per_connection: int | None = None
    timeout: float = DEFAULT_TIMEOUT
    content_timeout: float | None = None
    ciphers: str | None = None
    verify: bool = True
