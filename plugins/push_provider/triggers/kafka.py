"""The trigger that waits for a Kafka message, without a worker."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from push_provider.exceptions import BrokerUnavailable, PushError
from push_provider.unforeseen import traceback_of

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from push_provider.kafka.shares import Share

log = logging.getLogger(__name__)

_LOOK_SECONDS = 30.0
"""How often new partitions, new topics and a changed connection are looked for."""
_POLL_SECONDS = 0.5
_LONGEST_PAUSE = 5.0
_ONE_MESSAGE = {
    # It only has to know that there is one; the worker reads it.
    "queued.min.messages": 1,
    "queued.max.messages.kbytes": 64,
    "max.partition.fetch.bytes": 1024,
    "fetch.wait.max.ms": 100,
}


class PushKafkaTrigger(BaseTrigger):
    """Fires when there is a message, when the topics or the connection have changed, or when the time is up.

    :param conn_id: the connection.
    :param topics: topics as ``[push] kafka_topics`` has them.
    :param seconds: how long to wait at most.
    :param dead_letters: the topic as ``[push] dead_letter_topic`` has it, which is not read.
    :param drain: for which of several that share the partitions, from 0.
    :param drains: how many there are.
    """

    def __init__(
        self, *, conn_id: str, topics: str, seconds: float, dead_letters: str = "", drain: int = 0, drains: int = 1
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.conn_id = conn_id
        self.topics = topics
        self.dead_letters = dead_letters
        self.seconds = seconds
        self.drain = drain
        self.drains = drains

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class path and the arguments, as Airflow stores them."""
        path = f"{type(self).__module__}.{type(self).__qualname__}"
        names = ("conn_id", "topics", "seconds", "dead_letters", "drain", "drains")
        return path, {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait; yields one event, whose payload says ``why``."""
        yield TriggerEvent({"why": await self._wait()})  # type: ignore[no-untyped-call]

    async def _wait(self) -> str:
        from push_provider.kafka import connection as kafka
        from push_provider.kafka.shares import Share

        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.seconds
        watch: _Watch | None = None
        known: str | None = None
        told = False
        try:
            while (left := deadline - loop.time()) > 0:
                connection = await kafka.find_async(self.conn_id)
                if connection is None:
                    if watch is not None:
                        return "the connection is gone"
                    if not told:
                        log.warning("%s", kafka.missing(self.conn_id))
                        told = True
                    await asyncio.sleep(min(left, _LOOK_SECONDS))
                    continue
                if watch is None:
                    if told:
                        return "there is a connection now"
                    known = connection.extra
                    share = Share(self.drain, self.drains)
                    watch = _Watch(connection, self.topics, self.dead_letters, share, loop)
                elif connection.extra != known:
                    return "the connection has changed"
                with_time = asyncio.wait_for(asyncio.shield(watch.seen), min(left, _LOOK_SECONDS))
                try:
                    return await with_time
                except TimeoutError:
                    continue
            return "it is time to look"
        finally:
            if watch is not None:
                watch.stop()


class _Watch:
    """A thread that waits at the end of the topics: librdkafka's calls block, and Airflow's own threads are few."""

    def __init__(
        self, connection: Connection, topics: str, dead_letters: str, share: Share, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.seen: asyncio.Future[str] = loop.create_future()
        self._connection = connection
        self._topics = topics
        self._dead_letters = dead_letters
        self._share = share
        self._loop = loop
        self._stopped = threading.Event()
        # With the context, in which Airflow notes whose log a line belongs to.
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(self._run,), name="push-kafka-watch", daemon=True).start()

    def stop(self) -> None:
        """End the thread, within half a second; nobody waits for it."""
        self._stopped.set()

    def _run(self) -> None:
        pause, told = 1.0, ""
        while not self._stopped.is_set():
            try:
                why = self._watch(told)
            except PushError as error:
                # Said once: it may take a weekend, in which the reason changes between "refused" and "timed out".
                if not told or (str(error) != told and not isinstance(error, BrokerUnavailable)):
                    log.warning("%s. Waiting until it can be used.", error)
                told = str(error)
            except Exception as error:  # noqa: BLE001  (whatever it is, it is told)
                log.error("Waiting for Kafka messages went wrong; trying again:\n%s", traceback_of(error))
            else:
                if why:
                    self._tell(why)
                return
            self._stopped.wait(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _watch(self, told: str) -> str | None:
        from push_provider.kafka.connection import Topics
        from push_provider.kafka.reader import Reader

        topics = Topics(self._topics, self._dead_letters)
        with Reader(self._connection, topics, self._share, **_ONE_MESSAGE) as reader:
            reader.open()
            if told:
                log.info("Kafka (connection %r) is back", self._connection.conn_id)
            partitions = reader.partitions
            if reader.others and not partitions:
                log.info("There are fewer partitions of %s than drains, and none for this one", self._topics)
            elif not partitions:
                log.info("There is no topic %s yet; waiting for it", self._topics)
            while not self._stopped.is_set():
                if partitions:
                    if reader.await_message(_POLL_SECONDS):
                        return "there are messages"
                else:
                    self._stopped.wait(_POLL_SECONDS)
                if reader.is_outdated(_LOOK_SECONDS if partitions or reader.others else 2.0):
                    return "the topics have changed"
        return None

    def _tell(self, why: str) -> None:
        def tell() -> None:
            if not self.seen.done():
                self.seen.set_result(why)

        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(tell)
