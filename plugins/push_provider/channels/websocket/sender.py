"""The WebSocket channel: deliveries as publications to their users' channels, up to 500 in a call.

What clients get is one JSON object: ``id``, by which they know a message that they have had; ``title``, ``content``
with ``format``, and ``data``, as far as the push task has them; ``sent_at``, and ``expires_at`` if it has a
``ttl``; and ``acknowledge``, a link that whoever got it may POST to.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any

from push_provider import written
from push_provider.channels import acknowledging
from push_provider.channels.base import Channel, Delivery, Job, Outcome, ReceiptReader
from push_provider.channels.calls import CallingSender
from push_provider.channels.websocket.calls import CentrifugoCalls
from push_provider.channels.websocket.centrifugo_client import BATCH, BATCH_BYTES, CentrifugoClient, Publication
from push_provider.channels.websocket.centrifugo_config import DEFAULT_CONNECTION
from push_provider.exceptions import ContentError
from push_provider.marks import message_id

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from push_provider.channels.websocket.content import WebsocketContent
    from push_provider.channels.websocket.task import WebsocketTask

log = logging.getLogger(__name__)

MESSAGE_BYTES = 1 << 16
"""Octets of one message: what Centrifugo itself takes of a client, and pages get at once
(``websocket.message_size_limit``, https://centrifugal.dev/docs/transports/websocket)."""


class WebsocketChannel(Channel):
    """Messages to users who are connected, through Centrifugo."""

    name = "websocket"
    chunk = 10_000
    first_chunk = 1_000
    least_chunk = 100
    on_unknown = "resend"
    connection_types = ("push_centrifugo",)
    default_connection = DEFAULT_CONNECTION

    def connection(self, config: str | None, default: str | None = None) -> Connection:
        """The Airflow connection of this id, or the default: the one that is marked, else ``push_centrifugo_default``.

        :raises ConfigurationError: there is no such connection.
        """
        from push_provider.channels.websocket.centrifugo_account import get_centrifugo_connection

        return get_centrifugo_connection(config, default)

    def open(self, connection: Connection, content: WebsocketContent, job: Job) -> WebsocketSender:
        """Get ready to publish; no call is made.

        :raises ConfigurationError: the connection is wrong, or acknowledgements are expected and nobody could send one.
        :raises ContentError: the task's ``ttl`` is longer than messages are kept.
        """
        from push_provider.channels.websocket.centrifugo_account import centrifugo_config

        config = centrifugo_config(connection)
        acknowledging.require_links(content.expect)
        if content.ttl is not None and content.ttl > config.history_ttl:
            raise ContentError(
                f"ttl: is {content.ttl:g} seconds, and connection {config.connection!r} keeps messages for "
                f"{config.history_ttl:g}: who is away longer would miss it. Shorten it, or raise history_ttl there and "
                "in Centrifugo's namespace"
            )
        return WebsocketSender(CentrifugoClient(config), content, job)

    def receipt_seconds(self, task: WebsocketTask) -> float | None:
        """When it is over: only where the task expects an acknowledgement."""
        return acknowledging.receipt_seconds(task)

    def receipt_reader(self, config: str | None) -> ReceiptReader:  # noqa: ARG002  (Centrifugo is not asked)
        """What says of those who have not acknowledged in time that they have not."""
        return acknowledging.Unacknowledged()


class WebsocketSender(CallingSender):
    """Publishes the messages of one execution.

    Calls run side by side, and those of one user one after the other, so that they stay in order.

    :param client: of Centrifugo; closed with the sender.
    :param content: of the execution.
    :param clock: the present moment.
    """

    _calls: CentrifugoCalls

    def __init__(
        self,
        client: CentrifugoClient,
        content: WebsocketContent,
        job: Job,
        *,
        calls: CentrifugoCalls | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__(calls or CentrifugoCalls(client), log)
        self._client = client
        self._config = client.config
        self._content = content
        self._job = job
        self._clock = clock
        self._lanes = [ThreadPoolExecutor(1, "push-websocket") for _ in range(client.config.max_connections)]
        self._links = acknowledging.Links(job)

    def send(self, deliveries: Sequence[Delivery]) -> list[Outcome]:
        """Publish a chunk.

        An outcome's ``provider_id`` is the message's ``id`` and Centrifugo's idempotency key. Its ``code`` is
        Centrifugo's, a status of HTTP, or one of ``content`` (no message can be made), ``connection``, ``timeout`` and
        ``protocol`` (no answer), ``busy``, and ``configuration``.

        :raises ConfigurationError: Centrifugo refuses the key or the namespace; nothing was published.
        :raises ProviderUnavailable: Centrifugo cannot be used just now; nothing was published.
        """
        self._outcomes = []
        self._left = dict.fromkeys(delivery.id for delivery in deliveries)
        self._calls.begin()
        lanes = min(len(self._lanes), -(-len(deliveries) // BATCH)) or 1
        open_: list[list[Publication]] = [[] for _ in range(lanes)]
        sizes = [0] * lanes
        waiting: list[Future[None]] = []

        def hand_over(lane: int) -> None:
            waiting.append(self._lanes[lane].submit(self._publish, open_[lane]))
            open_[lane], sizes[lane] = [], 0

        now = self._clock()
        for delivery in deliveries:
            message = self._made(delivery, partial(self._message, delivery, now))
            if message is None:
                continue
            lane = zlib.crc32(delivery.to.encode()) % lanes
            if open_[lane] and (len(open_[lane]) == BATCH or sizes[lane] + len(message.data) > BATCH_BYTES):
                hand_over(lane)
            open_[lane].append(message)
            sizes[lane] += len(message.data)
        for lane in range(lanes):
            if open_[lane]:
                hand_over(lane)
        for future in waiting:
            future.result()
        self._calls.conclude()
        return self._outcomes

    def _publish(self, batch: Sequence[Publication]) -> None:
        for one in batch:
            self._left.pop(one.id, None)
        self._outcomes += self._calls.publish(batch)

    def _message(self, delivery: Delivery, now: datetime) -> Publication:
        """What is to be published.

        :raises ContentError: it cannot be made.
        """
        rendered = self._content.render(delivery.to, delivery.variables)
        key = message_id(self._job.token, delivery.id)
        data = _encoded({"id": key, **rendered, **self._times(now), **self._links.of(delivery.id)})
        return Publication(delivery.id, self._config.channel(delivery.to), key, data)

    def _times(self, now: datetime) -> dict[str, str]:
        times = {"sent_at": _moment(now)}
        if self._content.ttl is not None:
            times["expires_at"] = _moment(now + timedelta(seconds=self._content.ttl))
        return times

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for lane in self._lanes:
            lane.shutdown(cancel_futures=True)
        self._client.close()


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _encoded(message: dict[str, Any]) -> bytes:
    data = written.dumps(message).encode()
    if len(data) > MESSAGE_BYTES:
        raise ContentError(f"the message has {len(data)} bytes as JSON; at most {MESSAGE_BYTES} go to a page at once")
    return data
