"""Sends messages to a topic: rejected ones to the dead-letter topic, and those of ``airflow push produce``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from push_provider.exceptions import BrokerUnavailable
from push_provider.kafka import connection as kafka

if TYPE_CHECKING:
    from airflow.sdk import Connection

_DELIVERY_SECONDS = 15
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


def send(connection: Connection, messages: Sequence[Outgoing]) -> list[Place | str]:
    """Send messages, and wait until the broker has them.

    :returns: for each, its place, or why the broker does not want it.
    :raises BrokerUnavailable: the broker cannot be reached, or does not take messages just now; some may have arrived.
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
    answers: dict[int, Place | str] = {}
    away: list[str] = []

    def note(number: int, fault: Any, message: Any) -> None:
        if fault is None:
            answers[number] = Place(message.topic(), message.partition(), message.offset())
        elif fault.name() in ("_MSG_TIMED_OUT", "_TIMED_OUT", "_TRANSPORT"):
            away.append(f"cannot be reached: {complaint}")
        # A fatal one is the producer's: it takes no message any more, whatever the message is.
        elif kafka.passes(fault) or fault.fatal():
            away.append(f"takes no messages just now: {fault.str()}")
        else:
            answers[number] = str(fault.str())

    try:
        producer = Producer(config)
        for number, message in enumerate(messages):
            producer.produce(
                message.topic,
                message.value,
                key=message.key,
                headers=list(message.headers) or None,
                on_delivery=partial(note, number),
            )
            producer.poll(0)
        producer.flush(_DELIVERY_SECONDS + 5)
    except (KafkaException, ValueError, TypeError) as error:
        kafka.refuse(connection.conn_id, error)
    if away or len(answers) < len(messages):
        why = away[0] if away else f"cannot be reached: {complaint}"
        raise BrokerUnavailable(f"Kafka (connection {connection.conn_id!r}) {why}")
    return [answers[number] for number in range(len(messages))]
