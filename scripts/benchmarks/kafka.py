"""Kafka: messages a second from first produce to last acceptance, latency of single ones, and what kills do.

On Apache Kafka where Maven and Java are found, else on librdkafka's mock cluster, which keeps 5 MB a partition: enough
for 20,000 messages. In the same run, where ./scripts/install dev was run, Airflow's stock way: an AssetWatcher with
KafkaMessageQueueTrigger.
"""

from __future__ import annotations

import argparse
import collections
import importlib.util
import json
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import brokers
from benchmarks.brokers import ApacheKafka, Killer
from benchmarks.stage import ROOT, Stage, say, stage

TOPIC = "task.push.info"

_STOCK = '''
"""Airflow's stock way from a Kafka message to a run."""
import time
from pathlib import Path
from airflow.providers.apache.kafka.triggers.msg_queue import KafkaMessageQueueTrigger
from airflow.sdk import DAG, Asset, AssetWatcher, task

trigger = KafkaMessageQueueTrigger(
    topics=["stock"], apply_function="benchmarks.stock.value", kafka_config_id="kafka_stock", poll_timeout=1,
    poll_interval=1,
)
asset = Asset("stock", watchers=[AssetWatcher(name="stock", trigger=trigger)])

with DAG("stock", schedule=[asset], is_paused_upon_creation=False, max_active_runs=16) as dag:
    @task
    def note():
        with Path({path!r}).open("a") as file:
            file.write(f"{{time.time()}}\\n")
    note()
'''


class _Topic:
    """Sends to the broker."""

    def __init__(self, address: str) -> None:
        from confluent_kafka import Producer

        self._producer = Producer(
            {"bootstrap.servers": address, "log_level": 0, "linger.ms": 5, "enable.idempotence": True}
        )

    def send(self, messages: Sequence[dict[str, Any]], topic: str = TOPIC) -> None:
        for message in messages:
            while True:
                try:
                    self._producer.produce(topic, json.dumps(message).encode())
                    break
                except BufferError:
                    self._producer.poll(0.1)
            self._producer.poll(0)
        if self._producer.flush(120):
            raise SystemExit("The broker did not take all messages")


def _start(code: str, to: str) -> dict[str, Any]:
    return {"task": code, "recipients": [{"to": to, "variables": {"n": to}}], "variables": {"from": "bench"}}


def _apply(place: Stage, prefix: str, tasks: int) -> list[str]:
    codes = [f"{prefix}-{number}" for number in range(tasks)]
    for code in codes:
        place.apply(code=code, name=code, schedule={"kind": "manual"}, execution={"type": "loop"}, max_active_runs=4)
    for code in codes:
        place.wait_for_dag(code)
    return codes


def _await_all(place: Stage, recipients: Sequence[str], timeout: float) -> float:
    """The moment of the last acceptance."""
    deadline = time.time() + timeout
    for to in recipients:
        place.sink.wait_for(to, timeout=max(deadline - time.time(), 0.1))
    return max(place.sink.accepted[to][0] for to in recipients)


def _throughput(place: Stage, topic: _Topic, messages: int, tasks: int, rounds: int) -> None:
    rates = []
    for number in range(rounds):
        codes = _apply(place, f"load-{number}", tasks)
        time.sleep(5)  # until nothing but the trigger waits
        recipients = [f"load-{number}-{n}@bench.example" for n in range(messages)]
        begun = time.time()
        topic.send([_start(codes[n % tasks], to) for n, to in enumerate(recipients)])
        produced = time.time()
        last = _await_all(place, recipients, 600)
        rates.append(messages / (last - begun))
        ((executions, first, planned, started, finished),) = place.query(
            "SELECT count(*), min(e.created_at), max(d.created_at), max(e.started_at), max(e.finished_at) "
            "FROM push_execution e JOIN LATERAL (SELECT max(created_at) AS created_at FROM push_delivery "
            "WHERE execution_id = e.id) d ON true WHERE e.task_code LIKE %s",
            f"load-{number}-%",
        )
        steps = {"produced": produced, "first taken": first, "all taken": planned, "last begun": started,
                 "last finished": finished, "last accepted": last}  # fmt: skip
        say(
            f"round {number + 1}: {executions} executions; seconds from the first produce: "
            + ", ".join(
                f"{name} {(moment if isinstance(moment, float) else moment.timestamp()) - begun:.1f}"
                for name, moment in steps.items()
            )
        )
    twice = sum(len(times) > 1 for times in place.sink.accepted.values())
    print(
        f"{messages:,} messages for {tasks} push tasks, produce -> last acceptance: "
        f"median {statistics.median(rates):,.0f} messages a second of {rounds}, {twice} mails twice"
    )


def _latency(place: Stage, topic: _Topic, count: int) -> None:
    (code,) = _apply(place, "single", 1)
    taken = []
    for number in range(count + 2):
        time.sleep(7 + random.random() * 2)  # the worker has gone, and the trigger waits
        to = f"single-{number}@bench.example"
        begun = time.time()
        topic.send([_start(code, to)])
        accepted = place.sink.wait_for(to)
        if number >= 2:  # the first runs of a platform warm its caches
            taken.append(accepted - begun)
    print(
        f"a single message on an idle platform, produce -> acceptance: median {statistics.median(taken):.2f} s, "
        f"max {max(taken):.2f} s of {count}"
    )


def _stock(place: Stage, topic: _Topic, address: str, seconds: float, folder: Path) -> None:
    """How many runs Airflow's AssetWatcher makes of messages in so many seconds."""
    noted = folder / "noted"
    dag = ROOT / "dags" / "stock.py"
    extra = json.dumps(
        {"bootstrap.servers": address, "group.id": "stock", "auto.offset.reset": "earliest", "enable.auto.commit": True}
    )
    place.airflow("connections", "add", "kafka_stock", "--conn-type", "kafka", "--conn-extra", extra)
    topic.send([{"n": -1}], "stock")
    dag.write_text(_STOCK.format(path=str(noted)))
    try:
        deadline = time.time() + 180
        while not noted.exists():
            if time.time() > deadline:
                print("Airflow's AssetWatcher: not one run within three minutes")
                return
            time.sleep(0.2)
        topic.send([{"n": n} for n in range(100)], "stock")
        begun = time.time()
        time.sleep(seconds)
        times = [float(line) for line in noted.read_text().split()][1:]
        runs = sum(moment <= begun + seconds for moment in times)
        print(f"Airflow's AssetWatcher, KafkaMessageQueueTrigger: {runs} runs in {seconds:.0f} s, 100 messages waiting")
    finally:
        dag.unlink()


def _kills(place: Stage, topic: _Topic, broker: ApacheKafka | None, messages: int, kills: int, folder: Path) -> None:
    tasks = 20
    codes = _apply(place, "kills", tasks)
    recipients = [f"kills-{n}@bench.example" for n in range(messages)]
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    killer = Killer(place.env, broker, folder / "triggerer.log")
    killed: collections.Counter[str] = collections.Counter()

    def produce() -> None:
        # As long as there is somebody to be killed.
        for at in range(0, messages, 100):
            topic.send([_start(codes[n % tasks], recipients[n]) for n in range(at, min(at + 100, messages))])
            if sum(killed.values()) < kills:
                time.sleep(5)

    producer = threading.Thread(target=produce)
    begun = time.time()
    producer.start()
    try:
        while sum(killed.values()) < kills:
            time.sleep(chance.uniform(1, 15))
            name = killer.random(chance)
            if name:
                killed[name] += 1
                say(f"killed {name} ({sum(killed.values())} of {kills})")
        producer.join()
        _await_all(place, recipients, 600)
    finally:
        killer.close()
    time.sleep(10)  # for what would come twice
    accepted = collections.Counter({to: len(place.sink.accepted[to]) for to in recipients})
    rows = place.query(
        "SELECT state, count(*), count(DISTINCT recipient) FROM push_delivery WHERE recipient LIKE %s GROUP BY 1",
        "kills-%@bench.example",
    )
    runs = place.query("SELECT state, count(*) FROM dag_run WHERE dag_id = %s GROUP BY 1", "push_kafka", metadata=True)
    what = ", ".join(f"{count} {name}" for name, count in sorted(killed.items()))
    print(
        f"{messages:,} messages and {kills} kills ({what}; seed {seed}) in {time.time() - begun:.0f} s: "
        f"{len(accepted):,} recipients have a mail, "
        f"{sum(n > 1 for n in accepted.values())} of them twice; deliveries {rows}; runs of push_kafka {dict(runs)}"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="./scripts/bench kafka", description=__doc__)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--tasks", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--count", type=int, default=20, help="single messages")
    parser.add_argument("--stock", type=float, default=120, help="seconds of Airflow's stock way; 0 leaves it out")
    parser.add_argument(
        "--kills", nargs="?", type=int, const=20, help="instead of all that: kill so many times (20) meanwhile"
    )
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="push-kafka-") as text,
        brokers.running(Path(text)) as broker,
        stage() as place,
    ):
        folder = Path(text)
        apache = broker if isinstance(broker, ApacheKafka) else None
        extra = json.dumps({"bootstrap.servers": broker.address})
        place.airflow("connections", "add", "kafka_default", "--conn-type", "kafka", "--conn-extra", extra)
        broker.create_topic(TOPIC)
        topic = _Topic(broker.address)
        say(f"The broker is {'Apache Kafka' if apache else 'the mock cluster'}")
        time.sleep(40)  # until the waiting task has seen the connection
        if arguments.kills:
            _kills(place, topic, apache, min(arguments.messages, 10_000), arguments.kills, folder)
            return
        _latency(place, topic, arguments.count)
        _throughput(place, topic, arguments.messages, arguments.tasks, arguments.rounds)
        if arguments.stock and importlib.util.find_spec("airflow.providers.common.messaging"):
            _stock(place, topic, broker.address, arguments.stock, folder)


if __name__ == "__main__":
    main()
