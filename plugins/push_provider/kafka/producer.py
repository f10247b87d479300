"""Sends messages to a topic: rejected ones to the dead-letter topic, and those of ``airflow push produce``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from push_provider.exceptions import BrokerUnavailable
from push_provider.kafka import connection as kafka

if TYPE_CHECKING:
    from airflow.sdk import Connection

_DELIVERY_SECONDS = 15
_CREATION_SECONDS = 3.0
"""For which a topic that is not there is asked for: a broker that makes those that are wanted makes it meanwhile."""
_NO_TOPIC = ("UNKNOWN_TOPIC_OR_PART", "TOPIC_EXCEPTION", "_UNKNOWN_TOPIC")
"""That there is none of this name, or can be none, as brokers and librdkafka say it."""
_LARGEST = 64 * 1024 * 1024


class Outgoing(NamedTuple):
    """A message to be sent."""

    topic: str
    value: bytes | None
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = ()


class Place(NamedTuple):
    """Where a message has come to stand."""

    topic: str
    partition: int
    offset: int


class Away(NamedTuple):
    """That a message was not taken just now, and may be later.

    :param why: in words that follow those for the broker.
    """

    why: str


def send(connection: Connection, messages: Sequence[Outgoing]) -> list[Place | str]:
    """Send messages, and wait until the broker has them.

    :returns: for each, its place, or why the broker does not want it.
    :raises BrokerUnavailable: the broker cannot be reached, or does not take messages just now; some may have arrived.
    :raises ConfigurationError: the connection has to be changed.
    """
    taken: list[Place | str] = []
    for answer in attempt(connection, messages):
        if isinstance(answer, Away):
            raise BrokerUnavailable(f"Kafka (connection {connection.conn_id!r}) {answer.why}")
        taken.append(answer)
    return taken


def attempt(connection: Connection, messages: Sequence[Outgoing]) -> list[Place | str | Away]:
    """The same, where it matters which have arrived while others have not.

    :returns: for each, its place, why the broker does not want it, or why it does not take it just now.
    :raises ConfigurationError: the connection has to be changed.
    """
    from confluent_kafka import KafkaException, Producer

    complaint = "no answer"

    def complain(fault: Any) -> None:
        nonlocal complaint
        complaint = fault.str()

    config = {
        "message.timeout.ms": _DELIVERY_SECONDS * 1000,
        "enable.idempotence": True,
        # The broker says what is too large for it.
        "message.max.bytes": _LARGEST,
        **kafka.client_config(connection),
        "error_cb": complain,
    }
    # What only a consumer takes would be complained of.
    for setting in ("group.id", "auto.offset.reset", "enable.auto.commit", "session.timeout.ms"):
        config.pop(setting, None)
    answers: dict[int, Place | str | Away] = {}

    def obstacle(producer: Any, topic: str) -> Away | None:
        try:
            return _no_topic(topic) if _is_missing(producer, topic) else None
        except KafkaException as error:
            if not kafka.passes(error.args[0]):
                raise
            producer.poll(0)  # what librdkafka has to complain of comes by its callback
            return Away(f"cannot be reached: {complaint}")

    def note(number: int, fault: Any, message: Any) -> None:
        if fault is None:
            answers[number] = Place(message.topic(), message.partition(), message.offset())
        elif fault.name() in _NO_TOPIC:
            answers[number] = _no_topic(messages[number].topic)
        elif fault.name() in ("_MSG_TIMED_OUT", "_TIMED_OUT", "_TRANSPORT"):
            answers[number] = Away(f"cannot be reached: {complaint}")
        # A fatal one is the producer's: it takes no message any more, whatever the message is.
        elif kafka.passes(fault) or fault.fatal() or fault.name() == "_FATAL":
            answers[number] = Away(f"takes no messages just now: {fault.str()}")
        else:
            answers[number] = str(fault.str())

    try:
        producer = Producer(config)
        obstacles = {topic: obstacle(producer, topic) for topic in {message.topic for message in messages}}
        for number, message in enumerate(messages):
            if away := obstacles[message.topic]:
                answers[number] = away
                continue
            try:
                producer.produce(
                    message.topic,
                    message.value,
                    key=message.key,
                    headers=list(message.headers) or None,
                    on_delivery=partial(note, number),
                )
            except KafkaException as error:  # what librdkafka knows already it says at once
                note(number, error.args[0], None)
            producer.poll(0)
        producer.flush(_DELIVERY_SECONDS + 5)
    except (KafkaException, ValueError, TypeError) as error:
        kafka.refuse(connection.conn_id, error)
    silence = Away(f"cannot be reached: {complaint}")
    return [answers.get(number, silence) for number in range(len(messages))]


def _is_missing(producer: Any, topic: str) -> bool:
    """Whether there is no such topic: librdkafka would wait for it until the message's time is up, and say only that.

    :raises KafkaException: the broker cannot be asked.
    """
    deadline = time.monotonic() + _CREATION_SECONDS
    while fault := producer.list_topics(topic, timeout=_DELIVERY_SECONDS).topics[topic].error:
        # Another fault is left to the messages, which meet it, too, and may meet it no more.
        if fault.name() not in _NO_TOPIC:
            return False
        if fault.name() == "TOPIC_EXCEPTION" or time.monotonic() > deadline:
            return True
        time.sleep(0.2)
    return False


def _no_topic(topic: str) -> Away:
    return Away(f"has no topic {topic!r}; create it")
