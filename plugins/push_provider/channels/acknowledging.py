"""Messages whose readers say that they got them: the link in a message, and what becomes of one that nobody used.

Whoever gets a message through a channel of ours, a page or an app, may POST to its link (``api.receipts``), and its
delivery is ``delivered``. Where a push task expects that, a delivery without it has failed when its ``ttl`` is over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from push_provider import settings
from push_provider.channels.base import Fate, Question, Receipt, ReceiptReader
from push_provider.exceptions import ConfigurationError, FieldError
from push_provider.marks import receipt_mark

if TYPE_CHECKING:
    from push_provider.channels.base import Job

ACKNOWLEDGED = "acknowledged"
"""What a push task's ``expect`` says that waits for acknowledgements."""
_NAME = "acknowledge"
"""What a link is called in a message."""


class Expecting(Protocol):
    """A push task of which acknowledgements may be expected."""

    @property
    def ttl(self) -> timedelta | None:
        """How long its messages are worth something."""

    @property
    def expect(self) -> str:
        """What becomes of a message that is not acknowledged."""


def faults(task: Expecting) -> Iterator[FieldError]:
    """What ``ttl`` and ``expect`` must be together."""
    if task.ttl == timedelta(0):
        yield FieldError("ttl", "must be more than 0 seconds, or left out")
    if task.expect == ACKNOWLEDGED and task.ttl is None:
        yield FieldError("ttl", "say how long an acknowledgement may take, in seconds like 3600")


def receipt_seconds(task: Expecting) -> float | None:
    """Seconds after which it is over for a message of this push task; None: nothing is expected."""
    return task.ttl.total_seconds() if task.expect == ACKNOWLEDGED and task.ttl is not None else None


def require_links(expect: str) -> None:
    """Refuse to send messages that nobody could acknowledge, and that would all fail for it.

    :param expect: of the push task.
    :raises ConfigurationError: acknowledgements are expected, and links have no address to begin with.
    """
    if expect == ACKNOWLEDGED and not settings.public_url():
        raise ConfigurationError(
            f"The push task says expect: {ACKNOWLEDGED}, and its messages would have no link to acknowledge by: set "
            "[push] public_url, or [api] base_url, to the address under which pages and phones reach the API server."
        )


class Links:
    """The links of an execution's messages, for a channel whose spec says ``acknowledged``.

    :param job: the execution.
    """

    def __init__(self, job: Job) -> None:
        self._token = job.token
        public = settings.public_url()
        self._start = f"{public}/push/v1/receipts" if public else ""

    def of(self, delivery: int) -> dict[str, str]:
        """What a message has more by its link; nothing if Airflow has no address that it could begin with.

        :param delivery: its number.
        """
        return {_NAME: f"{self._start}/{receipt_mark(self._token, delivery)}"} if self._start else {}


class Unacknowledged(ReceiptReader):
    """Says of messages that they were not acknowledged in time."""

    def read(self, questions: Sequence[Question]) -> list[Receipt]:
        """All have failed: they are asked for when their time is over, and of what was acknowledged nothing is."""
        words = "Nobody acknowledged it within its ttl"
        return [Receipt(one.id, Fate.FAILED, "unacknowledged", words) for one in questions]
