"""Kafka as docker-compose.yaml sets it up, and the connection that docker/init.sh makes for it."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import compose_job
import pytest
import yaml
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from kafka_broker import ApacheKafka
from ports import free_ports

from push_provider.kafka.producer import Outgoing, Place, send

ROOT = Path(__file__).parents[3]
PASSWORD = "sesame0815"


class ComposeKafka(ApacheKafka):
    """The broker with the settings of the file, on ports of its own."""

    def prepare(self) -> None:
        super().prepare()
        inside, controller, outside, local = free_ports(4)
        given = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())["services"]["kafka"]["environment"]
        lines = []
        for name, value in given.items():
            # As the image does (apache/kafka, docker/docker_image/…/KafkaDockerWrapper): "_" stands for ".".
            text = re.sub(r"\$\{PUSH_KAFKA_PORT:-(\d+)\}", r"\1", value)
            text = re.sub(r"\$\{PUSH_KAFKA_PASSWORD:[^}]*\}", PASSWORD, text)
            for port, mine in (("9092", inside), ("9093", controller), ("9094", outside), ("9095", local)):
                text = re.sub(rf"(//[a-z0-9.]*|@localhost):{port}\b", rf"\1:{mine}", text)
            text = text.replace("://:", "://127.0.0.1:").replace("//kafka:", "//127.0.0.1:")
            lines.append(f"{name.removeprefix('KAFKA_').lower().replace('_', '.')}={text}\n")
        lines.append(f"log.dirs={self.folder / 'data'}\nbroker.heartbeat.interval.ms=200\n")
        self._config.write_text("".join(lines))
        self.address, self.inside, self.outside = (f"127.0.0.1:{port}" for port in (local, inside, outside))


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComposeKafka]:
    if missing := ApacheKafka.why_not():
        pytest.skip(missing)
    with ComposeKafka(tmp_path_factory.mktemp("compose") / "node") as broker:
        broker.create_topic("task.push.info")
        yield broker


@pytest.fixture
def connection(tmp_path: Path) -> Any:
    """``kafka_default``, as the script makes it: all of it is run, and ``airflow`` keeps what it is given."""
    kept = tmp_path / "kept.json"
    airflow = tmp_path / "airflow"
    keeps = f'[ "$2" != import ] || ! grep -q kafka_default "$3" || cp "$3" {kept}'
    airflow.write_text(f'#!/bin/bash\n[ "$2" != get ] || exit 1\n{keeps}\n[ "$1" != users ] || cat >/dev/null\n')
    airflow.chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", **compose_job.ENVIRONMENT, "PUSH_KAFKA_PASSWORD": PASSWORD}
    subprocess.run(["bash", str(compose_job.SCRIPT)], env=env, check=True)
    from airflow.secrets.local_filesystem import load_connections_dict

    return load_connections_dict(str(kept))["kafka_default"]


def test_the_platform_s_connection_is_let_in_and_nobody_else(kafka: ComposeKafka, connection: Any) -> None:
    extra = connection.extra_dejson
    assert extra["bootstrap.servers"] == "kafka:9092"
    login = {"security.protocol", "sasl.mechanism", "sasl.username", "sasl.password"}
    nobody = {name: value for name, value in extra.items() if name not in login}
    for address in (kafka.inside, kafka.outside):
        here = {**extra, "bootstrap.servers": address}
        connection.set_extra(json.dumps(here))
        (answer,) = send(connection, [Outgoing("task.push.info", b"{}")])
        assert isinstance(answer, Place), answer
        for settings in ({**here, "sasl.password": "guessed"}, {**nobody, "bootstrap.servers": address}):
            client = AdminClient({**settings, "log_level": 0})
            with pytest.raises(KafkaException):
                client.list_topics(timeout=3)
