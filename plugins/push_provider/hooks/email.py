"""What Airflow itself uses of a mail account: its test, and hooks in people's own tasks."""

from __future__ import annotations

import ssl
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Self

from airflow.providers.smtp.hooks.smtp import SmtpHook

from push_provider.channels.email.account import CONN_TYPE, email_config, get_email_connection
from push_provider.channels.email.smtp_config import DEFAULT_CONNECTION, SmtpConfig, Tls
from push_provider.channels.email.smtp_session import connect, offer
from push_provider.exceptions import PushError

if TYPE_CHECKING:
    from airflow.sdk import Connection

_TEST_SECONDS = 15.0
"""For all of a test of a connection, for which somebody waits."""


class PushEmailHook(SmtpHook):
    """Airflow's hook for connections of type ``push_email``; it serves ``smtp`` connections as well.

    What the SMTP provider's hook offers (``get_conn``, ``send_email_smtp``, use in a ``with`` statement)
    works on the account as :func:`email_config` resolves it. The provider's EmailOperator, though, makes an
    ``SmtpHook`` of its own and knows nothing of services: for it, the connection needs host and port 465.

    :param smtp_conn_id: id of the connection.
    """

    conn_name_attr = "smtp_conn_id"
    default_conn_name = DEFAULT_CONNECTION
    conn_type = CONN_TYPE
    hook_name = "Push Email"

    def __init__(self, smtp_conn_id: str = default_conn_name) -> None:
        super().__init__(smtp_conn_id=smtp_conn_id)

    @cached_property
    def conn(self) -> Connection:
        """The connection, looked up once."""
        if self.smtp_connection is None:
            self.smtp_connection = get_email_connection(self.smtp_conn_id)
        return self.smtp_connection

    @cached_property
    def config(self) -> SmtpConfig:
        """The account, resolved; for errors see :func:`email_config`."""
        return email_config(self.conn)

    def get_conn(self) -> Self:
        """Connect and log in, if that has not been done.

        :raises ConfigurationError: the connection, its TLS or the login is wrong.
        :raises ProviderUnavailable: the server cannot be reached just now.
        """
        if self._smtp_client is None:
            self._smtp_client = connect(self.config)
        return self

    def test_connection(self) -> tuple[bool, str]:
        """Connect, log in and say MAIL and RCPT with the sender's own address, without sending anything.

        Without the latter, an account that forgot its login would pass: servers refuse at MAIL or RCPT alone. All of it
        takes 15 seconds at most.

        :return: whether all went well, and what happened, for people; on failure with the remedy.
        """
        try:
            config = self.config
        except PushError as error:
            return False, f"The configuration cannot be used. {error}"
        try:
            client = connect(config, within=min(_TEST_SECONDS, 3 * config.timeout))
        except PushError as error:
            return False, str(error)
        server = f"{config.host}:{config.port}"
        protection = "with TLS" if isinstance(client.sock, ssl.SSLSocket) else "without TLS"
        try:
            note = offer(client, config)
            with suppress(OSError):
                client.quit()
        except PushError as error:
            return False, str(error)
        except OSError as error:  # smtplib's errors are OSErrors
            return False, f"{server} let us in and then broke off: {error}. Try again later."
        finally:
            client.close()
        login = f"logged in as {config.user}" if config.user else "without login"
        said = f"Connected to {server} {protection}, {login}. Mail is sent as {config.from_email}."
        return True, f"{said} {note}." if note else said

    # What the parent's other methods read, from the resolved account.

    @property
    def host(self) -> str:
        """See :class:`SmtpConfig`."""
        return self.config.host

    @property
    def port(self) -> int:
        """See :class:`SmtpConfig`."""
        return self.config.port

    @property
    def use_ssl(self) -> bool:
        """TLS from the first byte."""
        return self.config.tls is Tls.IMPLICIT

    @property
    def smtp_starttls(self) -> bool:
        """STARTTLS may or must be used."""
        return self.config.tls in (Tls.OPPORTUNISTIC, Tls.REQUIRED)

    @property
    def smtp_user(self) -> str:
        """Login name, or empty."""
        return self.config.user or ""

    @property
    def smtp_password(self) -> str:
        """Password, or empty."""
        return self.config.password or ""

    @property
    def from_email(self) -> str:
        """Envelope and header sender."""
        return self.config.from_email

    @property
    def timeout(self) -> int:
        """Whole seconds, at least one."""
        return max(1, round(self.config.timeout))
