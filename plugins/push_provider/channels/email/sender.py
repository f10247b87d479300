"""The email channel: deliveries as mails over SMTP, each to one recipient."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING

from push_provider.channels.base import Channel, Delivery, Job, Outcome, Sender
from push_provider.channels.email.mime import Mail, Message
from push_provider.channels.email.smtp_config import DEFAULT_CONNECTION, SMTP_CONN_TYPE
from push_provider.channels.email.smtp_pool import Pool

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from push_provider.channels.email.content import Content
    from push_provider.channels.email.smtp_config import SmtpConfig
    from push_provider.exceptions import PushError


class EmailChannel(Channel):
    """Mail over SMTP."""

    name = "email"
    chunk = 500
    first_chunk = 100
    least_chunk = 16
    on_unknown = "resend"
    connection_types = ("push_email", SMTP_CONN_TYPE)
    default_connection = DEFAULT_CONNECTION

    def connection(self, config: str | None, default: str | None = None) -> Connection:
        """The Airflow connection of this id, or the default: the one that is marked, else ``push_email_default``.

        :raises ConfigurationError: there is no such connection.
        """
        from push_provider.channels.email.account import get_email_connection

        return get_email_connection(config, default)

    def open(self, connection: Connection, content: Content, job: Job) -> EmailSender:
        """Compile the mail of the execution; the first ``send`` connects.

        :raises ConfigurationError: the connection is of a wrong type, disabled or incomplete.
        :raises ContentError: the subject or a file name cannot be a header field.
        """
        # The hook brings the SMTP provider, which no other use of this module needs.
        from push_provider.channels.email.account import email_config

        return EmailSender(email_config(connection), content, job)


class EmailSender(Sender):
    """Mails of one execution to one mail server. One thread at a time may use it.

    :param config: the mail account.
    :param content: the compiled content.
    :param job: the execution.
    """

    def __init__(self, config: SmtpConfig, content: Content, job: Job) -> None:
        self._message = Message(
            content,
            sender=config.from_email,
            sender_name=config.from_name,
            token=job.token,
            date=datetime.now().astimezone(),
        )
        self._pool = Pool(config, self._fill)

    def _fill(self, delivery: Delivery, eightbit: bool) -> Mail:
        return self._message.fill(delivery, eightbit=eightbit)

    def send(self, deliveries: Sequence[Delivery]) -> list[Outcome]:
        """Send a chunk.

        An outcome's ``provider_id`` is the Message-ID. Its ``code`` is the SMTP reply code, or one of
        ``content`` (cannot be rendered), ``smtputf8`` (the server cannot carry the address),
        ``connection``, ``timeout`` and ``protocol`` (the connection failed).
        """
        return self._pool.send(deliveries)

    def known(self) -> list[Outcome]:
        """What is known of the chunk that is being sent."""
        return self._pool.known()

    def stop(self, seconds: float = math.inf) -> None:
        """Begin no more mails."""
        self._pool.stop(seconds)

    def given_up(self) -> PushError | None:
        """Why those who are left are left to a later try, if they are."""
        return self._pool.given_up

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.close()
