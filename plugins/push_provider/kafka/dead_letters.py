"""Forwards rejected messages to the dead-letter topic, with the reason and the place as headers."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from threading import Event
from types import TracebackType
from typing import TYPE_CHECKING, Self

from push_provider.exceptions import PushError
from push_provider.kafka import producer
from push_provider.kafka.producer import Away, Outgoing, Place
from push_provider.unforeseen import Unforeseen

if TYPE_CHECKING:
    from airflow.sdk import Connection
    from sqlalchemy import Engine

    from push_provider.ledger.rejected import Forward, Letters

log = logging.getLogger(__name__)
_unforeseen = Unforeseen(log)
_CHUNK = 100
_REST_SECONDS = 60.0
"""For which a topic that took nothing is not tried again."""


class DeadLetters:
    """Forwards what the topics have not got yet, in a thread of its own: no message that comes in waits for it.

    A topic that takes nothing keeps nothing from the others, and is tried again after a while. What another process is
    forwarding at this moment is left to it. Leaving the ``with`` ends it after the chunk at hand.

    :param clock: monotonic, in seconds.
    """

    def __init__(self, engine: Engine, connection: Connection, clock: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._connection = connection
        self._clock = clock
        self._rest: dict[str, float] = {}
        """Topics that took nothing, and until when they are left alone."""
        self._over = Event()
        self._thread = ThreadPoolExecutor(1, "push-dead-letters")
        self._last: Future[None] | None = None

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the thread, and wait for it."""
        self._over.set()
        self._thread.shutdown()

    @property
    def busy(self) -> bool:
        """Whether something is being forwarded."""
        return self._last is not None and not self._last.done()

    def begin(self) -> None:
        """Forward what waits by now; while that is done already, once more when it is through."""
        if self._last is None or self._last.running() or self._last.done():
            self._last = self._thread.submit(copy_context().run, self.forward)

    def forward(self) -> None:
        """Forward what waits by now; what cannot be forwarded now is forwarded later."""
        from push_provider.ledger import rejected

        topic: str | None = ""
        try:
            topic = rejected.awaiting(self._engine)
            while topic is not None and not self._over.is_set():
                on = self._clock() >= self._rest.get(topic, 0.0) and self._forward_some(topic)
                topic = rejected.awaiting(self._engine, topic, beyond=not on)
        except Exception as error:  # noqa: BLE001  (what comes in goes on being taken)
            told = error if isinstance(error, PushError) else _unforeseen.told(error, "A rejected message")
            log.warning("Rejected messages are forwarded later: %s", told)
            self._leave_alone(topic or "")

    def _forward_some(self, topic: str) -> bool:
        """Forward a chunk to one topic; whether to go on with it."""
        from push_provider.ledger import rejected

        with rejected.forwarding(self._engine, topic, _CHUNK) as letters:
            if letters is None:
                return False
            left = self._deliver(letters, letters.waiting, whole=True)
            # Most likely too large for the topic: the reason and the place always fit.
            refused = [one for one, answer in left if not isinstance(answer, Away)]
            again = self._deliver(letters, refused, whole=False)
            for one, answer in again:
                if not isinstance(answer, Away):
                    log.error("Rejected message %s cannot be forwarded to %s: %s", one.id, one.topic, answer)
                    letters.arrived.add(one.id)
        away = next((answer for _, answer in [*left, *again] if isinstance(answer, Away)), None)
        if away is not None:
            log.warning("Rejected messages are forwarded to %s later: Kafka %s", topic, away.why)
            self._leave_alone(topic)
        return away is None

    def _deliver(self, letters: Letters, these: Sequence[Forward], *, whole: bool) -> list[tuple[Forward, str | Away]]:
        """Send some of the letters, and note those that arrive; the others, with what was said of each."""
        left: list[tuple[Forward, str | Away]] = []
        if these:
            answers = producer.attempt(self._connection, [_letter(one, whole=whole) for one in these])
            for one, answer in zip(these, answers, strict=True):
                if isinstance(answer, Place):
                    letters.arrived.add(one.id)
                else:
                    left.append((one, answer))
        return left

    def _leave_alone(self, topic: str) -> None:
        self._rest[topic] = self._clock() + _REST_SECONDS


def _letter(rejected: Forward, *, whole: bool) -> Outgoing:
    message = rejected.message
    headers = [
        ("push-reason", rejected.reason.encode()),
        ("push-rejected-id", str(rejected.id).encode()),
        ("push-topic", message.topic.encode()),
        ("push-partition", str(message.partition).encode()),
        ("push-offset", str(message.offset).encode()),
    ]
    if message.element is not None:
        headers.append(("push-element", str(message.element).encode()))
    if not whole:
        headers.append(("push-value", b"left out; the ledger has it"))
    return Outgoing(rejected.topic, message.value if whole else None, headers=headers)
