"""A sender that does what each test wants at the moment that it wants, and an execution for it."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING

from push_provider.channels.base import STOPPED, Delivery, Outcome, Result, Sender
from push_provider.channels.email.sender import EmailChannel
from push_provider.channels.reading import parse
from push_provider.ledger import definitions, deliveries, planning
from push_provider.rendering import freeze

if TYPE_CHECKING:
    from sqlalchemy import Engine

ALL = 450
CHUNK = EmailChannel.first_chunk


class Scripted(Sender):
    """Sends as it is told.

    :param script: is asked for what becomes of each delivery; the first that is asked for has number 0.
    """

    def __init__(self, script: Callable[[int], Result] = lambda _: Result.SENT) -> None:
        self.script = script
        self.begun: list[str] = []
        self.stopped = threading.Event()
        self.closed = threading.Event()
        self.outcomes: list[Outcome] = []

    def send(self, chunk: Sequence[Delivery]) -> list[Outcome]:
        self.outcomes = []
        for one in chunk:
            if self.stopped.is_set():
                self.outcomes.append(Outcome(one.id, Result.RETRY, None, STOPPED))
                continue
            self.begun.append(one.to)
            self.outcomes.append(Outcome(one.id, self.script(len(self.begun) - 1)))
        return self.outcomes

    def known(self) -> list[Outcome]:
        return list(self.outcomes)

    def stop(self, seconds: float = math.inf) -> None:
        self.stopped.set()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closed.set()


def planned(ledger: Engine, count: int = ALL) -> int:
    """An execution of push task ``t`` to so many people."""
    task = {"code": "t", "name": "T", "channel": "email", "subject": "s", "content": "c"}
    task |= {"schedule": {"kind": "manual"}, "recipients": [f"c{n}@example.com" for n in range(count)]}
    definitions.apply(ledger, parse(task), now=datetime.now(UTC), default_timezone="UTC")
    return planning.plan(ledger, "t", source="manual", freeze=freeze).id


def states(ledger: Engine) -> Counter[str]:
    """How many of its deliveries are in which state."""
    return Counter(row.state.value for row in deliveries.find(ledger, task="t", limit=10_000))
