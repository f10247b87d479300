"""Reads the topics, from where the group has committed, and commits.

It joins no group: a join takes seconds, and each reader knows which partitions are its own. They are taken by name.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Self

from push_provider.exceptions import BrokerUnavailable, ConfigurationError
from push_provider.kafka import connection as kafka
from push_provider.kafka.shares import Share

if TYPE_CHECKING:
    from airflow.sdk import Connection

_REQUEST_SECONDS = 10.0
_SLICE_SECONDS = 0.02
_GATHER_SECONDS = 0.2
_SILENCE_SECONDS = 15.0
_COORDINATOR = ("NOT_COORDINATOR", "COORDINATOR_NOT_AVAILABLE", "COORDINATOR_LOAD_IN_PROGRESS", "_WAIT_COORD")


class Record(NamedTuple):
    """A message of a topic, as it is there."""

    topic: str
    partition: int
    offset: int
    timestamp: int | None
    value: bytes | None


class Reader:
    """A consumer of the topics of a connection.

    :param connection: the Airflow connection.
    :param topics: which topics.
    :param share: which of their partitions; left out, all.
    :param settings: of librdkafka, that win over the connection's.
    """

    def __init__(
        self,
        connection: Connection,
        topics: kafka.Topics,
        share: Share = Share(),  # noqa: B008  (it never changes)
        **settings: Any,
    ) -> None:
        from confluent_kafka import Consumer, KafkaException

        self._conn_id = connection.conn_id
        self._topics = topics
        self._share = share
        self._complaint = "no answer"
        config = {**kafka.consumer_config(connection, self._complain), **settings}
        self._reset = str(config["auto.offset.reset"])
        try:
            self._consumer = Consumer(config)
        except (KafkaException, ValueError, TypeError) as error:
            kafka.refuse(self._conn_id, error)
        self._known: frozenset[tuple[str, int]] = frozenset()
        """All that there were when it was looked last, those of other shares as well."""
        self._partitions: set[tuple[str, int]] = set()
        self._at_end: set[tuple[str, int]] = set()
        self._next: dict[tuple[str, int], int] = {}
        """Where each partition is to be read on."""
        self._looked = 0.0
        """When it was last asked which partitions there are."""
        self._committed: dict[tuple[str, int], int] = {}
        self._said: set[tuple[str, int]] = set()
        """Of which partitions this one has committed something itself."""

    def __enter__(self) -> Self:
        """The reader itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the consumer go, and wait for its threads."""
        self._consumer.close()
        # Threads that are left when a task's process ends make its end slow, and Airflow takes the late news of it for
        # news of the next one, which has begun meanwhile (see push_provider.executor).
        del self._consumer

    @property
    def partitions(self) -> frozenset[tuple[str, int]]:
        """What is read: topics and partitions."""
        return frozenset(self._partitions)

    @property
    def others(self) -> bool:
        """Whether there are partitions that this one does not read."""
        return bool(self._known - self._partitions)

    @property
    def at_end(self) -> bool:
        """Whether all there is has been read."""
        return self._at_end >= self._partitions

    def find(self) -> frozenset[tuple[str, int]]:
        """The partitions that there are now, of all the topics that are meant, whosever share they are.

        :raises BrokerUnavailable: it cannot be asked just now.
        """
        from confluent_kafka import KafkaException

        try:
            known = self._consumer.list_topics(timeout=_REQUEST_SECONDS).topics
        except KafkaException as error:
            self._refuse(error)
        self._looked = time.monotonic()
        self._known = frozenset(
            (name, partition) for name in self._topics.among(known) for partition in known[name].partitions
        )
        return self._known

    def is_outdated(self, every: float) -> bool:
        """Whether there are other partitions now than those that are read; may be asked all the time.

        :param every: seconds between two looks; in between the answer is no.
        :raises BrokerUnavailable: it cannot be asked just now.
        """
        if time.monotonic() - self._looked <= every:
            return False
        return {place for place in self.find() if self._share.holds(*place)} != self._partitions

    def open(self) -> None:
        """Go to where the group has committed, in every partition of this share.

        A group that has not committed yet begins where the connection's ``auto.offset.reset`` says (``earliest`` if
        it says nothing), and a partition that was added to a topic at its beginning. Where ``latest`` is, the first
        share says for all: the others do not read a new topic before it has.

        :raises BrokerUnavailable: the broker cannot be asked just now.
        :raises ConfigurationError: nothing is committed, and ``auto.offset.reset`` is ``error``.
        """
        from confluent_kafka import OFFSET_BEGINNING, KafkaException, TopicPartition

        self._partitions = set()
        self._at_end.clear()
        self._next.clear()
        places = [TopicPartition(topic, partition) for topic, partition in sorted(self.find())]
        if not places:
            return
        try:
            places = _patient(self._consumer.committed, places, timeout=_REQUEST_SECONDS)
            self._committed = {(place.topic, place.partition): place.offset for place in places}
            # Of all shares: the one partition of this share may be a new one of an old topic.
            old = {place.topic for place in places if place.offset >= 0}
            own, pinned = [], []
            for place in places:
                if place.offset >= 0:
                    pass
                elif place.topic in old or self._reset in ("earliest", "smallest", "beginning"):
                    place.offset = OFFSET_BEGINNING
                elif self._reset in ("latest", "largest", "end"):
                    if self._share.number:
                        continue
                    # Committed at once: what comes from here on is read, even if nobody waits for it yet.
                    _, place.offset = self._consumer.get_watermark_offsets(place, timeout=_REQUEST_SECONDS)
                    pinned.append(place)
                else:
                    raise ConfigurationError(
                        f"Connection {self._conn_id!r}: nothing is committed for {place.topic} [{place.partition}], "
                        "and auto.offset.reset is 'error'; set it to earliest or latest"
                    )
                if self._share.holds(place.topic, place.partition):
                    own.append(place)
            if pinned:
                _patient(self._consumer.commit, offsets=pinned, asynchronous=False)
            self._consumer.assign(own)
        except KafkaException as error:
            self._refuse(error)
        self._partitions = {(place.topic, place.partition) for place in own}

    def await_message(self, seconds: float) -> bool:
        """Wait for a message; it is not taken from the others that a later reader reads."""
        return bool(self._slice(1, seconds))

    def read(self, limit: int, size: int, *, wait: float, enough: Callable[[], bool] = lambda: False) -> list[Record]:
        """Read a batch.

        :param limit: at most so many messages.
        :param size: no more once so many bytes are there.
        :param wait: seconds to wait for the first one after all that there was has been read.
        :param enough: whether that wait should end at once.
        :returns: nothing if none came.
        :raises BrokerUnavailable: the broker has gone silent.
        """
        records: list[Record] = []
        taken = 0
        begun = time.monotonic()
        ended = begun if self.at_end else None
        while len(records) < limit and taken < size:
            got = self._slice(limit - len(records))
            records += got
            taken += sum(len(record.value or b"") for record in got)
            now = time.monotonic()
            if records:
                # What the client has fetched already is handed out without waiting: an empty slice is a pause.
                if not got or now - begun > _GATHER_SECONDS:
                    break
            elif self.at_end:
                ended = ended or now
                if now - ended >= wait or enough():
                    break
            elif now - begun > _SILENCE_SECONDS:
                raise BrokerUnavailable(
                    f"Kafka (connection {self._conn_id!r}) has not answered for {_SILENCE_SECONDS:.0f} s: "
                    f"{self._complaint}"
                )
        return records

    def commit(self, *, anew: bool = False) -> None:
        """Commit all that was read, up to the end of a partition where that was seen.

        :param anew: also of the partitions in which nothing has changed. Of a group that nobody joins a broker forgets
            each place ``offsets.retention.minutes`` (a week) after that was committed last (KIP-211), and a quiet
            partition would be read from its beginning again, or where ``latest`` says, from its end.
        :raises BrokerUnavailable: it did not take it; the messages come again then.
        """
        from confluent_kafka import KafkaException, TopicPartition

        # An empty partition of which nothing was committed stays so.
        new = {place: at for place, at in self._next.items() if at != max(self._committed.get(place, 0), 0)}
        if anew:
            quiet = {place: self._committed.get(place, -1) for place in self._partitions - self._said}
            new = {place: at for place, at in quiet.items() if at >= 0} | new
        if not new:
            return
        places = [TopicPartition(*place, at) for place, at in sorted(new.items())]
        try:
            for place in _patient(self._consumer.commit, offsets=places, asynchronous=False) or ():
                if place.error:
                    raise KafkaException(place.error)
        except KafkaException as error:
            self._refuse(error)
        self._committed |= new
        self._said |= new.keys()

    def _slice(self, limit: int, seconds: float = _SLICE_SECONDS) -> list[Record]:
        from confluent_kafka import KafkaError, KafkaException

        records = []
        try:
            messages: Sequence[Any] = self._consumer.consume(limit, seconds)
        except KafkaException as error:
            self._refuse(error)
        for message in messages:
            place = (message.topic(), message.partition())
            if fault := message.error():
                if fault.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  (its public name)
                    self._at_end.add(place)
                    # Behind what no consumer is given, too: the markers of transactions, and what was taken back.
                    self._next[place] = message.offset()
                else:
                    self._complain(fault)
                continue
            self._at_end.discard(place)
            self._next[place] = message.offset() + 1
            kind, moment = message.timestamp()
            records.append(Record(*place, message.offset(), moment if kind else None, message.value()))
        return records

    def _complain(self, fault: Any) -> None:
        self._complaint = fault.str()

    def _refuse(self, error: Exception) -> NoReturn:
        if not self._partitions:  # without an assignment there is no message that this could lose
            self._consumer.poll(0)  # what librdkafka has to say comes by its callback
        try:
            kafka.refuse(self._conn_id, error)
        except BrokerUnavailable as away:
            raise BrokerUnavailable(f"{away} ({self._complaint})") from error


def _patient(ask: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Ask the group's coordinator, and again while the brokers agree on who that is."""
    from confluent_kafka import KafkaException
    from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_fixed

    def passes(error: BaseException) -> bool:
        return isinstance(error, KafkaException) and error.args[0].name() in _COORDINATOR

    asking = Retrying(
        retry=retry_if_exception(passes), stop=stop_after_delay(_REQUEST_SECONDS), wait=wait_fixed(0.2), reraise=True
    )
    return asking(ask, *arguments, **options)
