"""Twenty callers and a Kafka producer send the worst they can for a minute; what the others notice of it.

An administrator's calls are made at fixed moments and timed from these, so that a call that waits for the one before
counts, too. On two cores the attackers' own work is part of what is measured.
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import shutil
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psutil
import psycopg

from benchmarks import attacks, brokers, crowd
from benchmarks.stage import ROOT, Stage, free_port, say, stage

if TYPE_CHECKING:
    from benchmarks.brokers import ApacheKafka, MockKafka

TOPIC = "task.push.info"
ALLOWED = 0.2
"""Seconds that the 95th percentile of an administrator's calls may take."""
_EVERY = 0.5
_PATIENCE = 30.0
"""Seconds after which an administrator no longer waits, neither for a call nor, when all is over, for those to come."""
_HEART = '''
"""A task that only lives, as long as it is told to."""
import time
from airflow.sdk import DAG, task

with DAG("heart", schedule=None, is_paused_upon_creation=False, params={"seconds": 60}):
    @task(retries=0)
    def beat(params):
        time.sleep(params["seconds"])
    beat()
'''


def _roles(callers: int) -> dict[str, str]:
    """Every fifth is a viewer, every fourth an operator."""
    return {f"h{n}": "viewer" if n % 5 == 0 else "op" if n % 4 == 0 else "user" for n in range(callers)}


def _settings(folder: Path, roles: dict[str, str]) -> dict[str, str]:
    """Airflow's simple user list, and a DAG folder with a task that lives for long."""
    dags = folder / "dags"
    shutil.copytree(ROOT / "dags", dags)
    (dags / "heart.py").write_text(_HEART)
    passwords = folder / "passwords.json"
    passwords.write_text(json.dumps({name: name for name in ("boss", *roles)}))
    return {
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(
            f"{name}:{role}" for name, role in {"boss": "admin", **roles}.items()
        ),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
    }


def _login(place: Stage, name: str) -> str:
    status, answer = place.call("/auth/token", {"username": name, "password": name})
    if status != 201:
        raise SystemExit(f"{name} cannot log in: {answer}")
    return str(answer["access_token"])


class Administrator:
    """Calls at fixed moments, each kind in a thread of its own."""

    CALLS: tuple[tuple[str, str, Any], ...] = (
        ("GET", "/push/v1/tasks?limit=20", None),
        ("GET", "/push/v1/executions?limit=20", None),
        ("GET", "/push/v1/deliveries?limit=20", None),
        ("GET", "/api/v2/dags?limit=20", None),
        (
            "POST",
            "/push/v1/preview",
            {"task": attacks.task("boss", content="Dear {{ to }}"), "recipients": ["a@bench.example"]},
        ),
        ("POST", "/push/v1/tasks?dry_run=true", attacks.task("boss", content="Dear {{ to }}")),
        ("PATCH", "/push/v1/tasks/sound", {"subject": "New"}),
    )

    def __init__(self, place: Stage) -> None:
        self._address = urlsplit(place.url).netloc
        self._headers = {"Authorization": f"Bearer {place.token}", "Content-Type": "application/json"}

    def measure(self, seconds: float) -> dict[str, list[tuple[float, str]]]:
        """Seconds and answer of each call, by kind."""
        until = time.perf_counter() + seconds
        with ThreadPoolExecutor(len(self.CALLS)) as pool:
            found = pool.map(lambda numbered: self._repeat(*numbered, until), enumerate(self.CALLS))
            return {f"{method} {path}": rows for (method, path, _), rows in zip(self.CALLS, found, strict=True)}

    def _repeat(self, number: int, call: tuple[str, str, Any], until: float) -> list[tuple[float, str]]:
        method, path, body = call
        data = None if body is None else json.dumps(body)
        rows: list[tuple[float, str]] = []
        due = time.perf_counter() + number * _EVERY / len(self.CALLS)
        while due < until and time.perf_counter() < until + _PATIENCE:
            time.sleep(max(due - time.perf_counter(), 0))
            connection = http.client.HTTPConnection(self._address, timeout=_PATIENCE)
            try:
                connection.request(method, path, data, self._headers)
                answer = connection.getresponse()
                answer.read()
                told = str(answer.status)
            except (OSError, http.client.HTTPException) as error:
                told = type(error).__name__
            finally:
                connection.close()
            rows.append((time.perf_counter() - due, told))
            due += _EVERY
        return rows


class Watch:
    """Looks twice a second at the heartbeat of the task that lives, and at the API server's memory."""

    def __init__(self, place: Stage) -> None:
        self.oldest = 0.0
        self.most: Counter[str] = Counter()
        self._url = place.env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("+psycopg", "")
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _look(self) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            while not self._end.wait(0.5):
                row = connection.execute(
                    "SELECT extract(epoch FROM now() - last_heartbeat_at) FROM task_instance "
                    "WHERE dag_id = 'heart' AND state = 'running'"
                ).fetchone()
                self.oldest = max(self.oldest, float(row[0] or 0) if row else 0.0)
                for name, size in _sizes().items():
                    self.most[name] = max(self.most[name], size)


def _sizes() -> dict[str, int]:
    """MiB of the API server, and of its children together."""
    for process in psutil.Process().children(recursive=True):
        try:
            words = " ".join(process.cmdline())
            if "api_server" in words or "api-server" in words:
                children = process.children(recursive=True)
                return {
                    "server": process.memory_info().rss >> 20,
                    "children": sum(child.memory_info().rss for child in children) >> 20,
                }
        except psutil.Error:
            continue
    return {}


def _percentile(values: Sequence[float], part: float) -> float:
    return sorted(values)[min(int(len(values) * part), len(values) - 1)]


def _tell(what: str, found: dict[str, list[tuple[float, str]]]) -> float:
    print(f"{what}, an administrator's calls (median, 95th percentile, longest; answers):")
    for call, rows in {**found, "all together": [row for one in found.values() for row in one]}.items():
        times = [seconds for seconds, _ in rows]
        told = dict(Counter(told for _, told in rows))
        p95 = _percentile(times, 0.95)
        print(f"  {call:34} {statistics.median(times):7.3f} {p95:7.3f} {max(times):7.3f} s   {told}", flush=True)
    return p95


def _prepare(place: Stage, broker: ApacheKafka | MockKafka, ports: dict[str, int]) -> None:
    from sqlalchemy import create_engine

    extra = json.dumps({"bootstrap.servers": broker.address})
    place.airflow("connections", "add", "kafka_default", "--conn-type", "kafka", "--conn-extra", extra)
    for name, port in ports.items():
        place.call(
            "/api/v2/connections",
            {
                "connection_id": name,
                "conn_type": "push_email",
                "host": "127.0.0.1",
                "port": port,
                "login": "a@b.example",
            },
        )
    broker.create_topic(TOPIC)
    engine = create_engine(place.env["AIRFLOW__PUSH__SQL_ALCHEMY_CONN"])
    crowd.fill(engine, crowd.Size(tasks=3, executions=1, each=1, big=200_000, busy=100))
    engine.dispose()
    place.apply(code="sound", name="Sound", schedule={"kind": "manual"}, execution={"type": "loop"})
    place.wait_for_dag("sound")


def _sound(broker: str, until: float) -> dict[str, float]:
    """Send a sound message every second; when each was produced."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": broker, "log_level": 0})
    produced = {}
    while time.time() < until:
        to = f"sound-{len(produced)}@bench.example"
        produced[to] = time.time()
        producer.produce(TOPIC, json.dumps({"task": "sound", "recipients": [to]}).encode())
        producer.flush(10)
        time.sleep(1)
    return produced


def _arrivals(place: Stage, produced: dict[str, float], patience: float) -> None:
    until = time.time() + patience
    while time.time() < until and not all(to in place.sink.accepted for to in produced):
        time.sleep(0.5)
    taken = [place.sink.accepted[to][0] - at for to, at in produced.items() if to in place.sink.accepted]
    spread = f"median {statistics.median(taken):.1f} s, longest {max(taken):.1f} s" if taken else "none"
    print(f"Kafka's sound messages: {len(taken)} of {len(produced)} have arrived, {spread}")


class Enemy:
    """The attackers, in a process of their own.

    :param callers: name, role and token of each.
    :param ports: of their mail servers.
    """

    def __init__(self, place: Stage, callers: list[tuple[str, str, str]], ports: dict[str, int], broker: str) -> None:
        self._address = urlsplit(place.url).netloc
        self._callers = callers
        self._ports = ports
        self._broker = broker

    @contextmanager
    def attacking(self, seconds: float, only: frozenset[str]) -> Iterator[None]:
        """Let them attack; what they were answered is printed at the end."""
        ours, theirs = multiprocessing.Pipe()
        until = time.time() + seconds
        attack = attacks.Attack(self._address, self._callers, crowd.BIG, self._ports, self._broker, TOPIC, until, only)
        process = multiprocessing.get_context("spawn").Process(target=attacks.run, args=(attack, theirs))
        process.start()
        yield
        answers, messages = ours.recv() if ours.poll(60) else (Counter(), 0)
        process.join(10)
        print(f"  {sum(answers.values())} attacks by REST, {messages} hostile Kafka messages")
        say(f"What they were answered: {json.dumps(dict(sorted(answers.items())))}")


def _line(what: str, found: dict[str, list[tuple[float, str]]]) -> str:
    rows = [row for one in found.values() for row in one]
    times = [seconds for seconds, _ in rows]
    spread = f"median {statistics.median(times):7.3f}   95th percentile {_percentile(times, 0.95):7.3f}"
    return f"{what:18} {spread}   longest {max(times):7.3f} s   {dict(Counter(told for _, told in rows))}"


def _each(place: Stage, boss: Administrator, enemy: Enemy, seconds: float, only: frozenset[str]) -> None:
    """One kind of attack after the other."""
    print(_line("in peace", boss.measure(seconds)), flush=True)
    for kind in [kind for kind in attacks.KINDS if not only or kind in only]:
        with enemy.attacking(seconds, frozenset({kind})), Watch(place) as watch:
            found = boss.measure(seconds)
        print(f"{_line(kind, found)}   server {watch.most['server']} MiB", flush=True)
        while max(taken for one in boss.measure(2).values() for taken, _ in one) > ALLOWED:
            time.sleep(1)  # what is left of it


def _together(
    place: Stage,
    boss: Administrator,
    enemy: Enemy,
    broker: str,
    arguments: argparse.Namespace,
    only: frozenset[str],
) -> float:
    """All kinds at once; the 95th percentile of an administrator's calls."""
    say("Waiting until Kafka's messages are waited for …")
    time.sleep(40)
    _tell("In peace", boss.measure(15))
    while place.call("/api/v2/dags/heart")[0] != 200:
        time.sleep(0.5)
    conf = {"seconds": arguments.seconds + 30}
    place.call("/api/v2/dags/heart/dagRuns", {"logical_date": None, "conf": conf})
    time.sleep(5)
    say(f"{arguments.callers} callers attack for {arguments.seconds:.0f} s …")
    until = time.time() + arguments.seconds
    with enemy.attacking(arguments.seconds, only), Watch(place) as watch, ThreadPoolExecutor(1) as pool:
        sound = pool.submit(_sound, broker, until)
        p95 = _tell("Under attack", boss.measure(arguments.seconds))
        produced = sound.result()
    print(f"Airflow's task that lives: oldest heartbeat {watch.oldest:.1f} s (it counts as dead after 90 s)")
    print(f"The API server: at most {watch.most['server']} MiB, its children {watch.most['children']} MiB")
    _arrivals(place, produced, arguments.patience)
    time.sleep(max(until + 40 - time.time(), 0))
    runs = place.call("/api/v2/dags/heart/dagRuns?limit=1")[1]["dag_runs"]
    print(f"  and it has ended: {[run['state'] for run in runs]}")
    _tell("Afterwards", boss.measure(10))
    return p95


def main() -> None:
    """Measure and print; 1 if an administrator waits too long."""
    parser = argparse.ArgumentParser(prog="./scripts/bench hostile", description=__doc__)
    parser.add_argument("--callers", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument(
        "--patience", type=float, default=120, help="seconds that Kafka's sound messages have afterwards"
    )
    parser.add_argument("--only", default="", help=f"some of the attacks: {','.join(attacks.KINDS)},kafka")
    parser.add_argument("--each", action="store_true", help="one kind after the other, without Kafka and heartbeats")
    arguments = parser.parse_args()
    only = frozenset(filter(None, arguments.only.split(",")))
    roles = _roles(arguments.callers)
    with (
        tempfile.TemporaryDirectory(prefix="push-hostile-") as text,
        brokers.running(Path(text)) as broker,
        stage(_settings(Path(text), roles)) as place,
    ):
        place.token = _login(place, "boss")
        ports = {name: free_port() for name in attacks.SERVERS}
        _prepare(place, broker, ports)
        tokens = [(name, role, _login(place, name)) for name, role in roles.items()]
        boss, enemy = Administrator(place), Enemy(place, tokens, ports, broker.address)
        if arguments.each:
            _each(place, boss, enemy, arguments.seconds, only)
            return
        p95 = _together(place, boss, enemy, broker.address, arguments, only)
    if p95 > ALLOWED:
        raise SystemExit(f"An administrator waits {p95:.3f} s at the 95th percentile; {ALLOWED} s are allowed")


if __name__ == "__main__":
    main()
