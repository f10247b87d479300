"""The trigger and the sensor on real brokers: what wakes them, what they wait for, and what they say of it."""

from __future__ import annotations

import asyncio
import json
import logging
import struct
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import ErrorType, TaskDeferred
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import ErrorResponse
from confluent_kafka import Consumer, KafkaError, TopicPartition
from kafka_broker import ApacheKafka, Topic

from push_provider.exceptions import TransientError
from push_provider.kafka import reader
from push_provider.kafka.shares import Share
from push_provider.ledger import rejected
from push_provider.sensors.kafka import PushKafkaSensor
from push_provider.triggers import kafka as module
from push_provider.triggers.kafka import PushKafkaTrigger

if TYPE_CHECKING:
    from sqlalchemy import Engine


def wait(
    topics: str,
    seconds: float = 20,
    meanwhile: Callable[[], None] | None = None,
    after: float = 0.5,
    share: Share = Share(),  # noqa: B008  (it never changes)
    dead_letters: str = "",
) -> str:
    """Run the trigger, do something after a while, and say why it fired."""

    async def run() -> str:
        trigger = PushKafkaTrigger(
            conn_id="kafka_default",
            topics=topics,
            seconds=seconds,
            dead_letters=dead_letters,
            drain=share.number,
            drains=share.of,
        )
        path, arguments = trigger.serialize()
        assert path == "push_provider.triggers.kafka.PushKafkaTrigger"
        events = PushKafkaTrigger(**arguments).run()
        waiting = asyncio.ensure_future(anext(events))
        await asyncio.sleep(after)
        if meanwhile:
            await asyncio.to_thread(meanwhile)
        event = await waiting
        return str(event.payload["why"])

    return asyncio.run(run())


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Any:
    yield
    deadline = time.monotonic() + 15
    while any(thread.name == "push-kafka-watch" for thread in threading.enumerate()):
        assert time.monotonic() < deadline, "the watching thread goes on"
        time.sleep(0.05)


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for changes ten times a second."""
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.1)
    monkeypatch.setattr(module, "_POLL_SECONDS", 0.1)


# --- what wakes it ------------------------------------------------------------------------------------


def test_a_message_wakes_it(topic: Topic, connect: Callable[..., Any]) -> None:
    connect(topic)
    assert wait(topic.name, meanwhile=lambda: topic.send({"n": 1})) == "there are messages"


def test_a_message_that_is_there_already_wakes_it(topic: Topic, connect: Callable[..., Any]) -> None:
    connect(topic)
    topic.send({"n": 1})
    assert wait(topic.name) == "there are messages"


def test_a_message_larger_than_a_fetch_wakes_it(apache: ApacheKafka, connect: Callable[..., Any]) -> None:
    topic = Topic(apache)
    connect(topic)
    assert wait(topic.name, meanwhile=lambda: topic.send(b"x" * 3_000_000)) == "there are messages"


def test_what_was_committed_does_not_wake_it(topic: Topic, connect: Callable[..., Any]) -> None:
    connection = connect(topic)
    topic.send({"n": 1})
    with reader.Reader(connection, reader.kafka.Topics(topic.name)) as one:
        one.open()
        assert len(one.read(10, 1000, wait=0)) == 1
        one.commit()
    assert wait(topic.name, seconds=1) == "it is time to look"


def test_waiting_takes_nothing(topic: Topic, connect: Callable[..., Any]) -> None:
    connection = connect(topic)
    topic.send({"n": 1})
    assert wait(topic.name) == wait(topic.name) == "there are messages"
    with reader.Reader(connection, reader.kafka.Topics(topic.name)) as one:
        one.open()
        assert len(one.read(10, 1000, wait=0)) == 1


def test_a_message_wakes_the_one_whose_partition_it_is_in(topic: Topic, connect: Callable[..., Any]) -> None:
    connect(topic)
    topic.send({"n": 1}, partition=2)
    shares = [Share(number, 2) for number in range(2)]
    for share in shares:
        own = share.holds(topic.name, 2)
        assert wait(topic.name, seconds=20 if own else 1, share=share) == (
            "there are messages" if own else "it is time to look"
        )


def test_one_that_was_stored_by_an_earlier_version_waits_for_all() -> None:
    trigger = PushKafkaTrigger(conn_id="kafka_default", topics="t", seconds=20)
    assert (trigger.drain, trigger.drains, trigger.dead_letters) == (0, 1, "")


def test_a_dead_letter_wakes_nobody(broker: Any, connect: Callable[..., Any]) -> None:
    topic, dead = Topic(broker), Topic(broker)
    connect([f"^({topic.name}|{dead.name})$"], broker.address)
    dead.send(b"{")
    assert wait(f"^({topic.name}|{dead.name})$", seconds=1.5, dead_letters=dead.name) == "it is time to look"


@pytest.mark.usefixtures("often")
def test_who_has_no_partition_is_woken_by_a_new_one(
    apache: ApacheKafka, connect: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    from confluent_kafka.admin import NewPartitions

    caplog.set_level(logging.INFO)
    topic = Topic(apache, 1)
    connect(topic)
    idle = next(share for share in (Share(0, 2), Share(1, 2)) if not share.holds(topic.name, 0))
    topic.send({"n": 1})
    assert wait(topic.name, seconds=1.5, share=idle) == "it is time to look"
    assert "There are fewer partitions" in caplog.text
    admin = apache.admin()

    def grow() -> None:
        for made in admin.create_partitions([NewPartitions(topic.name, 2)]).values():
            made.result(10)

    assert wait(topic.name, meanwhile=grow, share=idle) == "the topics have changed"


@pytest.mark.usefixtures("often")
def test_a_topic_that_comes_to_be_wakes_it(
    broker: Any, connect: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    topic = Topic(broker)
    connect([f"{topic.name}-later"], broker.address)
    caplog.set_level(logging.INFO)
    woken = wait(f"{topic.name}-later", meanwhile=lambda: broker.create_topic(f"{topic.name}-later"))
    assert woken == "the topics have changed"
    assert f"There is no topic {topic.name}-later yet" in caplog.text


@pytest.mark.usefixtures("often")
def test_a_new_partition_wakes_it(apache: ApacheKafka, connect: Callable[..., Any]) -> None:
    from confluent_kafka.admin import NewPartitions

    topic = Topic(apache, 1)
    connect(topic)

    def grow() -> None:
        admin = apache.admin()
        for made in admin.create_partitions([NewPartitions(topic.name, 2)]).values():
            made.result(10)

    assert wait(topic.name, meanwhile=grow) == "the topics have changed"


@pytest.mark.usefixtures("often")
def test_a_changed_connection_wakes_it(topic: Topic, connect: Callable[..., Any]) -> None:
    connect(topic)
    assert wait(topic.name, meanwhile=lambda: connect(topic)) == "the connection has changed"


@pytest.mark.usefixtures("often")
def test_a_connection_that_comes_to_be_wakes_it(
    topic: Topic, connect: Callable[..., Any], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_KAFKA_DEFAULT", raising=False)
    assert wait(topic.name, meanwhile=lambda: connect(topic)) == "there is a connection now"
    lines = [record.message for record in caplog.records if "There is no connection" in record.message]
    assert len(lines) == 1  # not one for each time that it looks
    assert "Create it (type Apache Kafka" in lines[0]


# --- a broker that is away ----------------------------------------------------------------------------


def test_a_broker_that_is_away_is_waited_for_and_said_once(
    apache: ApacheKafka, connect: Callable[..., Any], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "_REQUEST_SECONDS", 1.0)
    caplog.set_level(logging.INFO)
    topic = Topic(apache)
    connect(topic)
    topic.send({"n": 1})
    apache.kill()
    try:
        assert wait(topic.name, seconds=240, meanwhile=apache.start, after=4) == "there are messages"
    finally:
        if apache.process is None:
            apache.start()
    away = [record.message for record in caplog.records if "cannot be used just now" in record.message]
    assert len(away) == 1
    assert "Waiting until it can be used" in away[0]
    assert "is back" in caplog.text


def test_a_connection_that_cannot_work_is_said_once(
    topic: Topic, connect: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    connect(topic, **{"no.such.setting": "1"})
    assert wait(topic.name, seconds=4) == "it is time to look"
    assert caplog.text.count("no.such.setting") >= 1
    assert len([record for record in caplog.records if "no.such.setting" in record.getMessage()]) == 1


# --- the sensor ---------------------------------------------------------------------------------------


def context(age: timedelta = timedelta(0)) -> Any:
    return {"dag_run": SimpleNamespace(start_date=datetime.now(UTC) - age)}


def deferred(sensor: PushKafkaSensor, age: timedelta = timedelta(0)) -> PushKafkaTrigger:
    with pytest.raises(TaskDeferred) as caught:
        sensor.execute(context(age))
    assert caught.value.method_name == "resume"
    trigger = caught.value.trigger
    assert isinstance(trigger, PushKafkaTrigger)
    return trigger


@pytest.fixture
def sensor() -> PushKafkaSensor:
    return PushKafkaSensor(task_id="listen")


@pytest.fixture(autouse=True)
def _supervisor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow's side of a task, which has no connection."""
    none = ErrorResponse(error=ErrorType.CONNECTION_NOT_FOUND)
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", SimpleNamespace(send=lambda _: none), raising=False)


def test_it_drains_and_then_waits(
    ledger: Engine,
    topic: Topic,
    connect: Callable[..., Any],
    sensor: PushKafkaSensor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connect(topic)
    topic.broker.create_topic(f"rejected-{topic.name}")
    monkeypatch.setenv("AIRFLOW__PUSH__DEAD_LETTER_TOPIC", f"rejected-{topic.name}")
    topic.send({"task": "nobody"})
    trigger = deferred(sensor)
    assert (trigger.conn_id, trigger.topics, trigger.seconds) == ("kafka_default", topic.name, 300)
    assert (trigger.drain, trigger.drains, trigger.dead_letters) == (0, 1, f"rejected-{topic.name}")
    # What is stored of it holds no secret.
    assert topic.broker.address not in json.dumps(trigger.serialize())
    assert wait(topic.name, seconds=1) == "it is time to look"


def test_one_of_several_drains_its_share_and_waits_for_more_of_it(
    ledger: Engine, topic: Topic, connect: Callable[..., Any]
) -> None:
    connect(topic)
    for partition in range(4):
        topic.send({"task": "nobody"}, partition=partition)
    trigger = deferred(PushKafkaSensor(task_id="listen_2", drain=1, drains=2))
    assert (trigger.drain, trigger.drains) == (1, 2)
    rows = rejected.find(ledger)
    assert len(rows) == 2
    assert all(Share(1, 2).holds(row.topic, row.partition) for row in rows)


def test_each_run_commits_once_what_is_quiet(
    ledger: Engine, apache: ApacheKafka, connect: Callable[..., Any], sensor: PushKafkaSensor
) -> None:
    """Brokers forget a place a week after it was committed last, where no consumer joins the group (KIP-211)."""
    topic = Topic(apache, 3)
    connection = connect(topic)
    group = connection.extra_dejson["group.id"]
    topic.send({"task": "nobody"}, partition=0)
    topic.send({"task": "nobody"}, partition=1)
    deferred(sensor)
    first = commits(apache, group, topic.name)
    assert first == {0: [1], 1: [1]}  # and nothing of what was always empty
    topic.send({"task": "nobody"}, partition=0)
    with pytest.raises(TaskDeferred):
        sensor.resume(context(), {"why": "there are messages"})
    assert commits(apache, group, topic.name) == {0: [1, 2], 1: [1]}
    deferred(sensor)  # the next run
    assert commits(apache, group, topic.name) == {0: [1, 2, 2], 1: [1, 1]}


def commits(apache: ApacheKafka, group: str, topic: str) -> dict[int, list[int]]:
    """What a group has committed of a topic's partitions, one after the other, as the broker has it on record."""
    consumer = Consumer({"bootstrap.servers": apache.address, "group.id": "look", "enable.partition.eof": True})
    internal = "__consumer_offsets"
    places = [TopicPartition(internal, n, 0) for n in consumer.list_topics(timeout=60).topics[internal].partitions]
    consumer.assign(places)
    found: dict[int, list[int]] = {}
    at_end = 0
    deadline = time.monotonic() + 60
    while at_end < len(places):
        assert time.monotonic() < deadline
        for message in consumer.consume(1000, 0.2):
            if message.error():
                at_end += message.error().code() == KafkaError._PARTITION_EOF
                continue
            key, value = message.key(), message.value()
            # OffsetCommitKey and OffsetCommitValue: version, group, topic, partition; version, offset …
            start = struct.pack(f">hh{len(group)}sh{len(topic)}s", 1, len(group), group.encode(), len(topic),
                                topic.encode())  # fmt: skip
            if key.startswith(start) and value is not None:
                (partition,) = struct.unpack(">i", key[len(start) :])
                found.setdefault(partition, []).append(struct.unpack_from(">q", value, 2)[0])
    consumer.close()
    return found


def test_without_a_connection_it_waits_and_says_so(
    ledger: Engine, sensor: PushKafkaSensor, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_KAFKA_DEFAULT", raising=False)
    assert deferred(sensor).seconds == 300
    assert "There is no connection 'kafka_default', so no Kafka messages are read" in capsys.readouterr().out


def test_a_broker_that_is_away_fails_no_run(
    ledger: Engine,
    connect: Callable[..., Any],
    sensor: PushKafkaSensor,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reader, "_REQUEST_SECONDS", 1.0)
    connect(["t"], "127.0.0.1:1")
    assert deferred(sensor).seconds == 300
    assert "cannot be used just now" in capsys.readouterr().out


def test_a_mistake_in_the_connection_is_tried_again(
    ledger: Engine, connect: Callable[..., Any], sensor: PushKafkaSensor
) -> None:
    connect(["t"], "127.0.0.1:1", **{"no.such.setting": "1"})
    with pytest.raises(TransientError, match=r"no\.such\.setting"):
        sensor.execute(context())


def test_after_an_hour_the_run_ends(
    ledger: Engine, topic: Topic, connect: Callable[..., Any], sensor: PushKafkaSensor
) -> None:
    connect(topic)
    topic.send({"task": "nobody"})
    assert 0 < deferred(sensor, timedelta(minutes=58)).seconds <= 120
    topic.send({"task": "nobody"})
    done = sensor.resume(context(timedelta(minutes=61)), {"why": "there are messages"})
    assert (done["messages"], done["rejected"]) == (1, 1)
