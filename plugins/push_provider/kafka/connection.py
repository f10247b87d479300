"""The Kafka connection: from an Airflow connection to the settings of a client.

The provider's own hook reads the connection, so that every setting of librdkafka can stand in it (SASL, TLS, group id
…) and its managed logins (Amazon MSK, Google) work.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from push_provider.connections.absence import require_absent
from push_provider.exceptions import BrokerUnavailable, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.sdk import Connection
    from confluent_kafka import KafkaError

GROUP = "push"
_WAITED_FOR = frozenset(
    (
        "_TRANSPORT", "_ALL_BROKERS_DOWN", "_TIMED_OUT", "_RESOLVE", "_AUTHENTICATION", "_SSL", "_WAIT_COORD",
        "COORDINATOR_NOT_AVAILABLE", "COORDINATOR_LOAD_IN_PROGRESS", "NOT_COORDINATOR", "LEADER_NOT_AVAILABLE",
        "NOT_LEADER_FOR_PARTITION", "REQUEST_TIMED_OUT", "NETWORK_EXCEPTION", "BROKER_NOT_AVAILABLE",
        "TOPIC_AUTHORIZATION_FAILED", "GROUP_AUTHORIZATION_FAILED", "SASL_AUTHENTICATION_FAILED",
    )
)  # fmt: skip
"""Errors that pass, by themselves or when somebody has put the broker, or the rights on it, in order."""


def find(conn_id: str) -> Connection | None:
    """The connection, in a task; None if there is none of this id, or none that this task may have.

    :raises TransientError: Airflow cannot be asked just now.
    """
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException, AirflowSecretsBackendAccessDenied

    try:
        return BaseHook.get_connection(conn_id)
    except (AirflowNotFoundException, AirflowSecretsBackendAccessDenied):
        require_absent(conn_id)
        return None


async def find_async(conn_id: str) -> Connection | None:
    """The same in the triggerer."""
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        return await BaseHook.aget_connection(conn_id)
    except AirflowNotFoundException:
        return None


def missing(conn_id: str) -> str:
    """What to say where there is no connection."""
    return (
        f"There is no connection {conn_id!r}, so no Kafka messages are read. Create it (type Apache Kafka, with "
        f'{{"bootstrap.servers": "host:9092"}} as its extra), and they are; or pause this DAG.'
    )


def client_config(connection: Connection) -> dict[str, Any]:
    """The settings of a client, as librdkafka takes them.

    :raises ConfigurationError: the connection names no broker, or asks for what Airflow does not allow.
    """
    from airflow.providers.apache.kafka.hooks.base import KafkaBaseHook

    class Hook(KafkaBaseHook):
        @classmethod
        def get_connection(cls, conn_id: str) -> Connection:  # noqa: ARG003  (the one it was asked for)
            return connection

        def config(self) -> dict[str, Any]:
            return dict(self._build_config())

    try:
        config = Hook(connection.conn_id).config()  # type: ignore[no-untyped-call]
    except (ValueError, ImportError) as error:
        raise ConfigurationError(f"Connection {connection.conn_id!r}: {error}") from error
    # librdkafka writes its own log to the standard error, a line for every try; what matters comes as an error.
    return {"log_level": 2, **config}


def consumer_config(connection: Connection, on_error: Callable[[KafkaError], None]) -> dict[str, Any]:
    """The settings of a consumer that reads without joining its group, and commits what the ledger has.

    :param on_error: is told what librdkafka has to say while it tries again.
    :raises ConfigurationError: as :func:`client_config`.
    """
    return {
        "group.id": GROUP,
        "auto.offset.reset": "earliest",
        "fetch.wait.max.ms": 50,
        # One call hands out all that is fetched ahead, which may be 64 MiB otherwise.
        "queued.max.messages.kbytes": 16 * 1024,
        **client_config(connection),
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "enable.partition.eof": True,
        "error_cb": on_error,
    }


def passes(fault: KafkaError) -> bool:
    """Whether an error passes, so that what met it is to be tried again."""
    return getattr(fault, "name", lambda: "")() in _WAITED_FOR or getattr(fault, "retriable", lambda: False)()


def refuse(conn_id: str, error: Exception) -> NoReturn:
    """Turn an error of the client into one of ours.

    :raises BrokerUnavailable: it may pass.
    :raises ConfigurationError: the connection has to be changed.
    """
    from confluent_kafka import KafkaException

    if isinstance(error, KafkaException) and error.args:
        fault = error.args[0]
        words = getattr(fault, "str", lambda: str(fault))()
        if passes(fault):
            raise BrokerUnavailable(f"Kafka (connection {conn_id!r}) cannot be used just now: {words}") from error
        raise ConfigurationError(f"Connection {conn_id!r}: Kafka refuses it: {words}") from error
    raise ConfigurationError(f"Connection {conn_id!r}: {error}") from error


class Topics:
    """Which topics are read: names, and regular expressions that begin with ``^``, as librdkafka has it.

    :param text: the list, as ``[push] kafka_topics`` has it.
    :param dead_letters: the topic that rejected messages are forwarded to; empty for none. It is never read, whatever
        fits its name: each message of it would be rejected and forwarded to it again, without end.
    """

    def __init__(self, text: str, dead_letters: str = "") -> None:
        """Read a list.

        :raises ConfigurationError: nothing is named, an expression is none, or the dead-letter topic is named.
        """
        self.names = tuple(dict.fromkeys(part for part in re.split(r"[,\s]+", text) if part))
        if not self.names:
            raise ConfigurationError("[push] kafka_topics names no topic; it takes names, separated by commas")
        if dead_letters in self.names:
            raise ConfigurationError(
                f"[push] kafka_topics names {dead_letters!r}, the dead_letter_topic: what is rejected would be read "
                "there, and rejected and forwarded again, without end. Name another one in one of the two"
            )
        self._dead_letters = dead_letters
        try:
            self._patterns = [re.compile(name) for name in self.names if name.startswith("^")]
        except re.error as error:
            raise ConfigurationError(f"[push] kafka_topics holds no regular expression: {error}") from error

    def first_name(self) -> str:
        """The first that is a name: where one sends to.

        :raises ConfigurationError: all are expressions.
        """
        for name in self.names:
            if not name.startswith("^"):
                return name
        raise ConfigurationError("[push] kafka_topics holds expressions alone, and no name to send to; name a topic")

    def among(self, known: Mapping[str, Any]) -> list[str]:
        """Those of the broker's topics that are meant."""
        return [
            name
            for name in sorted(known)
            if name != self._dead_letters
            and (
                name in self.names
                # Kafka's own begin with two underscores.
                or (not name.startswith("__") and any(pattern.match(name) for pattern in self._patterns))
            )
        ]
