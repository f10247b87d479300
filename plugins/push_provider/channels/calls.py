"""Calls that hand messages to a provider over HTTP, and senders that make them in several threads.

What one call shows of the configuration or of the provider holds for all: no more are made then. What that is for the
chunk depends on whether any of it was handed over: if nothing was, the chunk's error says so.
"""

from __future__ import annotations

import math
import threading
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from push_provider.channels.base import Outcome, Result, Sender, not_begun
from push_provider.exceptions import ContentError, ProviderUnavailable, PushError
from push_provider.unforeseen import Unforeseen

if TYPE_CHECKING:
    from logging import Logger

    from push_provider.channels.base import Delivery

PATIENCE = 10.0
"""Longest wait between two tries of a call, in seconds; a longer one is left to Airflow's retry."""
_Made = TypeVar("_Made")


class Numbered(Protocol):
    """A message."""

    @property
    def id(self) -> int:
        """The delivery's number."""


def all_alike(
    batch: Iterable[Numbered], result: Result, code: str, text: str, retry_after: float | None = None
) -> list[Outcome]:
    """The same outcome for every message of a call."""
    return [Outcome(message.id, result, None, code, text[:500], retry_after) for message in batch]


def next_try(said: float | None, listed: float | None) -> float | None:
    """Seconds after which the next try of an execution may come; None leaves it to Airflow's own delay.

    The short waits that our tables list are for tries of one call. Handed on, they would come instead of Airflow's
    delay, and a minute in which a provider has no time would use up all retries.

    :param said: by the provider, if it said so.
    :param listed: in our table of its codes; one that no call waits for is a quota's, and holds.
    """
    return said or (listed if listed is not None and listed > PATIENCE else None)


class Halt(NamedTuple):
    """Why no more calls are made, and what that is for those who are left.

    :param lasting: also in the chunks to come.
    """

    error: PushError
    result: Result
    code: str
    lasting: bool = True


class Calls:
    """The calls of one execution. Several threads may use it between :meth:`begin` and :meth:`conclude`.

    :param connection: id of the connection, for errors.
    :param sleep: waits so many seconds; by default until :meth:`stop` at the longest.
    """

    def __init__(self, connection: str, sleep: Callable[[float], object] | None = None) -> None:
        self._connection = connection
        self._stopping = threading.Event()
        self._sleep = sleep or self._stopping.wait
        self._lock = threading.Lock()
        self._halt: Halt | None = None
        self._handed_over = False
        """Whether some of the chunk was handed over, or may have been, or was refused for itself."""

    @property
    def stopping(self) -> bool:
        """Whether no more calls are made, because somebody asked."""
        return self._stopping.is_set()

    def stop(self) -> None:
        """Make no more calls; any thread may ask."""
        self._stopping.set()

    @property
    def given_up(self) -> PushError | None:
        """Why those who are left are left to a later try, if they are."""
        halt = self._halt
        return halt.error if halt and halt.lasting and halt.result is Result.RETRY else None

    def begin(self) -> None:
        """Begin a chunk.

        :raises PushError: an earlier chunk showed that nothing can be sent, or not now.
        """
        if self._halt is not None and self._halt.lasting:
            raise self._halt.error
        self._halt = None
        self._handed_over = False

    def conclude(self) -> None:
        """End a chunk.

        :raises PushError: nothing of it was handed over, because nothing can be.
        """
        if self._halt is not None and not self._handed_over:
            raise self._halt.error

    def _stop_all(self, halt: Halt) -> None:
        with self._lock:
            self._halt = self._halt or halt

    def _give_up(
        self, batch: Iterable[Numbered], result: Result, code: str, text: str, *, lasting: bool = True
    ) -> list[Outcome]:
        """Make no more calls, as the provider cannot be used just now; the outcomes of those at hand."""
        error = ProviderUnavailable(f"Connection {self._connection!r}: {text}.")
        self._stop_all(Halt(error, Result.RETRY, "connection", lasting))
        return all_alike(batch, result, code, text)


class BatchCalls(Calls):
    """Calls that are answered as a whole, and halved where one of their messages is refused."""

    proven = False
    """Whether the provider has accepted a call."""

    @abstractmethod
    def deliver(self, batch: Sequence[Any]) -> Iterator[list[Outcome]]:
        """Send messages; gives an outcome for each, those of each call as soon as it is answered."""


class CallingSender(Sender):
    """Makes calls.

    :param calls: how.
    :param log: is told of what nobody thought of.
    """

    def __init__(self, calls: Calls, log: Logger) -> None:
        self._calls = calls
        self._outcomes: list[Outcome] = []
        """Of the chunk that is being sent."""
        self._left: dict[int, None] = {}
        """Those of the chunk for which no call was begun, by their ids."""
        self._unforeseen = Unforeseen(log)

    def known(self) -> list[Outcome]:
        """What is known of the chunk that is being sent."""
        # Of what is left now, no call is made any more: each looks whether it may after it was taken from there.
        left = self._left.copy() if self._calls.stopping else {}
        outcomes = tuple(self._outcomes)
        for one in outcomes:  # of which some were left a moment ago
            left.pop(one.id, None)
        return [*outcomes, *not_begun(left)]

    def stop(self, seconds: float = math.inf) -> None:  # noqa: ARG002  (a call that was made cannot be ended)
        """Make no more calls."""
        self._calls.stop()

    def given_up(self) -> PushError | None:
        """Why those who are left are left to a later try, if they are."""
        return self._calls.given_up

    def _made(self, delivery: Delivery, make: Callable[[], _Made]) -> _Made | None:
        """What is to be sent to somebody; None if it cannot be made, which is their outcome then."""
        try:
            return make()
        except ContentError as error:
            why = str(error)[:500]
        except Exception as error:  # noqa: BLE001  (whatever it is, it is told)
            why = self._unforeseen.told(error, f"Delivery {delivery.id}")
        self._settle(Outcome(delivery.id, Result.FAILED, None, "content", why))
        return None

    def _settle(self, outcome: Outcome) -> None:
        """Note the outcome of somebody of whom no call is made."""
        self._left.pop(outcome.id, None)
        self._outcomes.append(outcome)


class BatchSender(CallingSender):
    """Makes calls for many messages each, some of them at a time. One thread at a time may use it.

    :param threads: calls at the same time.
    :param name: of the threads.
    """

    _calls: BatchCalls

    def __init__(self, calls: BatchCalls, log: Logger, *, threads: int, name: str) -> None:
        super().__init__(calls, log)
        self._pool = ThreadPoolExecutor(threads, name)

    def _deliver_all(self, batches: Iterator[Sequence[Numbered]]) -> list[Outcome]:
        """Send the messages of a chunk that has begun, and conclude it; all of its outcomes.

        :param batches: of each call, made while those before are answered.
        """
        # The first call alone: wrong keys must not be tried several times at once.
        if not self._calls.proven and (first := next(batches, None)):
            self._deliver(first)
        for _ in self._pool.map(self._deliver, batches):
            pass
        self._calls.conclude()
        return self._outcomes

    def _deliver(self, batch: Sequence[Numbered]) -> None:
        for message in batch:
            del self._left[message.id]
        for outcomes in self._calls.deliver(batch):
            self._outcomes += outcomes

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)
