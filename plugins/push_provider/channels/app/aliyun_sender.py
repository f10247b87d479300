"""Deliveries as messages to phones through Aliyun, up to a hundred in a call."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from push_provider import written
from push_provider.channels.acknowledging import Links
from push_provider.channels.app.aliyun_calls import AliyunCalls, Message, batches
from push_provider.channels.app.aliyun_message import push_task
from push_provider.channels.app.content import Marks
from push_provider.channels.calls import BatchSender
from push_provider.marks import message_id

if TYPE_CHECKING:
    from push_provider.channels.app.aliyun_config import AliyunAppConfig
    from push_provider.channels.app.content import AppContent
    from push_provider.channels.base import Delivery, Job, Outcome

log = logging.getLogger(__name__)


class AliyunSender(BatchSender):
    """Pushes the messages of one execution to one app. One thread at a time may use it.

    :param calls: how calls are made.
    :param content: of the execution.
    :param config: the app.
    :param clock: the present moment.
    """

    def __init__(
        self,
        calls: AliyunCalls,
        content: AppContent,
        job: Job,
        config: AliyunAppConfig,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__(calls, log, threads=config.max_connections, name="push-app")
        self._content = content
        self._job = job
        self._links = Links(job)
        self._config = config
        self._clock = clock

    def send(self, deliveries: Sequence[Delivery]) -> list[Outcome]:
        """Push a chunk.

        An outcome's ``provider_id`` is Aliyun's MessageId. Its ``code`` is Aliyun's, or one of ``content`` (no message
        can be made), ``connection``, ``timeout`` and ``protocol`` (no answer), and ``configuration``.

        :raises ConfigurationError: Aliyun refuses the account or the app; nothing was pushed.
        :raises ProviderUnavailable: Aliyun cannot be used just now; nothing was pushed.
        """
        self._outcomes = []
        self._left = {}
        self._calls.begin()
        now = self._clock()
        self._left = dict.fromkeys(delivery.id for delivery in deliveries)
        made = (self._made(one, partial(self._message, one, now)) for one in sorted(deliveries))
        return self._deliver_all(batches(message for message in made if message is not None))

    def _message(self, delivery: Delivery, now: datetime) -> Message:
        """What is to be pushed.

        :raises ContentError: it cannot be made.
        """
        rendered = self._content.render(delivery.to, delivery.variables)
        marks = Marks(message_id(self._job.token, delivery.id), self._links.of(delivery.id))
        task = push_task(rendered, delivery.to, marks, self._content.options, self._config, now)
        return Message(delivery.id, task, len(written.dumps(task).encode()))
