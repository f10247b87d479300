"""The channel of app push: deliveries as messages to phones, through the vendor that the connection's type names."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING

from push_provider import written
from push_provider.channels.app.aliyun_calls import AliyunCalls, Message, batches
from push_provider.channels.app.aliyun_client import AliyunAppClient
from push_provider.channels.app.aliyun_config import DEFAULT_CONNECTION
from push_provider.channels.app.aliyun_message import push_task
from push_provider.channels.base import Channel, Delivery, Job, Outcome, Result, Sender, not_begun
from push_provider.exceptions import ContentError
from push_provider.marks import message_id
from push_provider.unforeseen import Unforeseen

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from push_provider.channels.app.aliyun_config import AliyunAppConfig
    from push_provider.channels.app.content import AppContent

log = logging.getLogger(__name__)


class AppChannel(Channel):
    """Messages to phones."""

    name = "app"
    chunk = 4000
    first_chunk = 1000
    least_chunk = 400
    # What nobody can tell is asked for again by the same token, for a quarter of an hour.
    on_unknown = "resend"
    connection_types = ("push_aliyun_app",)
    default_connection = DEFAULT_CONNECTION

    def connection(self, config: str | None, default: str | None = None) -> Connection:
        """The Airflow connection of this id, or the default: the one that is marked, else ``push_aliyun_app_default``.

        :raises ConfigurationError: there is no such connection.
        """
        from push_provider.channels.app.aliyun_account import get_app_connection

        return get_app_connection(config, default)

    def open(self, connection: Connection, content: AppContent, job: Job) -> AliyunSender:
        """Get ready to push; no call is made.

        :raises ConfigurationError: the connection is wrong.
        """
        from push_provider.channels.app.aliyun_account import aliyun_app_config

        client = AliyunAppClient(aliyun_app_config(connection))
        return AliyunSender(AliyunCalls(client, job), content, job, client.config)


class AliyunSender(Sender):
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
        self._calls = calls
        self._content = content
        self._job = job
        self._config = config
        self._clock = clock
        self._pool = ThreadPoolExecutor(config.max_connections, "push-app")
        self._outcomes: list[Outcome] = []
        self._left: dict[int, None] = {}
        """Those of the chunk for which no call was begun, by their ids."""
        self._unforeseen = Unforeseen(log)

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
        messages = [message for delivery in deliveries if (message := self._message(delivery, now))]
        self._left = dict.fromkeys(message.id for message in messages)
        waiting = batches(messages)
        # The first call alone: wrong keys must not be tried several times at once.
        if not self._calls.proven and (first := next(waiting, None)):
            self._deliver(first)
        for _ in self._pool.map(self._deliver, waiting):
            pass
        self._calls.conclude()
        return self._outcomes

    def _deliver(self, batch: Sequence[Message]) -> None:
        for message in batch:
            del self._left[message.id]
        for outcomes in self._calls.deliver(batch):
            self._outcomes += outcomes

    def known(self) -> list[Outcome]:
        """What is known of the chunk that is being sent."""
        # Of what is left now, no call is made any more: each looks whether it may after it was taken from there.
        left = tuple(self._left) if self._calls.stopping else ()
        return [*self._outcomes, *not_begun(left)]

    def stop(self, seconds: float = math.inf) -> None:  # noqa: ARG002  (a call that was made cannot be ended)
        """Make no more calls."""
        self._calls.stop()

    def _message(self, delivery: Delivery, now: datetime) -> Message | None:
        """What is to be pushed; who cannot be pushed anything has their outcome."""
        try:
            rendered = self._content.render(delivery.to, delivery.variables)
            key = message_id(self._job.token, delivery.id)
            task = push_task(rendered, delivery.to, key, self._content.options, self._config, now)
            return Message(delivery.id, task, len(written.dumps(task).encode()))
        except ContentError as error:
            why = str(error)[:500]
        except Exception as error:  # noqa: BLE001  (whatever it is, it is told)
            why = self._unforeseen.told(error, f"Delivery {delivery.id}")
        self._outcomes.append(Outcome(delivery.id, Result.FAILED, None, "content", why))
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)
