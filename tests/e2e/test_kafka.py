"""From a Kafka message to a mail, on the running platform; and what is killed meanwhile."""

from __future__ import annotations

import collections
import json
import random
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# With --import-mode=importlib the modules of other folders are not importable otherwise.
sys.path.insert(0, str(Path(__file__).parents[1] / "integration" / "kafka"))

from kafka_broker import ApacheKafka
from kafka_kills import Killer

TOPIC = "task.push.info"
LOOP = {"schedule": {"kind": "manual"}, "execution": {"type": "loop"}}


class Stream:
    """The topic that the platform reads, on Apache Kafka where there is one, else in the sandbox."""

    def __init__(self, platform: Any, address: str, apache: ApacheKafka | None) -> None:
        from confluent_kafka import Producer

        self.platform = platform
        self.apache = apache
        self._producer = Producer(
            {"bootstrap.servers": address, "log_level": 0, "enable.idempotence": True, "message.max.bytes": 16_000_000}
        )

    def send(self, *values: Any) -> None:
        """Send messages, bytes as they are and all else as JSON, and wait until the broker has them."""
        for value in values:
            raw = value if isinstance(value, bytes | None) else json.dumps(value).encode()
            self._producer.produce(TOPIC, raw)
            self._producer.poll(0)
        assert self._producer.flush(60) == 0

    def await_sent(self, like: str, count: int) -> None:
        """Wait until so many deliveries to such recipients are sent."""

        def sent() -> bool | None:
            query = "SELECT count(*) FROM push_delivery WHERE recipient LIKE %s AND state = 'sent'"
            ((found,),) = self.platform.ledger(query, like)
            return True if found >= count else None

        self.platform.eventually(sent, f"{count} mails to {like}")


@pytest.fixture(scope="module")
def stream(platform: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stream]:
    if ApacheKafka.why_not():
        yield Stream(platform, platform.kafka, None)
        return
    with ApacheKafka(tmp_path_factory.mktemp("kafka") / "node") as apache:
        connect(platform, apache.address)
        yield Stream(platform, apache.address, apache)
        connect(platform, platform.kafka)


def connect(platform: Any, address: str) -> None:
    """Let ``kafka_default`` lead somewhere else; who waits for messages notices that within half a minute."""
    body = {"connection_id": "kafka_default", "conn_type": "kafka", "extra": json.dumps({"bootstrap.servers": address})}
    status, answer = platform.call("/api/v2/connections/kafka_default", body, method="PATCH")
    assert status == 200, answer


def start(code: str, *to: str, **fields: Any) -> dict[str, Any]:
    return {"task": code, "recipients": list(to), **fields}


def task(code: str, **fields: Any) -> dict[str, Any]:
    common = {"code": code, "name": code, "subject": code, "content_type": "text", "content": "Hello {{ to }}"}
    return {**common, **fields}


def test_a_message_starts_an_execution(platform: Any, stream: Stream) -> None:
    platform.apply(task("by-message", **LOOP, subject="Order {{ order }}"))
    platform.await_dag("by-message")
    stream.send(start("by-message", "kafka@example.com", variables={"order": "K-1"}))
    assert platform.await_mail("kafka@example.com")["Subject"] == "Order K-1"
    (execution,) = platform.push("executions", "--task", "by-message")
    assert (execution["source"], execution["run_id"]) == ("kafka", f"kafka__{execution['execution']}")
    (run,) = platform.runs("by-message")
    assert (run["dag_run_id"], run["run_type"]) == (execution["run_id"], "operator_triggered")


def test_a_message_injects_a_task_and_the_next_one_starts_it(platform: Any, stream: Stream) -> None:
    define = {"channel": "email", **task("by-kafka", **LOOP)}
    stream.send([{"define": define}, start("by-kafka", "injected@example.com")])
    assert platform.await_mail("injected@example.com")["Subject"] == "by-kafka"


def test_a_task_that_is_due_now_comes_by_message(platform: Any, stream: Stream) -> None:
    stream.send({"define": {"channel": "email", **task("now-by-kafka", recipients=["now-kafka@example.com"])}})
    assert platform.await_mail("now-kafka@example.com")["Subject"] == "now-by-kafka"
    assert platform.await_runs("now-by-kafka", 1) == ["success"]


def test_the_last_execution_of_a_task_runs_though_its_dag_is_closed(platform: Any, stream: Stream) -> None:
    platform.apply(task("once-by-kafka", schedule={"kind": "manual"}))
    platform.await_dag("once-by-kafka")
    stream.send(start("once-by-kafka", "once-kafka@example.com"))
    platform.await_mail("once-kafka@example.com")
    stream.send(start("once-by-kafka", "once-more@example.com"))

    def rejected() -> Any:
        return platform.push("rejected", "--task", "once-by-kafka") or None

    (row,) = platform.eventually(rejected, "the second one to be rejected")
    assert "all 1 of its executions have begun" in row["reason"]
    assert platform.mails(to="once-more@example.com") == []


def test_bad_messages_between_good_ones(platform: Any, stream: Stream) -> None:
    platform.apply(task("between", **LOOP))
    platform.await_dag("between")
    bad: list[tuple[Any, str]] = [
        (b"{", "not JSON"),
        (None, "tombstone"),
        (b"\xff\xfe", "not UTF-8"),
        ({"task": "nobody-knows"}, "There is no push task 'nobody-knows'"),
        ({"task": "between", "recipients": ["nobody"]}, "'nobody' is not a mail address"),
        ({"task": "between", "recipient": ["a@example.com"]}, "did you mean 'recipients'?"),
        ({"define": {"code": "half"}}, "define.name: is required"),
    ]
    if stream.apache:  # the sandbox's keeps 5 MB
        bad.append((b"x" * 10_000_000, "10000000 bytes; at most"))
    before = {row["id"] for row in platform.push("rejected", "--limit", "1000")}
    for number, (value, _) in enumerate(bad):
        stream.send(start("between", f"between-{number}@example.com"), value)
    stream.await_sent("between-%", len(bad))

    def listed() -> Any:
        rows = [row for row in platform.push("rejected", "--limit", "1000") if row["id"] not in before]
        return rows if len(rows) == len(bad) else None

    rows = platform.eventually(listed, "the bad ones to be listed")
    for _, says in bad:
        assert [row for row in rows if says in row["reason"]], says
    assert [run["state"] for run in _runs(platform)][-1] == "running"

    (unknown,) = [row for row in rows if row["task"] == "nobody-knows"]
    result = platform.airflow("push", "replay", unknown["id"], "--output", "json")
    assert result.returncode == 1
    assert json.loads(result.stdout)[0]["action"] == "rejected"
    platform.apply(task("nobody-knows", recipients=["replayed@example.com"], **LOOP))
    platform.await_dag("nobody-knows")
    (row,) = platform.push("replay", unknown["id"])
    assert (row["action"], row["deliveries"]) == ("taken", "1")
    platform.await_mail("replayed@example.com")
    (row,) = platform.push("replay", unknown["id"])
    assert row["action"] == "taken before"
    assert platform.push("rejected", "--task", "nobody-knows") == []
    assert len(platform.push("rejected", "--task", "nobody-knows", "--all")) == 1


def _runs(platform: Any) -> list[dict[str, Any]]:
    runs: list[dict[str, Any]] = platform.call("/api/v2/dags/push_kafka/dagRuns?order_by=id")[1]["dag_runs"]
    return runs


@pytest.fixture(scope="package")
def killers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Killer]]:
    """Keeps the triggerer that was started in place of the platform's, until no test needs one."""
    killers: list[Killer] = []
    yield killers
    for killer in killers:
        killer.close()


def test_everybody_gets_one_mail_whatever_is_killed(
    platform: Any, stream: Stream, killers: list[Killer], tmp_path: Path
) -> None:
    """Every part once, at moments of chance, while messages come; ``./scripts/bench kafka --kills`` kills 20 times."""
    count, tasks = 2000, 5
    for number in range(tasks):
        platform.apply(task(f"kill-{number}", **LOOP))
        platform.await_dag(f"kill-{number}")
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    sending = threading.Event()

    def produce() -> None:
        for at in range(0, count, 50):
            stream.send(*(start(f"kill-{n % tasks}", f"kill-{n}@example.com") for n in range(at, at + 50)))
            sending.set()
            time.sleep(0.5)

    killer = Killer(platform.env, stream.apache, tmp_path / "triggerer.log")
    killers.append(killer)
    killed: list[str] = []
    producer = threading.Thread(target=produce)
    producer.start()
    assert sending.wait(60)
    for name in chance.sample(sorted(killer.kinds()), len(killer.kinds())):
        time.sleep(chance.uniform(0.5, 3))
        platform.eventually(lambda name=name: killer.kinds()[name]() or None, f"a {name} to kill")
        killed.append(name)
    producer.join(120)
    stream.await_sent("kill-%@example.com", count)
    note = f"seed {seed}, killed {killed}"
    rows = platform.ledger(
        "SELECT recipient, count(*), max(state) FROM push_delivery WHERE recipient LIKE %s GROUP BY 1",
        "kill-%@example.com",
    )
    assert len(rows) == count, note
    assert {row[1:] for row in rows} == {(1, "sent")}, note
    mails = collections.Counter(
        mail["rcpt_to"][0] for n in range(tasks) for mail in platform.mails(subject=f"kill-{n}")
    )
    assert len(mails) == count, note
    assert set(mails.values()) == {1}, note
    assert {run["state"] for run in _runs(platform)} <= {"running", "success"}, note
