"""Deliveries as messages to phones through FCM, many calls at the same time."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING

from push_provider.channels.acknowledging import Links
from push_provider.channels.app.content import Marks
from push_provider.channels.app.fcm_calls import FcmCalls, Message
from push_provider.channels.app.fcm_config import STREAMS
from push_provider.channels.app.fcm_message import fcm_message
from push_provider.channels.base import Delivery, Job, Outcome, not_begun
from push_provider.channels.calls import CallingSender
from push_provider.marks import message_id

if TYPE_CHECKING:
    from push_provider.channels.app.content import AppContent

log = logging.getLogger(__name__)


class FcmSender(CallingSender):
    """Pushes the messages of one execution through one Firebase project. One thread at a time may use it.

    :param calls: how calls are made; its client is closed with the sender.
    :param content: of the execution.
    :param clock: the present moment.
    """

    _calls: FcmCalls

    def __init__(
        self,
        calls: FcmCalls,
        content: AppContent,
        job: Job,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__(calls, log)
        self._content = content
        self._job = job
        self._links = Links(job)
        self._clock = clock
        self._lanes = STREAMS * calls.client.config.max_connections
        self._loop = asyncio.new_event_loop()

    def send(self, deliveries: Sequence[Delivery]) -> list[Outcome]:
        """Push a chunk.

        An outcome's ``provider_id`` is the end of FCM's name of the message. Its ``code`` is FCM's, or one of
        ``content`` (no message can be made), ``connection``, ``timeout`` and ``protocol`` (no answer), and
        ``configuration``.

        :raises ConfigurationError: Google refuses the service account or the project; nothing was pushed.
        :raises ProviderUnavailable: FCM cannot be used just now; nothing was pushed.
        """
        self._outcomes = []
        self._left = {}
        self._calls.begin()
        self._left = dict.fromkeys(delivery.id for delivery in deliveries)
        self._loop.run_until_complete(self._push_all(iter(deliveries)))
        self._calls.conclude()
        if became := self._calls.of_those_left([*self._left]):
            self._outcomes += became
            self._left = {}
        # The rest was stopped, and stays among those for which no call was begun.
        return [*self._outcomes, *not_begun(self._left)]

    def stop(self, seconds: float = math.inf) -> None:
        """Make no more calls, and wait for no time at which one might be made again."""
        super().stop(seconds)
        with suppress(RuntimeError):  # the event loop is closed, in which nothing waits
            self._loop.call_soon_threadsafe(self._calls.wake)

    async def _push_all(self, waiting: Iterator[Delivery]) -> None:
        # The first call alone: a project that is refused must not be asked many times at once.
        if not self._calls.proven:
            await self._work(waiting, once=True)
        async with asyncio.TaskGroup() as group:
            for lane in range(self._lanes):
                group.create_task(self._work(waiting, lane))

    async def _work(self, waiting: Iterator[Delivery], lane: int = 0, *, once: bool = False) -> None:
        while not self._calls.ended and (delivery := next(waiting, None)) is not None:
            message = self._made(delivery, partial(self._message, delivery))
            if message is None:
                continue
            del self._left[delivery.id]
            self._outcomes.append(await self._calls.deliver(message, lane))
            if once:
                return

    def _message(self, delivery: Delivery) -> Message:
        """What is to be pushed.

        :raises ContentError: it cannot be made.
        """
        rendered = self._content.render(delivery.to, delivery.variables)
        marks = Marks(message_id(self._job.token, delivery.id), self._links.of(delivery.id))
        return Message(delivery.id, fcm_message(rendered, delivery.to, marks, self._content.options, self._clock()))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.run_until_complete(self._calls.client.close())
        self._loop.close()
