"""What a channel is: how one kind of message reaches its recipients.

A channel turns deliveries into outcomes and knows nothing of tasks, DAGs or the ledger::

    with channel.open(connection, content, job) as sender:
        outcomes = sender.send(deliveries)

Every delivery handed in comes back as exactly one :class:`Outcome`; ``send`` raises only when
nothing of the chunk was handed to the provider. Meanwhile another thread may ask what is known already, and may ask
the sender to stop, which is between two messages. Where the provider later says what became of a message, the channel
asks for these receipts::

    receipts = channel.receipt_reader(config).read(questions)
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from push_provider.exceptions import ConfigurationError, PushError

if TYPE_CHECKING:
    from airflow.sdk import Connection


class Delivery(NamedTuple):
    """One recipient of an execution, as the channel sees it.

    :param id: the ledger's number of the delivery.
    :param to: the address, checked and normalised by the contract.
    :param variables: the recipient's own template variables.
    """

    id: int
    to: str
    variables: Mapping[str, Any]


class Result(StrEnum):
    """What became of one delivery at the provider."""

    SENT = "sent"
    """The provider accepted the message."""
    FAILED = "failed"
    """It never will: the address, the content or the sender is refused."""
    RETRY = "retry"
    """Not accepted now; a later try may succeed."""
    UNKNOWN = "unknown"
    """Handed over, and nobody can tell whether it was accepted."""


class Outcome(NamedTuple):
    """The provider's answer for one delivery.

    :param id: the delivery's number.
    :param result: see :class:`Result`.
    :param provider_id: what the provider calls the message (email: its Message-ID).
    :param code: the provider's code (email: the SMTP reply code), or a name of ours in lower case.
    :param text: the provider's words, at most 500 characters.
    :param retry_after: seconds the provider asked to wait, if it did.
    :param gone: whether the address exists no more: nothing is sent to it from now on.
    """

    id: int
    result: Result
    provider_id: str | None = None
    code: str | None = None
    text: str | None = None
    retry_after: float | None = None
    gone: bool = False


STOPPED = "stopped"
"""Code of deliveries that were not begun, because the sender was asked to stop."""


def not_begun(ids: Iterable[int]) -> list[Outcome]:
    """The outcomes of deliveries that were not begun, by their numbers."""
    return [Outcome(number, Result.RETRY, None, STOPPED) for number in ids]


class Job(NamedTuple):
    """The execution a sender is opened for.

    :param execution: the ledger's number of the execution.
    :param token: 32 hex digits, unique to the execution in the whole world. What identifies a message derives from it
        (:mod:`push_provider.marks`); no recipient may see the token itself, with which all the marks can be made.
    :param last: whether no other try of the execution follows: what is left to a later one then is never sent.
    """

    execution: int
    token: str
    last: bool = False


class Sender(AbstractContextManager["Sender"], ABC):
    """Open connections to one provider, for one execution. Leaving it closes them."""

    @abstractmethod
    def send(self, deliveries: Sequence[Delivery]) -> list[Outcome]:
        """Send a chunk and say what became of each delivery, in any order.

        :raises ConfigurationError: the provider refuses the sender itself (login, TLS, sender address).
        :raises ProviderUnavailable: the provider cannot be reached; nothing of this chunk was handed over.
        """

    @abstractmethod
    def known(self) -> list[Outcome]:
        """The outcomes of the chunk that is being sent, as far as they are known. Any thread may ask.

        After :meth:`stop`, also those of deliveries that were not begun, and now never are.
        """

    @abstractmethod
    def stop(self, seconds: float = math.inf) -> None:
        """Begin no more messages, in this chunk and all to come; any thread may ask, also again with less time.

        What was not begun comes back as :attr:`Result.RETRY` with code :data:`STOPPED`.

        :param seconds: that the answers of messages under way may take; not longer than they may in any case.
        """

    def given_up(self) -> PushError | None:
        """Why the provider cannot be used just now, if a chunk has shown that: a later one would be told so."""
        return None


class Question(NamedTuple):
    """A message whose fate is asked for.

    :param id: the delivery's number.
    :param to: the address.
    :param token: of the execution, as in :class:`Job`.
    :param provider_id: what the provider calls the message; None if its answer got lost.
    :param tried_at: when the delivery was claimed to be sent.
    """

    id: int
    to: str
    token: str
    provider_id: str | None
    tried_at: datetime


class Fate(StrEnum):
    """What the provider knows of a message."""

    DELIVERED = "delivered"
    """It arrived."""
    FAILED = "failed"
    """It did not, and will not."""
    WAITING = "waiting"
    """It was accepted; nothing is known yet."""
    ABSENT = "absent"
    """The provider has no record of it."""


class Receipt(NamedTuple):
    """The provider's word on one message.

    :param id: the delivery's number.
    :param fate: see :class:`Fate`.
    :param code: the provider's or carrier's code, for :attr:`Fate.FAILED`.
    :param text: its words, or what is known of the code.
    :param received_at: when it arrived or failed, if that is said.
    """

    id: int
    fate: Fate
    code: str | None = None
    text: str | None = None
    received_at: datetime | None = None


class ReceiptReader(ABC):
    """Asks one provider, for one account, what became of messages."""

    @abstractmethod
    def read(self, questions: Sequence[Question]) -> list[Receipt]:
        """Ask for each message; those that could not be asked for just now are left out.

        :raises ConfigurationError: the provider refuses the account.
        """


class Channel(ABC):
    """One kind of message: its limits as class attributes, and how to open a sender."""

    name: ClassVar[str]
    """As in the push task's ``channel``."""
    chunk: ClassVar[int]
    """Most deliveries that are claimed and sent together."""
    first_chunk: ClassVar[int]
    """Deliveries that are claimed before it is known how fast the provider takes them."""
    least_chunk: ClassVar[int]
    """Fewest deliveries worth a chunk, however slow the provider is."""
    boundary: ClassVar[int] = 1
    """A chunk ends before a multiple of it, unless nothing more is pending. For a provider that knows a call by the
    numbers of the deliveries in it: those from one multiple to the next are in one chunk, in each try. At most
    :attr:`least_chunk`."""
    on_unknown: ClassVar[str]
    """``resend`` or ``hold``: the default for deliveries that a crash left in doubt."""
    connection_types: ClassVar[tuple[str, ...]]
    """Types of Airflow connections that it sends through."""
    default_connection: ClassVar[str]
    """Connection id of the sender configuration of push tasks that name none, unless another one is marked."""
    receipt_after: ClassVar[float | None] = None
    """Seconds after a delivery is claimed at which its receipt is first asked for; None: the channel has none."""

    @abstractmethod
    def connection(self, config: str | None, default: str | None = None) -> Connection:
        """The sender configuration: the connection of this id, or the channel's default one.

        :param config: a push task's ``config``; None takes the default.
        :param default: connection id of the one that is marked as the default; None for :attr:`default_connection`.
        :raises ConfigurationError: there is no such connection.
        """

    @abstractmethod
    def open(self, connection: Connection, content: Any, job: Job) -> Sender:
        """Open a sender.

        :param connection: the sender configuration, secrets in clear.
        :param content: the compiled content of the execution, as
            :func:`push_provider.content.compile_content` makes it for the channel.
        :param job: the execution it is for.
        :raises ConfigurationError: the connection is of a wrong type, disabled or incomplete.
        :raises ContentError: the content does not fit what the provider has.
        :raises ProviderUnavailable: the provider had to be asked first, and cannot be reached.
        """

    def receipt_seconds(self, task: Any) -> float | None:  # noqa: ARG002  (not each channel looks at it)
        """Seconds after a claim of this task at which its receipt is first asked for; None: never."""
        return self.receipt_after

    def receipt_reader(self, config: str | None) -> ReceiptReader:
        """Give what reads receipts of messages that were sent through a sender configuration, by its id.

        A channel that asks nobody for them gives it without the connection, which may be gone by then.

        :param config: connection id; None takes the default.
        :raises ConfigurationError: there is no such connection, it is wrong, or the channel has no receipts.
        """
        return self.receipts(self.connection(config))

    def receipts(self, connection: Connection) -> ReceiptReader:
        """Give what reads receipts through this sender configuration.

        :raises ConfigurationError: the connection is wrong, or the channel has no receipts.
        """
        raise ConfigurationError(f"Channel {self.name!r} has no receipts (connection {connection.conn_id!r}).")
