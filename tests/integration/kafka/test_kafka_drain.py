"""Draining real brokers into a real ledger: every message once, the bad ones listed, the broker's moods waited for."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import ErrorResponse, GetConnection, OKResponse, TriggerDagRun
from confluent_kafka import Consumer, Producer, TopicPartition
from kafka_broker import Topic
from sqlalchemy import text as sql

from push_provider import ending
from push_provider.channels.reading import parse
from push_provider.exceptions import BrokerUnavailable, ConfigurationError, DagNotReady
from push_provider.intake.task_runs import TaskRuns
from push_provider.kafka import admission, messages, producer
from push_provider.kafka.connection import Topics, consumer_config
from push_provider.kafka.dead_letters import DeadLetters
from push_provider.kafka.drain import Drained, drain
from push_provider.kafka.producer import Away, Outgoing, Place
from push_provider.kafka.reader import Reader, Record
from push_provider.ledger import definitions, deliveries, executions, planning, rejected, tasks

if TYPE_CHECKING:
    from sqlalchemy import Engine

NOW = datetime(2026, 7, 1, tzinfo=UTC)
FOREVER = 10.0**9


class Supervisor:
    """Airflow's side of a task: makes DAG runs, and remembers which."""

    def __init__(self) -> None:
        self.runs: dict[str, dict[str, Any]] = {}
        self.refuse: Exception | None = None

    def send(self, asked: TriggerDagRun | GetConnection) -> OKResponse | ErrorResponse:
        if isinstance(asked, GetConnection):
            return ErrorResponse(error=ErrorType.CONNECTION_NOT_FOUND)
        if self.refuse:
            raise self.refuse
        assert isinstance(asked, TriggerDagRun)
        assert asked.logical_date is None
        if asked.run_id in self.runs:
            return ErrorResponse(error=ErrorType.DAGRUN_ALREADY_EXISTS)
        self.runs[asked.run_id] = {"dag_id": asked.dag_id, "conf": asked.conf}
        return OKResponse(ok=True)


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> Supervisor:
    supervisor = Supervisor()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
    return supervisor


def apply(ledger: Engine, code: str = "t", **fields: Any) -> None:
    task = {"code": code, "name": "T", "channel": "email", "subject": "Hello", "content": "x",
            "schedule": {"kind": "manual"}, "execution": {"type": "loop"}, **fields}  # fmt: skip
    definitions.apply(ledger, parse(task), now=NOW, default_timezone="UTC")


def start(*to: str, code: str = "t", **fields: Any) -> dict[str, Any]:
    return {"task": code, "recipients": list(to), **fields}


def recipients(ledger: Engine) -> list[str]:
    return sorted(row.recipient for row in deliveries.find(ledger, limit=100_000))


def run(ledger: Engine, connection: Any) -> Drained:
    return drain(ledger, connection, until=FOREVER)


def read_all(connection: Any, topics: str) -> list[Record]:
    """What a reader reads until there is no more, without a commit."""
    with Reader(connection, Topics(topics)) as reader:
        reader.open()
        records: list[Record] = []
        while got := reader.read(1000, 10**8, wait=0):
            records += got
        return records


# --- draining -----------------------------------------------------------------------------------------


def test_every_message_of_every_partition_becomes_a_delivery(
    ledger: Engine, supervisor: Supervisor, topic: Any, connect: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__PUSH__KAFKA_BATCH_SIZE", "100")
    for code in ("a", "b"):
        apply(ledger, code)
    topic.send(*(start(f"p{n}@example.com", code="ab"[n % 2]) for n in range(1000)))
    connection = connect(topic)
    drained = run(ledger, connection)
    assert (drained.messages, drained.deliveries, drained.repeated, drained.rejected) == (1000, 1000, 0, 0)
    assert recipients(ledger) == sorted(f"p{n}@example.com" for n in range(1000))
    assert {run["dag_id"] for run in supervisor.runs.values()} == {"push__a", "push__b"}
    for row in executions.find(ledger):
        assert supervisor.runs[row.run_id or ""]["conf"] == {"execution": row.id}
    # All is committed.
    assert run(ledger, connection).messages == 0


def test_a_long_wait_for_more_ends_when_the_scheduler_does(
    ledger: Engine, supervisor: Supervisor, topic: Any, connect: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ending, "_wanted", None)
    ending.prepare()
    apply(ledger)
    topic.send(start("before@example.com"))
    connection = connect(topic)
    drained = linger(ledger, connection, monkeypatch)
    await_messages(ledger, 1)
    time.sleep(0.5)
    assert drained.empty()  # it waits for more
    topic.send(start("after@example.com"))
    await_messages(ledger, 2)
    ending.want()
    assert drained.get(timeout=30).messages == 2
    assert run(ledger, connection).messages == 0  # what it had taken is committed


def test_who_lingers_sees_a_topic_that_comes_later(
    ledger: Engine,
    supervisor: Supervisor,
    broker: Any,
    connect: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("push_provider.kafka.drain._LOOK_SECONDS", 0.1)
    apply(ledger)
    topic, later = Topic(broker), f"later-{time.monotonic_ns()}"
    connection = connect([later], broker.address)
    # Nothing is there to linger on: the trigger, which costs no worker, waits for the first message.
    assert linger(ledger, connection, monkeypatch).get(timeout=30).messages == 0
    connection = connect([topic.name, later], broker.address)
    drained = linger(ledger, connection, monkeypatch)
    time.sleep(0.5)
    assert drained.empty()
    broker.create_topic(later, 1)
    assert drained.get(timeout=30).messages == 0
    producer.send(connection, [Outgoing(later, json.dumps(start("later@example.com")).encode())])
    drained = linger(ledger, connection, monkeypatch)
    await_messages(ledger, 1)
    assert recipients(ledger) == ["later@example.com"]
    monkeypatch.setattr(ending, "wanted", lambda: True)
    assert drained.get(timeout=30).messages == 1


def linger(ledger: Engine, connection: Any, monkeypatch: pytest.MonkeyPatch) -> SimpleQueue[Drained]:
    """Drain beside the test, and wait for an hour when all is read; what was done comes by the queue."""
    monkeypatch.setenv("AIRFLOW__PUSH__KAFKA_LINGER", "3600")
    drained = SimpleQueue[Drained]()
    threading.Thread(target=lambda: drained.put(run(ledger, connection)), daemon=True).start()
    return drained


def await_messages(ledger: Engine, count: int) -> None:
    deadline = time.monotonic() + 30
    while len(recipients(ledger)) < count:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def lag(topic: Topic, connection: Any) -> int:
    """Of the connection's group, over all partitions, as Kafka's tools count it; what has no offset counts whole."""
    consumer = Consumer(consumer_config(connection, lambda _: None))
    partitions = consumer.list_topics(topic.name, timeout=10).topics[topic.name].partitions
    behind = 0
    for place in consumer.committed([TopicPartition(topic.name, number) for number in partitions], timeout=10):
        low, high = consumer.get_watermark_offsets(place, timeout=10)
        behind += high - (place.offset if place.offset >= 0 else low)
    consumer.close()
    return behind


def test_nothing_lags_behind_transactions(
    ledger: Engine, supervisor: Supervisor, topic: Topic, connect: Callable[..., Any]
) -> None:
    apply(ledger)
    connection = connect(topic)
    producer = Producer({"bootstrap.servers": topic.broker.address, "transactional.id": topic.name, "log_level": 0})
    producer.init_transactions(60)
    # What was taken back leaves markers, too: once behind messages, and once alone.
    for number, commit in enumerate((True, True, False, False)):
        producer.begin_transaction()
        producer.produce(topic.name, json.dumps(start(f"p{number}@example.com")).encode(), partition=number % 3)
        (producer.commit_transaction if commit else producer.abort_transaction)(60)
        if number in (1, 3):
            drained = run(ledger, connection)
            assert (drained.messages, drained.repeated) == (2 if number == 1 else 0, 0)
            assert lag(topic, connection) == 0
    assert recipients(ledger) == ["p0@example.com", "p1@example.com"]


def test_a_message_that_nobody_thought_of_stops_nothing(
    ledger: Engine, supervisor: Supervisor, topic: Topic, connect: Callable[..., Any]
) -> None:
    apply(ledger)
    with ledger.begin() as database:
        database.execute(sql("ALTER TABLE push_delivery ADD CHECK (recipient <> 'odd@example.com')"))
    connection = connect(topic)
    long = {"define": {"code": "long", "name": "L", "channel": "email", "subject": "s", "template": "x" * 300,
            "recipients": ["a@example.com"]}}  # fmt: skip
    topic.send(*(start(f"p{n}@example.com") for n in range(20)), start("odd@example.com"), long)
    drained = run(ledger, connection)
    assert (drained.messages, drained.deliveries, drained.rejected) == (22, 20, 2)
    reasons = "\n".join(row.reason for row in rejected.find(ledger))
    assert "CheckViolation" in reasons
    assert "define.template: " in reasons
    assert lag(topic, connection) == 0
    assert run(ledger, connection).messages == 0


def test_what_is_wrong_with_a_message_is_logged_in_short_and_steers_no_terminal(
    ledger: Engine, supervisor: Supervisor, topic: Topic, connect: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    connection = connect(topic)
    topic.send({"task": "\x1b[31m" * 1000, **{f"\x1b[2Jfield{number}": 1 for number in range(1000)}})
    assert run(ledger, connection).rejected == 1
    (line,) = [record.getMessage() for record in caplog.records if "Rejected" in record.message]
    assert len(line) < 4000
    assert "\x1b" not in line
    assert r"\x1b[31m" in line


def test_a_run_that_nobody_thought_of_stops_nothing(
    ledger: Engine, supervisor: Supervisor, topic: Topic, connect: Callable[..., Any]
) -> None:
    apply(ledger)
    connection = connect(topic)
    supervisor.refuse = ZeroDivisionError("unheard of")
    topic.send(start("a@example.com"))
    assert run(ledger, connection).waiting == 1
    assert lag(topic, connection) == 0
    supervisor.refuse = None
    assert run(ledger, connection).waiting == 0
    assert len(supervisor.runs) == 1


def test_what_was_taken_and_not_committed_is_not_taken_again(
    ledger: Engine, supervisor: Supervisor, topic: Any, connect: Callable[..., Any]
) -> None:
    apply(ledger)
    topic.send(*(start(f"p{n}@example.com") for n in range(50)), b"{")
    connection = connect(topic)
    records = read_all(connection, topic.name)
    orders = [
        order
        for record in records
        for order in messages.read(
            record.topic, record.partition, record.offset, record.value, timestamp=record.timestamp
        )
    ]
    admission.take(ledger, orders)  # and here the process dies
    drained = run(ledger, connection)
    assert (drained.messages, drained.deliveries, drained.repeated) == (51, 0, 51)
    assert len(recipients(ledger)) == 50
    # The execution that had no run yet has one now.
    assert len(supervisor.runs) == 1


def test_a_run_that_was_made_and_not_noted_is_not_made_again(
    ledger: Engine, supervisor: Supervisor, topic: Any, connect: Callable[..., Any]
) -> None:
    apply(ledger)
    connection = connect(topic)
    topic.send(start("a@example.com"))
    supervisor.runs["kafka__1"] = {}
    assert run(ledger, connection).waiting == 0
    assert executions.find(ledger)[0].run_id == "kafka__1"


def test_an_execution_waits_while_its_dag_is_not_there(
    ledger: Engine, supervisor: Supervisor, topic: Any, connect: Callable[..., Any]
) -> None:
    apply(ledger)
    connection = connect(topic)
    topic.send(start("a@example.com"))
    detail = {
        "status_code": 404,
        "message": "Server returned error",
        "detail": {"detail": {"message": "Dag not found"}},
    }
    supervisor.refuse = AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail=detail))
    drained = run(ledger, connection)
    assert (drained.deliveries, drained.waiting) == (1, 1)
    with pytest.raises(DagNotReady, match=r"^Dag not found$"):
        TaskRuns().make("t", "kafka__1", 1, None)
    supervisor.refuse = None
    assert run(ledger, connection) == Drained(0, 0, 0, 0, 0, 0, 0)
    assert list(supervisor.runs) == ["kafka__1"]


def test_the_dag_of_an_injected_task_is_waited_for(
    ledger: Engine, supervisor: Supervisor, topic: Topic, connect: Callable[..., Any]
) -> None:
    connection = connect(topic)
    task = {"code": "new", "name": "N", "channel": "email", "subject": "Hello", "content": "x",
            "schedule": {"kind": "manual"}, "execution": {"type": "loop"}}  # fmt: skip
    topic.send([{"define": task}, start("a@example.com", code="new")])
    supervisor.refuse = AirflowRuntimeError(
        ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"message": "no DAG"})
    )
    parsed = threading.Timer(1, lambda: setattr(supervisor, "refuse", None))
    parsed.start()
    drained = run(ledger, connection)
    assert (drained.defined, drained.deliveries, drained.waiting) == (1, 1, 0)
    assert [run["dag_id"] for run in supervisor.runs.values()] == ["push__new"]
    parsed.join()


@pytest.mark.parametrize(
    "fields",
    [
        {"channel": "email", "subject": "Hello", "content": "x", "recipients": ["a@example.com"]},
        {"channel": "sms", "recipients": ["13800138000"]},
        {"channel": "sms", "content": '{"name": "{{ name }}"}', "recipients": ["13800138000"]},
    ],
)
def test_tasks_of_every_channel_are_injected(ledger: Engine, fields: dict[str, Any]) -> None:
    task = {"code": "new", "name": "N", "schedule": {"kind": "manual"}, **fields}
    taken = admission.take(ledger, messages.read("t", 0, 0, json.dumps({"define": task}).encode(), timestamp=1))
    assert [refused.reason for refused in taken.rejected] == []
    assert tasks.get(ledger, "new").channel == fields["channel"]


def waiting_for_their_topic(ledger: Engine) -> int:
    """How many rejected messages the dead-letter topic has not got yet."""
    with ledger.connect() as connection:
        query = "SELECT count(*) FROM push_rejected WHERE forward_to IS NOT NULL AND forwarded_at IS NULL"
        return int(connection.execute(sql(query)).scalar_one())


def test_good_messages_arrive_between_bad_ones(
    ledger: Engine,
    supervisor: Supervisor,
    topic: Any,
    connect: Callable[..., Any],
    broker: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dead = type(topic)(broker)
    monkeypatch.setenv("AIRFLOW__PUSH__DEAD_LETTER_TOPIC", dead.name)
    apply(ledger)
    apply(ledger, "done", execution={"type": "once"}, recipients=["x@example.com"])
    planning.plan(ledger, "done", source="manual", freeze=lambda _: {})
    bad = [
        (b"{", "not JSON"),
        (None, "tombstone"),
        (b"\xff", "not UTF-8"),
        ({"task": "nobody"}, "There is no push task 'nobody'"),
        ({"task": "done"}, "all 1 of its executions have begun"),
        ({"task": "t", "recipients": ["?"]}, "recipients[0].to"),
        ({"define": {"code": "d"}}, "define.name: is required"),
        ({"define": {"code": "d", "name": "D", "channel": "email", "subject": "s", "content": "{{ x",
                     "recipients": ["d@example.com"]}}, "define.content"),
        ({"define": {"code": "d", "name": "D", "channel": "sms", "content": '{"a": "{{ x"}',
                     "recipients": ["13800138000"]}}, "define.content: content.a, line 1"),
        ({"define": {"code": "d", "name": "D", "channel": "email", "subject": "s", "content": "x",
                     "attachments": ["none.txt"], "recipients": ["d@example.com"]}}, "define.attachments"),
        ([{"task": "t", "recipients": ["in-array@example.com"]}, {"task": "nobody"}], "There is no push task 'nobody'"),
        # The mock hands out no message of more than a fetch.
        *([(b"x" * (10 * 1024 * 1024), "10485760 bytes")] if broker.name == "apache" else []),
    ]  # fmt: skip
    for number, (value, _) in enumerate(bad):
        topic.send(start(f"good{number}@example.com"), value, partition=0)
    topic.send(start("last@example.com"), partition=0)
    connection = connect(topic)
    drained = run(ledger, connection)
    assert (drained.messages, drained.rejected) == (2 * len(bad) + 1, len(bad))
    good = [f"good{number}@example.com" for number in range(len(bad))]
    assert recipients(ledger) == sorted([*good, "in-array@example.com", "last@example.com", "x@example.com"])
    rows = sorted(rejected.find(ledger), key=lambda row: row.offset)
    assert len(rows) == len(bad)
    for row, (_, says) in zip(rows, bad, strict=True):
        assert says in row.reason
    letters = {dict(letter.headers())["push-offset"]: letter for letter in dead.values(len(bad))}
    assert len(letters) == len(bad)
    for row, (value, says) in zip(rows, bad, strict=True):
        letter = letters[str(row.offset).encode()]
        headers = dict(letter.headers())
        assert says in headers["push-reason"].decode()
        assert headers["push-topic"].decode() == topic.name
        if isinstance(value, bytes) and len(value) < 100:
            assert letter.value() == value
    assert waiting_for_their_topic(ledger) == 0


def test_the_dead_letter_topic_is_not_read_although_an_expression_fits_it(
    ledger: Engine, supervisor: Supervisor, broker: Any, connect: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    topic, dead = Topic(broker), Topic(broker)
    monkeypatch.setenv("AIRFLOW__PUSH__DEAD_LETTER_TOPIC", dead.name)
    connection = connect([f"^({topic.name}|{dead.name})$"], broker.address)
    topic.send(b"{")
    for rejected_now in (1, 0, 0):
        assert run(ledger, connection).rejected == rejected_now
    assert len(rejected.find(ledger)) == 1
    assert dead.count() == 1
    assert [letter.value() for letter in dead.values(1)] == [b"{"]


def test_what_is_too_large_for_the_dead_letter_topic_does_not_hold_the_others_up(
    ledger: Engine, supervisor: Supervisor, apache: Any, connect: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

    topic, dead = Topic(apache, 1), Topic(apache, 1)
    admin = apache.admin()
    small = ConfigEntry("max.message.bytes", "100000", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, dead.name, incremental_configs=[small])
    for made in admin.incremental_alter_configs([resource]).values():
        made.result(10)
    monkeypatch.setenv("AIRFLOW__PUSH__DEAD_LETTER_TOPIC", dead.name)
    topic.send(b"x" * 6_000_000, b"{")
    run(ledger, connect(topic))
    large, bad = sorted(dead.values(2), key=lambda letter: dict(letter.headers())["push-offset"])
    assert large.value() is None
    assert dict(large.headers())["push-value"] == b"left out; the ledger has it"
    assert bad.value() == b"{"


def test_the_dead_letter_topic_gets_later_what_it_could_not_get_now(
    ledger: Engine,
    supervisor: Supervisor,
    topic: Any,
    connect: Callable[..., Any],
    broker: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dead = type(topic)(broker)
    monkeypatch.setenv("AIRFLOW__PUSH__DEAD_LETTER_TOPIC", dead.name)
    admission.take(ledger, messages.read("t", 0, 0, b"{", timestamp=1))
    assert waiting_for_their_topic(ledger) == 1
    run(ledger, connect(topic))
    assert [letter.value() for letter in dead.values(1)] == [b"{"]


def test_the_dead_letter_topic_gets_what_it_could_not_get_for_want_of_a_right(
    ledger: Engine, supervisor: Supervisor, apache: Any, connect: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    topic, dead = Topic(apache, 1), Topic(apache, 1)
    monkeypatch.setenv("AIRFLOW__PUSH__DEAD_LETTER_TOPIC", dead.name)
    admission.take(ledger, messages.read("t", 0, 0, b"{", timestamp=1))
    connection = connect(topic, apache.sasl_address, **LOGIN)
    with denied(apache, connection, dead):
        run(ledger, connection)
        assert waiting_for_their_topic(ledger) == 1
        with pytest.raises(BrokerUnavailable, match=r"(?i)authorization failed"):
            producer.send(connection, [Outgoing(dead.name, b"x")])
    run(ledger, connection)
    assert waiting_for_their_topic(ledger) == 0
    assert [letter.value() for letter in dead.values(1)] == [b"{"]


def test_a_topic_that_takes_nothing_keeps_no_letter_from_another(
    ledger: Engine, supervisor: Supervisor, apache: Any, connect: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever comes first, and more than a chunk of them: of the other each letter arrives, and arrives once."""
    monkeypatch.setattr("push_provider.kafka.dead_letters._CHUNK", 4)
    topic = Topic(apache, 1)
    before, closed, behind = sorted((Topic(apache, 1) for _ in range(3)), key=lambda one: one.name)
    connection = connect(topic, apache.sasl_address, **LOGIN)
    for number, dead in enumerate([before, closed, behind] * 5):
        monkeypatch.setenv("AIRFLOW__PUSH__DEAD_LETTER_TOPIC", dead.name)
        admission.take(ledger, messages.read("t", 0, number, b"{%d" % number, timestamp=1))
    with denied(apache, connection, closed):
        for _ in range(2):
            run(ledger, connection)
            assert waiting_for_their_topic(ledger) == 5
    run(ledger, connection)
    assert waiting_for_their_topic(ledger) == 0
    for first, dead in enumerate((before, closed, behind)):
        assert dead.count() == 5
        assert [letter.value() for letter in dead.values(5)] == [b"{%d" % n for n in range(first, 15, 3)]


def test_a_dead_letter_topic_that_is_not_there_is_named_and_waited_for(
    ledger: Engine,
    supervisor: Supervisor,
    apache: Any,
    connect: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(producer, "_CREATION_SECONDS", 0)
    apply(ledger)
    topic, later = Topic(apache, 1), f"dead-{time.monotonic_ns()}"
    connection = connect(topic)
    for number, name in enumerate((later, "no topic's name")):
        monkeypatch.setenv("AIRFLOW__PUSH__DEAD_LETTER_TOPIC", name)
        admission.take(ledger, messages.read("t", 0, number, b"{%d" % number, timestamp=1))
    topic.send(start("a@example.com"))
    assert run(ledger, connection).deliveries == 1
    assert waiting_for_their_topic(ledger) == 2
    for name in (later, "no topic's name"):
        said = f"Rejected messages are forwarded to {name} later: Kafka has no topic {name!r}"
        assert len([line for line in caplog.messages if line.startswith(said)]) == 1
        with pytest.raises(BrokerUnavailable, match="has no topic"):
            producer.send(connection, [Outgoing(name, b"x")])
    apache.create_topic(later, 1)
    run(ledger, connection)
    assert waiting_for_their_topic(ledger) == 1


def test_what_librdkafka_says_of_a_topic_that_is_gone_is_no_answer(
    apache: Any, connect: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gives a message up, with an error of its own, once it knows; that is not because of the message."""
    monkeypatch.setattr(producer, "_is_missing", lambda *_: False)
    connection = connect(Topic(apache, 1), **{"topic.metadata.propagation.max.ms": 100})
    (answer,) = producer.attempt(connection, [Outgoing(f"dead-{time.monotonic_ns()}", b"x")])
    assert isinstance(answer, Away)
    assert "has no topic" in answer.why


def test_a_topic_that_a_broker_makes_when_it_is_wanted_is_made(mock: Any, connect: Callable[..., Any]) -> None:
    (place,) = producer.send(connect(["t"], mock.address), [Outgoing(f"dead-{time.monotonic_ns()}", b"x")])
    assert isinstance(place, Place)


def test_messages_are_taken_while_letters_are_forwarded(
    ledger: Engine, supervisor: Supervisor, topic: Topic, broker: Any, connect: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    dead = Topic(broker)
    monkeypatch.setenv("AIRFLOW__PUSH__DEAD_LETTER_TOPIC", dead.name)
    apply(ledger)
    connection = connect(topic)
    attempt, asked, go_on = producer.attempt, threading.Event(), threading.Event()

    def held_up(*arguments: Any) -> Any:
        asked.set()
        assert go_on.wait(60)
        return attempt(*arguments)

    monkeypatch.setattr(producer, "attempt", held_up)
    topic.send(b"{", start("before@example.com"))
    drained = SimpleQueue[Drained]()
    draining = threading.Thread(target=lambda: drained.put(run(ledger, connection)))
    draining.start()
    try:
        assert asked.wait(60)
        await_messages(ledger, 1)
        topic.send(b"[", start("meanwhile@example.com"))
        await_messages(ledger, 2)
        assert drained.empty()
    finally:
        go_on.set()
        draining.join(60)
    assert (drained.get(timeout=1).messages, waiting_for_their_topic(ledger)) == (4, 0)
    assert sorted(letter.value() for letter in dead.values(2)) == [b"[", b"{"]
    assert run(ledger, connection).messages == 0


def test_a_topic_that_took_nothing_is_left_alone_for_a_minute(
    ledger: Engine, apache: Any, connect: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(producer, "_CREATION_SECONDS", 0)
    attempt, tried = producer.attempt, list[str]()

    def noted(to: Any, letters: Any) -> Any:
        tried.append(letters[0].topic)
        return attempt(to, letters)

    monkeypatch.setattr(producer, "attempt", noted)
    dead, gone = Topic(apache, 1), f"dead-{time.monotonic_ns()}"
    numbers = itertools.count()

    def reject(name: str) -> None:
        monkeypatch.setenv("AIRFLOW__PUSH__DEAD_LETTER_TOPIC", name)
        admission.take(ledger, messages.read("t", 0, next(numbers), b"{", timestamp=1))

    now = 1000.0
    with DeadLetters(ledger, connect(dead), lambda: now) as letters:
        for seconds, expected in ((0, {gone, dead.name}), (59, {dead.name}), (1, {gone, dead.name})):
            now += seconds
            reject(gone)
            reject(dead.name)
            letters.forward()
            assert set(tried) == expected
            tried.clear()
    assert (waiting_for_their_topic(ledger), dead.count()) == (3, 3)


LOGIN = {
    "security.protocol": "SASL_PLAINTEXT",
    "sasl.mechanism": "PLAIN",
    "sasl.username": "push",
    "sasl.password": "sesame",
}


@contextmanager
def denied(apache: Any, connection: Any, topic: Topic) -> Iterator[None]:
    """Whoever has logged in may do nothing with a topic meanwhile."""
    from confluent_kafka.admin import (
        AclBinding,
        AclBindingFilter,
        AclOperation,
        AclPermissionType,
        ResourcePatternType,
        ResourceType,
    )

    probe, admin = Topic(apache, 1), apache.admin()
    rules = [(ResourceType.TOPIC, name, ResourcePatternType.LITERAL, "User:push", "*", AclOperation.ALL,
              AclPermissionType.DENY) for name in (topic.name, probe.name)]  # fmt: skip

    def await_right(has: bool) -> None:
        """Until the broker, which is told of rights by its controller, has them as they are now."""
        deadline = time.monotonic() + 30
        while isinstance(producer.attempt(connection, [Outgoing(probe.name, b"x")])[0], Place) != has:
            assert time.monotonic() < deadline

    for made in admin.create_acls([AclBinding(*rule) for rule in rules]).values():
        made.result(10)
    await_right(has=False)
    yield
    for gone in admin.delete_acls([AclBindingFilter(*rule) for rule in rules]).values():
        assert gone.result(10)
    await_right(has=True)


# --- where reading begins -----------------------------------------------------------------------------


def test_a_new_group_reads_from_the_beginning(topic: Any, connect: Callable[..., Any]) -> None:
    topic.send({"n": 1}, {"n": 2})
    assert len(read_all(connect(topic), topic.name)) == 2


def test_with_latest_a_new_group_reads_what_comes_after_it_first_looked(
    ledger: Engine, supervisor: Supervisor, topic: Any, connect: Callable[..., Any]
) -> None:
    apply(ledger)
    topic.send(start("before@example.com"))
    connection = connect(topic, **{"auto.offset.reset": "latest"})
    assert run(ledger, connection).messages == 0
    topic.send(start("after@example.com"))  # while nobody reads
    assert run(ledger, connection).messages == 1
    assert recipients(ledger) == ["after@example.com"]


def test_with_error_it_says_what_to_do(topic: Any, connect: Callable[..., Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"auto\.offset\.reset is 'error'; set it to earliest or latest"):
        read_all(connect(topic, **{"auto.offset.reset": "error"}), topic.name)


def test_a_partition_that_was_added_is_read_from_its_beginning(
    ledger: Engine, supervisor: Supervisor, apache: Any, connect: Callable[..., Any]
) -> None:
    from confluent_kafka.admin import NewPartitions

    apply(ledger)
    topic = Topic(apache, 1)
    connection = connect(topic, **{"auto.offset.reset": "latest"})
    run(ledger, connection)
    admin = apache.admin()
    for made in admin.create_partitions([NewPartitions(topic.name, 3)]).values():
        made.result(10)
    topic.reconnect()  # its producer would learn of them only in some minutes
    topic.send(start("new@example.com"), partition=2)
    assert run(ledger, connection).deliveries == 1


def test_a_topic_that_was_made_anew_is_read_from_its_beginning(
    ledger: Engine, supervisor: Supervisor, apache: Any, connect: Callable[..., Any]
) -> None:
    apply(ledger)
    topic = Topic(apache, 1)
    connection = connect(topic)
    topic.send(start("a@example.com"), start("b@example.com"))
    assert run(ledger, connection).deliveries == 2
    admin = apache.admin()
    for gone in admin.delete_topics([topic.name]).values():
        gone.result(60)
    deadline = time.monotonic() + 60
    while topic.name in apache.admin().list_topics(timeout=5).topics:
        assert time.monotonic() < deadline
    apache.create_topic(topic.name, 1)
    again = Topic(apache, 1)
    again.name = topic.name
    again.send(start("c@example.com"))
    assert run(ledger, connection).deliveries == 1
    assert recipients(ledger) == ["a@example.com", "b@example.com", "c@example.com"]


def test_several_topics_and_expressions(topic: Any, broker: Any, connect: Callable[..., Any]) -> None:
    other = type(topic)(broker)
    topic.send({"n": 1})
    other.send({"n": 2})
    both = connect([topic.name, other.name], broker.address)
    assert {record.topic for record in read_all(both, f"{topic.name}, {other.name}")} == {topic.name, other.name}
    assert {record.topic for record in read_all(both, f"^{topic.name}$")} == {topic.name}
    assert read_all(both, "not-there") == []


def test_topics_as_the_option_has_them() -> None:
    known = dict.fromkeys(["__consumer_offsets", "push.a", "push.b", "other"])
    assert Topics("push.b,push.a push.b").among(known) == ["push.a", "push.b"]
    assert Topics("^push[.],other").among(known) == ["other", "push.a", "push.b"]
    assert Topics("^.*").among(known) == ["other", "push.a", "push.b"]
    assert Topics("^.*", "push.b").among(known) == ["other", "push.a"]
    assert Topics("^push[.]a$,other", "push.b").among(known) == ["other", "push.a"]
    with pytest.raises(ConfigurationError, match=r"names 'push\.b', the dead_letter_topic"):
        Topics("push.a,push.b", "push.b")
    for text in ("", " , "):
        with pytest.raises(ConfigurationError, match="names no topic"):
            Topics(text)
    with pytest.raises(ConfigurationError, match="no regular expression"):
        Topics("^(")


# --- the connection -----------------------------------------------------------------------------------


def test_the_connection_s_own_settings_are_honoured(connect: Callable[..., Any]) -> None:
    connection = connect(
        ["t"], "b1:9093,b2:9093",
        **{"group.id": "mine", "security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512", "sasl.username": "u",
           "sasl.password": "sesame", "ssl.ca.location": "/ca.pem", "auto.offset.reset": "latest",
           "enable.auto.commit": True, "fetch.wait.max.ms": 7},
    )  # fmt: skip
    config = consumer_config(connection, lambda _: None)
    assert config["group.id"] == "mine"
    assert config["security.protocol"] == "SASL_SSL"
    assert config["sasl.password"] == "sesame"
    assert config["fetch.wait.max.ms"] == 7
    assert config["auto.offset.reset"] == "latest"
    # Except where they would lose messages.
    assert config["enable.auto.commit"] is False


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"bootstrap.servers": ""}, "bootstrap.servers"),
        ({"no.such.setting": "x"}, "no.such.setting"),
        ({"security.protocol": "CARRIER_PIGEON"}, "security.protocol"),
        ({"error_cb": "os.system"}, "callback"),
    ],
)
def test_a_connection_that_cannot_work_is_named(
    connect: Callable[..., Any], settings: dict[str, Any], says: str
) -> None:
    connection = connect(["t"], **{"bootstrap.servers": "127.0.0.1:1", **settings})
    with pytest.raises(ConfigurationError, match=says) as caught:
        Reader(connection, Topics("t"))
    assert "'kafka_default'" in str(caught.value)


def test_a_broker_that_is_away_is_said_to_be(connect: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from push_provider.kafka import reader as module

    monkeypatch.setattr(module, "_REQUEST_SECONDS", 1.0)
    connection = connect(["t"], "127.0.0.1:1")
    with (
        Reader(connection, Topics("t")) as reader,
        pytest.raises(BrokerUnavailable, match="cannot be used just now") as it,
    ):
        reader.open()
    assert "refused" in str(it.value).lower()


def test_a_login_is_used_and_a_wrong_one_is_said_to_be(
    ledger: Engine, supervisor: Supervisor, apache: Any, connect: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from push_provider.kafka import reader as module

    apply(ledger)
    topic = Topic(apache)
    topic.send(start("a@example.com"))
    login = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.username": "push"}
    monkeypatch.setattr(module, "_REQUEST_SECONDS", 3.0)
    with pytest.raises(BrokerUnavailable, match=r"(?i)authentication") as caught:
        run(ledger, connect(topic, apache.sasl_address, **login, **{"sasl.password": "wrong-sesame"}))
    assert "sesame" not in str(caught.value)
    monkeypatch.undo()
    monkeypatch.setenv("AIRFLOW__PUSH__KAFKA_LINGER", "0")
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
    monkeypatch.setenv("AIRFLOW__PUSH__KAFKA_TOPICS", topic.name)
    assert run(ledger, connect(topic, apache.sasl_address, **login, **{"sasl.password": "sesame"})).deliveries == 1


# --- sending ------------------------------------------------------------------------------------------


def test_what_is_produced_says_where_it_stands(topic: Any, connect: Callable[..., Any]) -> None:
    connection = connect(topic)
    places = producer.send(connection, [Outgoing(topic.name, b"one", b"k"), Outgoing(topic.name, b"two", b"k")])
    first, second = places
    assert isinstance(first, Place)
    assert isinstance(second, Place)
    assert (first.topic, second.offset) == (topic.name, first.offset + 1)
    assert sorted(message.value() for message in topic.values(2)) == [b"one", b"two"]


def test_producing_without_a_broker_says_so(connect: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(producer, "_DELIVERY_SECONDS", 1)
    with pytest.raises(BrokerUnavailable, match="cannot be reached"):
        producer.send(connect(["t"], "127.0.0.1:1"), [Outgoing("t", b"x")])


def test_only_executions_that_messages_began_wait_for_this(ledger: Engine) -> None:
    apply(ledger, recipients=["a@example.com"])
    planning.plan(ledger, "t", source="cli", freeze=lambda _: {})
    assert executions.waiting(ledger, sources=["kafka"]) == []
