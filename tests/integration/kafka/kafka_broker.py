"""Brokers for the tests: Apache Kafka where Maven and Java are found, and librdkafka's mock cluster everywhere."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self

from ports import free_port, free_ports

_POM = Path(__file__).with_name("pom.xml")
_HEAP = "256m"
_numbers = itertools.count()


class MockKafka:
    """librdkafka's mock cluster, in this process: topics come to be when they are asked for, with four partitions."""

    name = "mock"

    def __enter__(self) -> Self:
        from confluent_kafka import Producer

        self._mock = Producer({"bootstrap.servers": "localhost:1", "test.mock.num.brokers": 1, "log_level": 2})
        (broker,) = self._mock.list_topics(timeout=60).brokers.values()
        self.address = f"{broker.host}:{broker.port}"
        return self

    def __exit__(self, *_: object) -> None:
        del self._mock

    def create_topic(self, topic: str, partitions: int = 4) -> None:
        """Make a topic; the mock decides how many partitions it has."""
        from confluent_kafka import Producer

        producer = Producer({"bootstrap.servers": self.address})
        producer.list_topics(topic, timeout=60)


class ApacheKafka:
    """One node of Apache Kafka in KRaft mode: broker and controller in one.

    :param folder: where it keeps its data; they stay when it is killed and started again.
    :param creates: whether it makes topics that somebody asks for.
    """

    name = "apache"

    def __init__(self, folder: Path, port: int | None = None, *, creates: bool = True) -> None:
        self.folder = folder
        self._creates = creates
        self.port = port or free_port()
        self._controller, self._sasl = free_ports(2)
        self.address = f"127.0.0.1:{self.port}"
        self.sasl_address = f"127.0.0.1:{self._sasl}"
        """Wants a login: SASL PLAIN, user ``push``, password ``sesame``."""
        self.process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def why_not() -> str | None:
        """What is missing, if anything."""
        missing = [program for program in ("java", "mvn") if not shutil.which(program)]
        return f"{' and '.join(missing)} not installed" if missing else None

    def __enter__(self) -> Self:
        self.prepare()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def prepare(self) -> None:
        """Fetch the broker, unless it is there, and format its storage."""
        self._jars = _fetched()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._config = self.folder / "server.properties"
        settings = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{self._controller}",
            "listeners": f"PLAINTEXT://{self.address},SASL_PLAINTEXT://{self.sasl_address},"
            f"CONTROLLER://127.0.0.1:{self._controller}",
            "advertised.listeners": f"PLAINTEXT://{self.address},SASL_PLAINTEXT://{self.sasl_address}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
            "sasl.enabled.mechanisms": "PLAIN",
            "listener.name.sasl_plaintext.plain.sasl.jaas.config": "org.apache.kafka.common.security.plain."
            'PlainLoginModule required user_push="sesame";',
            # Who has logged in may be kept from a topic, and may do all else; whoever has not may do everything.
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "allow.everyone.if.no.acl.found": "true",
            "super.users": "User:ANONYMOUS",
            # A broker that was killed is let in again when its old self is given up.
            "broker.session.timeout.ms": "1000",
            "broker.heartbeat.interval.ms": "200",
            "log.dirs": str(self.folder / "data"),
            "num.partitions": "4",
            "auto.create.topics.enable": str(self._creates).lower(),
            "offsets.topic.num.partitions": "4",
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.num.partitions": "4",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            "message.max.bytes": str(16 * 1024 * 1024),
            "socket.request.max.bytes": str(32 * 1024 * 1024),
        }
        self._config.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        if not (self.folder / "data").exists():
            self._java("kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qk", "-c", str(self._config))

    def start(self) -> None:
        """Start it, and wait until it answers."""
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        command = [*self._command(), "kafka.Kafka", str(self._config)]
        with (self.folder / "kafka.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 180
        while True:
            assert self.process.poll() is None, (self.folder / "kafka.log").read_text()[-3000:]
            try:
                admin = AdminClient({"bootstrap.servers": self.address, "log_level": 0})
                if admin.list_topics(timeout=1).brokers:
                    return
            except KafkaException:
                assert time.monotonic() < deadline, (self.folder / "kafka.log").read_text()[-3000:]

    def kill(self) -> None:
        """SIGKILL: nothing is put in order."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def create_topic(self, topic: str, partitions: int = 4) -> None:
        """Make a topic."""
        from confluent_kafka.admin import NewTopic

        admin = self.admin()  # whose answer comes only while it is there
        for made in admin.create_topics([NewTopic(topic, partitions, 1)]).values():
            made.result(30)

    def admin(self) -> Any:
        """Its admin client."""
        from confluent_kafka.admin import AdminClient

        return AdminClient({"bootstrap.servers": self.address, "log_level": 0})

    def _command(self) -> list[str]:
        quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
        return ["java", f"-Xmx{_HEAP}", f"-Xms{_HEAP}", "-cp", f"{self._jars}/*", quiet]

    def _java(self, *arguments: str) -> None:
        done = subprocess.run([*self._command(), *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


class Topic:
    """A topic of the test's own, and what is sent to it.

    :param broker: where it is made.
    :param partitions: how many it has, where the broker lets one choose.
    """

    def __init__(self, broker: ApacheKafka | MockKafka, partitions: int = 4) -> None:
        self.broker = broker
        self.name = f"push-{next(_numbers)}"
        broker.create_topic(self.name, partitions)
        self.reconnect()

    def reconnect(self) -> None:
        """Take a producer that knows nothing yet."""
        from confluent_kafka import Producer

        self._producer = Producer(
            {"bootstrap.servers": self.broker.address, "log_level": 0, "message.max.bytes": 16 * 1024 * 1024}
        )

    def send(self, *values: Any, partition: int = -1) -> None:
        """Send messages, bytes as they are and all else as JSON, and wait until the broker has them."""
        failed: list[Any] = []
        for value in values:
            raw = value if isinstance(value, bytes | None) else json.dumps(value).encode()
            self._producer.produce(
                self.name,
                raw,
                partition=partition,
                on_delivery=lambda fault, _: failed.append(fault) if fault else None,
            )
            self._producer.poll(0)
        assert self._producer.flush(30) == 0
        assert not failed

    def count(self) -> int:
        """How many messages stand in it."""
        from confluent_kafka import Consumer, TopicPartition

        consumer = Consumer({"bootstrap.servers": self.broker.address, "group.id": "look", "log_level": 0})
        partitions = consumer.list_topics(self.name, timeout=60).topics[self.name].partitions
        ends = [consumer.get_watermark_offsets(TopicPartition(self.name, n), timeout=60) for n in partitions]
        consumer.close()
        return sum(high - low for low, high in ends)

    def values(self, count: int) -> list[Any]:
        """What stands in it: messages, in no order."""
        from confluent_kafka import Consumer, TopicPartition

        consumer = Consumer({"bootstrap.servers": self.broker.address, "group.id": "look", "log_level": 0})
        partitions = consumer.list_topics(self.name, timeout=60).topics[self.name].partitions
        consumer.assign([TopicPartition(self.name, number, 0) for number in partitions])
        found: list[Any] = []
        for _ in range(100):
            found += [message for message in consumer.consume(count, 0.2) if not message.error()]
            if len(found) >= count:
                break
        consumer.close()
        return found


def _fetched() -> Path:
    """The folder of the broker's jars; Maven keeps what it has fetched, so that the second time takes a second."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "airflow-push-provider"
    folder = base / f"kafka-{_stamp()}"
    if folder.exists():
        return folder
    base.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix="kafka-", dir=base))
    command = ["mvn", "-q", "-B", "-f", str(_POM), "dependency:copy-dependencies", f"-DoutputDirectory={making}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=540)
    assert done.returncode == 0, done.stdout + done.stderr
    try:
        making.rename(folder)
    except OSError:  # another run was faster
        shutil.rmtree(making)
    return folder


def _stamp() -> str:
    import zlib

    return f"{zlib.crc32(_POM.read_bytes()):08x}"
