"""Brokers for the tests: Apache Kafka where Maven and Java are found, and librdkafka's mock cluster everywhere."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self

_POM = Path(__file__).with_name("pom.xml")
_HEAP = "256m"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class MockKafka:
    """librdkafka's mock cluster, in this process: topics come to be when they are asked for, with four partitions."""

    name = "mock"

    def __enter__(self) -> Self:
        from confluent_kafka import Producer

        self._mock = Producer({"bootstrap.servers": "localhost:1", "test.mock.num.brokers": 1, "log_level": 2})
        (broker,) = self._mock.list_topics(timeout=10).brokers.values()
        self.address = f"{broker.host}:{broker.port}"
        return self

    def __exit__(self, *_: object) -> None:
        del self._mock

    def create_topic(self, topic: str, partitions: int = 4) -> None:
        """Make a topic; the mock decides how many partitions it has."""
        from confluent_kafka import Producer

        producer = Producer({"bootstrap.servers": self.address})
        producer.list_topics(topic, timeout=10)


class ApacheKafka:
    """One node of Apache Kafka in KRaft mode: broker and controller in one.

    :param folder: where it keeps its data; they stay when it is killed and started again.
    """

    name = "apache"

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.folder = folder
        self.port = port or free_port()
        self._controller = free_port()
        self.address = f"127.0.0.1:{self.port}"
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
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self._controller}",
            "advertised.listeners": f"PLAINTEXT://{self.address}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": str(self.folder / "data"),
            "num.partitions": "4",
            "offsets.topic.num.partitions": "4",
            "offsets.topic.replication.factor": "1",
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
        deadline = time.monotonic() + 60
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
        return ["java", f"-Xmx{_HEAP}", f"-Xms{_HEAP}", "-cp", f"{self._jars}/*", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]  # fmt: skip

    def _java(self, *arguments: str) -> None:
        done = subprocess.run([*self._command(), *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


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
