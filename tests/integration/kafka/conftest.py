"""A broker for the tests: each of them runs on Apache Kafka and on librdkafka's mock cluster."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

# With --import-mode=importlib the modules beside the tests are not importable otherwise.
sys.path.insert(0, str(Path(__file__).parent))

from kafka_broker import ApacheKafka, MockKafka, Topic

if TYPE_CHECKING:
    from airflow.sdk import Connection

_numbers = itertools.count()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything below this folder needs a broker, which takes its time."""
    here = [item for item in items if Path(__file__).parent in item.path.parents]
    for item in here:
        item.add_marker(pytest.mark.integration)
        item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def apache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApacheKafka]:
    """Apache Kafka, for the whole session."""
    if missing := ApacheKafka.why_not():
        pytest.skip(missing)
    # As most are where people rely on it; the mock makes them.
    with ApacheKafka(tmp_path_factory.mktemp("kafka") / "node", creates=False) as broker:
        yield broker


@pytest.fixture(scope="session")
def mock() -> Iterator[MockKafka]:
    """The mock cluster, for the whole session."""
    with MockKafka() as broker:
        yield broker


@pytest.fixture(params=["apache", "mock"])
def broker(request: pytest.FixtureRequest) -> ApacheKafka | MockKafka:
    found: ApacheKafka | MockKafka = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def topic(broker: ApacheKafka | MockKafka) -> Topic:
    return Topic(broker)


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Connection]:
    """Makes ``kafka_default`` the connection to a topic's broker, and the topic the one that is read."""

    def make(topic: Topic | Sequence[str], address: str | None = None, **settings: Any) -> Connection:
        from airflow.sdk import BaseHook

        names = topic.name if isinstance(topic, Topic) else ",".join(topic)
        servers = address or (topic.broker.address if isinstance(topic, Topic) else "")
        extra = {"bootstrap.servers": servers, "group.id": f"group-{next(_numbers)}", **settings}
        monkeypatch.setenv("AIRFLOW_CONN_KAFKA_DEFAULT", json.dumps({"conn_type": "kafka", "extra": extra}))
        monkeypatch.setenv("AIRFLOW__PUSH__KAFKA_TOPICS", names)
        monkeypatch.setenv("AIRFLOW__PUSH__KAFKA_LINGER", "0")
        return BaseHook.get_connection("kafka_default")

    return make
