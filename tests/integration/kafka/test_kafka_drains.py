"""Several drains on real brokers: each reads partitions of its own, and no message is lost or taken twice."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import ErrorType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import ErrorResponse, GetConnection, OKResponse, TriggerDagRun
from confluent_kafka import Consumer, TopicPartition
from kafka_broker import ApacheKafka, Topic

from push_provider.channels.reading import parse
from push_provider.exceptions import ConfigurationError
from push_provider.kafka import admission, producer
from push_provider.kafka.connection import Topics, consumer_config
from push_provider.kafka.drain import Drained, drain
from push_provider.kafka.reader import Reader, Record
from push_provider.kafka.shares import Share
from push_provider.ledger import definitions, deliveries, executions, rejected

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from push_provider.kafka.producer import Away, Outgoing, Place

FOREVER = 10.0**9
SECONDS = 60
NOW = datetime(2026, 7, 1, tzinfo=UTC)


class Supervisor:
    """Airflow's side of several tasks: makes DAG runs, and counts how often it was asked for each."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.before_each: Callable[[TriggerDagRun], None] = lambda _: None
        self._lock = threading.Lock()

    def send(self, asked: TriggerDagRun | GetConnection) -> OKResponse | ErrorResponse:
        if isinstance(asked, GetConnection):
            return ErrorResponse(error=ErrorType.CONNECTION_NOT_FOUND)
        self.before_each(asked)
        with self._lock:
            self.asked.append(asked.run_id)
        return OKResponse(ok=True)


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> Supervisor:
    supervisor = Supervisor()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
    return supervisor


def apply(ledger: Engine, code: str) -> None:
    task = {"code": code, "name": "T", "channel": "email", "subject": "Hello", "content": "x",
            "schedule": {"kind": "manual"}, "execution": {"type": "loop"}}  # fmt: skip
    definitions.apply(ledger, parse(task), now=NOW, default_timezone="UTC")


def start(code: str, to: str) -> dict[str, Any]:
    return {"task": code, "recipients": [to]}


def recipients(ledger: Engine) -> list[str]:
    return sorted(row.recipient for row in deliveries.find(ledger, limit=100_000))


def read(connection: Any, topics: str, share: Share, *, commit: bool = False) -> list[Record]:
    """What a share reads until there is no more."""
    with Reader(connection, Topics(topics), share) as reader:
        reader.open()
        records: list[Record] = []
        while got := reader.read(1000, 10**8, wait=0):
            records += got
        if commit:
            reader.commit()
        return records


def committed(topic: Topic, connection: Any) -> dict[int, int]:
    """What the group has committed, of partitions of which it has."""
    consumer = Consumer(consumer_config(connection, lambda _: None))
    partitions = consumer.list_topics(topic.name, timeout=10).topics[topic.name].partitions
    places = consumer.committed([TopicPartition(topic.name, number) for number in partitions], timeout=10)
    consumer.close()
    return {place.partition: place.offset for place in places if place.offset >= 0}


# --- partitions ---------------------------------------------------------------------------------------


def test_each_partition_is_read_by_one(topic: Topic, connect: Callable[..., Any]) -> None:
    connection = connect(topic)
    for partition in range(4):
        topic.send({"n": partition}, partition=partition)
    found = [read(connection, topic.name, Share(number, 3)) for number in range(3)]
    assert sorted(record.partition for records in found for record in records) == [0, 1, 2, 3]
    assert sorted(map(len, found)) == [1, 1, 2]


def test_a_share_commits_its_own_partitions_alone(topic: Topic, connect: Callable[..., Any]) -> None:
    connection = connect(topic)
    for partition in range(4):
        topic.send({"n": 1}, {"n": 2}, partition=partition)
    own = {record.partition for record in read(connection, topic.name, Share(1, 2), commit=True)}
    assert len(own) == 2
    assert committed(topic, connection) == dict.fromkeys(own, 2)
    assert len(read(connection, topic.name, Share(0, 2), commit=True)) == 4
    assert committed(topic, connection) == dict.fromkeys(range(4), 2)
    # When there is another number of them, each goes on where somebody else has ended.
    assert [record for number in range(3) for record in read(connection, topic.name, Share(number, 3))] == []


def test_where_reading_begins_at_the_end_one_says_so_for_all(topic: Topic, connect: Callable[..., Any]) -> None:
    connection = connect(topic, **{"auto.offset.reset": "latest"})
    for partition in range(4):
        topic.send({"n": "before"}, partition=partition)
    # Who is not the first has nothing to read, and nothing to say.
    assert read(connection, topic.name, Share(1, 2), commit=True) == []
    assert committed(topic, connection) == {}
    for partition in range(4):
        topic.send({"n": "meanwhile"}, partition=partition)
    assert read(connection, topic.name, Share(0, 2)) == []
    assert committed(topic, connection) == dict.fromkeys(range(4), 2)
    for partition in range(4):
        topic.send({"n": "after"}, partition=partition)
    found = [record for number in range(2) for record in read(connection, topic.name, Share(number, 2))]
    assert [record.value for record in found] == [b'{"n": "after"}'] * 4


def test_a_share_that_has_no_partition_looks_for_one(apache: ApacheKafka, connect: Callable[..., Any]) -> None:
    from confluent_kafka.admin import NewPartitions

    topic = Topic(apache, 1)
    connection = connect(topic, **{"auto.offset.reset": "latest"})
    read(connection, topic.name, Share(0, 2))
    idle = next(share for share in (Share(0, 2), Share(1, 2)) if not share.holds(topic.name, 0))
    with Reader(connection, Topics(topic.name), idle) as reader:
        reader.open()
        assert (reader.partitions, reader.others) == (frozenset(), True)
        assert not reader.is_outdated(0)
        admin = apache.admin()  # whose answer comes only while it is there
        for made in admin.create_partitions([NewPartitions(topic.name, 2)]).values():
            made.result(10)
        deadline = time.monotonic() + SECONDS
        while not reader.is_outdated(0):
            assert time.monotonic() < deadline
        topic.reconnect()
        topic.send({"n": "first"}, partition=1)
        # From its beginning: it is a partition of a topic of which others have been read before.
        reader.open()
        assert (len(reader.partitions), reader.others) == (1, True)
        assert [record.value for record in reader.read(10, 1000, wait=5)] == [b'{"n": "first"}']


def test_who_may_not_begin_anywhere_is_told_in_every_share(topic: Topic, connect: Callable[..., Any]) -> None:
    connection = connect(topic, **{"auto.offset.reset": "error"})
    for number in range(2):
        with pytest.raises(ConfigurationError, match=r"auto\.offset\.reset is 'error'"):
            read(connection, topic.name, Share(number, 2))


# --- drains -------------------------------------------------------------------------------------------


def test_several_drains_take_every_message_once_and_in_order(
    ledger: Engine, supervisor: Supervisor, topic: Topic, connect: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While their number changes: those of before and those of now read the same partitions for a while."""
    monkeypatch.setenv("AIRFLOW__PUSH__KAFKA_BATCH_SIZE", "50")
    for code in "abcdef":
        apply(ledger, code)
    connection = connect(topic)
    for partition in range(4):
        topic.send(
            *(start("abcdef"[n % 6], f"{partition}-{n:04}@example.com") for n in range(300)),
            b"{",
            {"task": "nobody"},
            partition=partition,
        )
    shares = [Share(0, 1), *(Share(number, 2) for number in range(2)), *(Share(number, 3) for number in range(3))]
    together = threading.Barrier(len(shares))

    def one(share: Share) -> Drained:
        together.wait(SECONDS)
        return drain(ledger, connection, until=FOREVER, share=share)

    with ThreadPoolExecutor(len(shares)) as pool:
        drained = list(pool.map(one, shares))
    assert sum(one.deliveries for one in drained) == 1200
    assert sum(one.rejected for one in drained) == 8
    assert recipients(ledger) == sorted(f"{p}-{n:04}@example.com" for p in range(4) for n in range(300))
    assert len(rejected.find(ledger)) == 8
    for code in "abcdef":
        order = [row.recipient for row in deliveries.find(ledger, task=code, limit=1000)]
        for partition in range(4):
            own = [to for to in sorted_by_id(ledger, code) if to.startswith(f"{partition}-")]
            assert own == sorted(own)
        assert len(order) == 200
    # Whatever has committed last, nothing that nobody has taken lies before it.
    again = drain(ledger, connection, until=FOREVER)
    assert (again.deliveries, again.rejected) == (0, 0)
    assert set(supervisor.asked) == {row.run_id for row in executions.find(ledger)}


def sorted_by_id(ledger: Engine, code: str) -> list[str]:
    """Recipients in the order in which they were written."""
    rows = deliveries.find(ledger, task=code, limit=1000)
    return [row.recipient for row in sorted(rows, key=lambda row: row.id)]


def test_a_drain_goes_on_while_another_one_is_held_up(
    ledger: Engine, supervisor: Supervisor, topic: Topic, connect: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A partition whose messages are looked at for long keeps those of the others no longer than they take."""
    apply(ledger, "a")
    apply(ledger, "b")
    connection = connect(topic)
    slow = next(partition for partition in range(4) if Share(0, 2).holds(topic.name, partition))
    topic.send({"task": "a", "recipients": ["slow@example.com"]}, partition=slow)
    quick = next(partition for partition in range(4) if Share(1, 2).holds(topic.name, partition))
    topic.send(start("b", "quick@example.com"), partition=quick)
    there, on = threading.Event(), threading.Event()
    take = admission.take

    def held_up(engine: Engine, orders: Any, **options: Any) -> Any:
        if orders[0].code == "a":
            there.set()
            assert on.wait(SECONDS)
        return take(engine, orders, **options)

    monkeypatch.setattr(admission, "take", held_up)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(drain, ledger, connection, until=FOREVER, share=Share(0, 2))
        try:
            assert there.wait(SECONDS)
            assert drain(ledger, connection, until=FOREVER, share=Share(1, 2)).deliveries == 1
            assert recipients(ledger) == ["quick@example.com"]
        finally:
            on.set()
        assert first.result(SECONDS).deliveries == 1


# --- runs ---------------------------------------------------------------------------------------------


def test_drains_that_make_runs_at_once_make_each_about_once(
    ledger: Engine, supervisor: Supervisor, topic: Topic, connect: Callable[..., Any]
) -> None:
    """Each begins with those of its own push tasks, and leaves out what the other has made meanwhile."""
    codes = [f"t{number}" for number in range(12)]
    for code in codes:
        apply(ledger, code)
    # A process took these, and died.
    admission.take(ledger, orders_of(*(start(code, "a@example.com") for code in codes)))
    connection = connect(topic)
    mine = [code for code in codes if Share(0, 2).begins_with(code)]
    assert 0 < len(mine) < len(codes)
    there, on = threading.Event(), threading.Event()

    def hold_up(asked: TriggerDagRun) -> None:
        if threading.current_thread() is not threading.main_thread():
            there.set()
            assert on.wait(SECONDS)

    supervisor.before_each = hold_up
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(drain, ledger, connection, until=FOREVER, share=Share(0, 2))
        try:
            assert there.wait(SECONDS)
            drain(ledger, connection, until=FOREVER, share=Share(1, 2))
        finally:
            on.set()
        other.result(SECONDS)
    # That one alone which the other was about to make when this one came to it.
    assert len(supervisor.asked) == len(codes) + 1
    assert len(set(supervisor.asked)) == len(codes)


def orders_of(*values: Any) -> list[Any]:
    from push_provider.kafka import messages

    return [
        order
        for offset, value in enumerate(values)
        for order in messages.read("before", 0, offset, json.dumps(value).encode(), timestamp=1)
    ]


# --- dead letters -------------------------------------------------------------------------------------


def test_drains_that_forward_at_once_forward_each_once(
    ledger: Engine,
    supervisor: Supervisor,
    topic: Topic,
    broker: Any,
    connect: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    dead = Topic(broker)
    monkeypatch.setenv("AIRFLOW__PUSH__DEAD_LETTER_TOPIC", dead.name)
    monkeypatch.setattr("push_provider.kafka.dead_letters._CHUNK", 30)
    caplog.set_level(logging.WARNING)
    connection = connect(topic)
    for partition in range(4):
        topic.send(*[b"{%d" % number for number in range(25)], partition=partition)
    together = threading.Barrier(4)
    attempt = producer.attempt
    sent: list[Outgoing] = []

    def note(to: Any, letters: list[Outgoing]) -> list[Place | str | Away]:
        sent.extend(letters)
        return attempt(to, letters)

    monkeypatch.setattr(producer, "attempt", note)

    def one(number: int) -> Drained:
        together.wait(SECONDS)
        return drain(ledger, connection, until=FOREVER, share=Share(number, 4))

    with ThreadPoolExecutor(4) as pool:
        assert sum(one.rejected for one in pool.map(one, range(4))) == 100
    ids = [dict(letter.headers)["push-rejected-id"] for letter in sent]
    assert len(ids) == len(set(ids)) == 100
    assert len(dead.values(100)) == 100
