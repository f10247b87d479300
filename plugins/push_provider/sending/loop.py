"""The loop claim → send → record, which goes on until nothing is pending, or somebody wants it to stop.

A thread of its own sends chunk after chunk and does nothing else. The caller's thread claims the next chunk meanwhile,
records every outcome within a second of its answer, and listens: to a person who cancels the push task, to Airflow that
wants the process to end, to the time that an execution may take. Then the sender begins no more messages, those under
way get their answers, and what was not begun is pending again: nobody is in doubt who need not be.

How much is claimed ahead follows from how fast the provider takes it: about a second's worth, twice. A process that is
killed without a word leaves no more than that in doubt.

While the ledger is away the provider's answers are kept, and recorded when it is back; what was claimed ahead is sent,
and nothing else. A process that was silent for longer than its lease (:mod:`push_provider.ledger.leases`) begins no
chunk before the ledger has said that the execution is still its own. Imports no Airflow.
"""

from __future__ import annotations

import itertools
import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from push_provider.channels.base import STOPPED, Outcome, not_begun
from push_provider.exceptions import PushError
from push_provider.ledger import sending

if TYPE_CHECKING:
    from push_provider.channels.base import Channel, Delivery, Sender
    from push_provider.ledger.leases import Lease
    from push_provider.sending.patience import Patience

log = logging.getLogger(__name__)

_TURN = 0.5
"""Seconds between two looks at what is known and what is wanted, at most."""
_HURRY = 2.0
"""Seconds for the answers of what is under way when the process is to end: Airflow kills it five seconds after it asked
(``airflow.sdk.execution_time.supervisor``)."""
_WORTH = 1.0
"""Seconds that a chunk should take."""
_RENEWED = 0.75
"""Part of a lease of which more is left when it is renewed."""
_GATE = 0.05
"""Seconds between two looks of the thread that sends, while nobody knows whose the execution is."""
_Answer = TypeVar("_Answer")


class Stop(StrEnum):
    """Why not all is sent."""

    CANCELLED = "cancelled"
    """A person has cancelled the push task."""
    CLOSED = "closed"
    """The execution was closed: a person has marked its run, or deleted it."""
    ENDED = "ended"
    """The process is asked to end."""


class _Sent(NamedTuple):
    """What the thread that sends says of a chunk.

    :param outcomes: of its deliveries; of those that are known, if there was an error.
    :param seconds: that it took.
    :param error: what ended the sending.
    :param over: it is of no chunk, and nothing follows.
    """

    outcomes: Sequence[Outcome] = ()
    seconds: float = 0.0
    error: BaseException | None = None
    over: bool = False


class Sending:
    """Sends the deliveries of one execution. :meth:`run` once; :meth:`stop` may be called by a signal's handler.

    :param lease: of the execution, which the caller holds (:func:`push_provider.ledger.sending.held`).
    :param channel: how much is claimed.
    :param patience: with the ledger.
    :param resend: whether a delivery in doubt is sent again; else no more than one chunk may ever be in doubt, or two
        of the channel's boundary.
    :param receipts: what claims note of receipts (:func:`push_provider.ledger.sending.claim`).
    :param noted: is told of all outcomes when they are on record, and at least every half second with none.
    """

    def __init__(
        self,
        lease: Lease,
        channel: Channel,
        *,
        patience: Patience,
        resend: bool,
        receipts: Mapping[str, Any],
        noted: Callable[[Sequence[Outcome]], None],
    ) -> None:
        self._lease = lease
        self._patience = patience
        # Two chunks are in doubt if this process dies: where they are held, both together are no more than one.
        # Of what cannot be halved there are two chunks all the same, or nothing could be claimed.
        self._most = channel.chunk if resend else max(channel.chunk // 2, channel.boundary)
        self._least = min(channel.least_chunk, self._most)
        self._size = min(channel.first_chunk, self._most)
        self._boundary = channel.boundary
        self._receipts = receipts
        self._noted = noted
        self._ended = False
        self._sender: Sender | None = None
        self._halted = False
        """Whether the sender begins no more messages."""
        self._claimed: dict[int, Delivery] = {}
        """Claimed, and no outcome of theirs on record."""
        self._waiting: list[Delivery] = []
        """Claimed, and not handed over to the thread that sends."""
        self._unrecorded: list[Outcome] = []
        self._chunks: SimpleQueue[list[Delivery] | None] = SimpleQueue()
        self._news: SimpleQueue[_Sent | None] = SimpleQueue()
        """From the thread that sends; None only wakes whoever waits."""
        self._over = False
        """Whether that thread is done, and all that it said is heard."""
        self._under_way: list[list[Delivery]] = []
        """Chunks that were handed to it and have not come back, in their order."""
        self._last = 0
        self._more = True

    def stop(self) -> None:
        """Ask for an end: nothing more is begun. May be called at any moment, by a signal's handler, too."""
        self._ended = True
        self._news.put(None)

    def claim(self) -> bool:
        """Claim the first chunk; whether there was anything to claim."""
        attempts = itertools.count()
        claimed = self._patiently(
            lambda: sending.claim(
                self._lease, self._size, boundary=self._boundary, unheard=next(attempts) > 0, **self._receipts
            )
        )
        return self._take(claimed)

    def give_back(self) -> None:
        """Make what is claimed pending again: nothing of it was handed over."""
        self._record(not_begun(self._claimed))

    def run(self, sender: Sender) -> Stop | None:
        """Send all that is pending, and close the sender.

        :returns: why not all is sent; None if all is.
        :raises LedgerUnavailable: the ledger was away for too long; what is not on record is in doubt.
        :raises ExecutionTaken: another process has taken the execution over, and settles what is not on record.
        :raises PushError: the provider cannot be used; what is left is pending.
        :raises BaseException: whatever else ends it, after what is known was recorded.
        """
        try:
            self._sender = sender
            self._start(sender)
            stop = self._turns(sender)
        except BaseException:
            self._ended = True  # an error, or the time that this try may take
            try:
                self._wind_up(sender)
            except PushError as error:  # what has happened counts for more
                log.warning("The outcomes of %s deliveries could not be recorded: %s", len(self._claimed), error)
            raise
        self._wind_up(sender)
        # Of the last chunk nobody else is told: there is none after it.
        if stop is None and (why := sender.given_up()):
            raise why
        return stop

    # --- the thread that sends ------------------------------------------------------------------------

    def _start(self, sender: Sender) -> None:
        try:
            threading.Thread(target=self._work, args=(sender,), name="push-send", daemon=True).start()
        except RuntimeError:  # there is none: nobody else closes the sender, or says that this is over
            self._over = True
            with sender:
                raise

    def _work(self, sender: Sender) -> None:
        try:
            with sender:
                while chunk := self._chunks.get():
                    while self._lease.left <= 0 and not self._halted:
                        time.sleep(_GATE)
                    began = time.monotonic()
                    outcomes = sender.send(chunk)
                    self._news.put(_Sent(outcomes, time.monotonic() - began))
        except PushError as error:  # which says that nothing of the chunk was handed over
            self._news.put(_Sent(not_begun(one.id for one in chunk or ()), error=error))
        except BaseException as error:  # noqa: BLE001  (it is raised in the thread that waits for this one)
            self._news.put(_Sent(sender.known(), error=error))
        finally:
            self._news.put(_Sent(over=True))

    # --- the ledger -----------------------------------------------------------------------------------

    def _patiently(self, call: Callable[[], _Answer]) -> _Answer:
        return self._patience(call, meanwhile=self._heed)

    def _heed(self) -> None:
        """Begin no more messages if the process is to end while the ledger is away."""
        if self._ended and self._sender is not None:
            self._halt(self._sender, _HURRY)

    def _halt(self, sender: Sender, seconds: float = math.inf) -> None:
        sender.stop(seconds)
        self._halted = True

    # --- the caller's thread --------------------------------------------------------------------------

    def _turns(self, sender: Sender) -> Stop | None:
        # The sender may have taken long to be opened.
        if stop := Stop.ENDED if self._ended else self._unwanted():
            return stop
        self._hand_over()
        self._record_and_claim()
        looked = time.monotonic()
        recorded = False
        while self._under_way:
            if self._came_back(_TURN):
                self._record_and_claim()
                recorded = True
            if self._ended:
                return Stop.ENDED
            if time.monotonic() - looked >= _TURN:
                looked = time.monotonic()
                if not recorded:  # else what is known is younger than a turn, and worth no transaction of its own
                    self._record(sender.known())
                recorded = False
                if self._lease.left < _RENEWED * self._lease.seconds:
                    self._patiently(self._lease.renew)
                if stop := self._unwanted():
                    return stop
        return None

    def _came_back(self, seconds: float) -> bool:
        """Wait for a chunk to come back; whether one has."""
        try:
            sent = self._news.get(timeout=seconds)
        except Empty:
            return False
        if sent is None:
            return False
        if sent.over:
            self._over = True
            return False
        self._unrecorded += sent.outcomes
        chunk = self._under_way.pop(0)
        if sent.error is not None:
            raise sent.error
        if sent.seconds:
            worth = len(chunk) / sent.seconds * _WORTH
            self._size = int(max(self._least, min(self._most, worth, 4 * len(chunk))))
        return True

    def _record_and_claim(self) -> None:
        """Record what has come back, and claim the chunk after the next, in one transaction."""
        outcomes, size = self._fresh(()), self._size if self._more else 0
        known, attempts = _on_record(outcomes), itertools.count()
        claimed = self._patiently(
            lambda: sending.record_and_claim(
                self._lease,
                known,
                size,
                after=self._last,
                boundary=self._boundary,
                unheard=next(attempts) > 0,
                **self._receipts,
            )
        )
        self._recorded(outcomes)
        if self._take(claimed):
            self._hand_over()

    def _take(self, claimed: list[Delivery]) -> bool:
        # Where a claim ends at a boundary, what acknowledgements lock just then makes it smaller, however many follow.
        self._more = bool(claimed) if self._boundary > 1 else len(claimed) == self._size
        if claimed:
            self._last = claimed[-1].id
            self._claimed |= {one.id: one for one in claimed}
            self._waiting = claimed
        return bool(claimed)

    def _hand_over(self) -> None:
        chunk, self._waiting = self._waiting, []
        self._under_way.append(chunk)
        self._chunks.put(chunk)

    def _unwanted(self) -> Stop | None:
        found = self._patiently(lambda: sending.called_off(self._lease.engine, self._lease.execution))
        if found.cancelled:
            return Stop.CANCELLED
        return Stop.CLOSED if found.closed else None

    def _wind_up(self, sender: Sender) -> None:
        """Wait for the answers of what is under way, and record what is known; the rest is in doubt."""
        self._chunks.put(None)
        if self._under_way:
            self._halt(sender)
        until = math.inf
        while not self._over and (left := until - time.monotonic()) > 0:
            if self._ended and until == math.inf:
                self._halt(sender, _HURRY)
                until = time.monotonic() + 1.5 * _HURRY
                continue
            with suppress(BaseException):
                self._came_back(min(left, _TURN))
        # Of the first of those that did not come back a part may be known; the others were never begun.
        known = [] if self._over else sender.known()
        never = self._under_way if self._over else self._under_way[1:]
        self._record([*known, *not_begun(one.id for chunk in (*never, self._waiting) for one in chunk)])

    def _record(self, outcomes: Sequence[Outcome]) -> None:
        fresh = self._fresh(outcomes)
        if fresh:
            known = _on_record(fresh)
            self._patiently(lambda: sending.record(self._lease, known))
        self._recorded(fresh)

    def _fresh(self, outcomes: Iterable[Outcome]) -> list[Outcome]:
        """What is not on record yet: of these, and of what has come back."""
        return [outcome for outcome in (*self._unrecorded, *outcomes) if outcome.id in self._claimed]

    def _recorded(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            self._claimed.pop(outcome.id, None)
        self._unrecorded.clear()
        self._noted([outcome for outcome in outcomes if outcome.code != STOPPED])


def _on_record(outcomes: Iterable[Outcome]) -> list[Outcome]:
    # Of those that were not begun there is nothing to say.
    return [outcome._replace(code=None) if outcome.code == STOPPED else outcome for outcome in outcomes]
