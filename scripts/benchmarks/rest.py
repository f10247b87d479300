"""The REST API: injections and triggers a second, from the answer to the mail server, and lists among a million."""

from __future__ import annotations

import argparse
import collections
import http.client
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks import crowd
from benchmarks.stage import Stage, say, stage


class Client:
    """A client of the push API that keeps its connection; one for each thread."""

    def __init__(self, place: Stage) -> None:
        self._address = urlsplit(place.url).netloc
        self._token = place.call("/auth/token")[1]["access_token"]
        self._local = threading.local()

    def post(self, path: str, body: Any) -> tuple[int, Any]:
        """POST; the status and the answer."""
        if not hasattr(self._local, "connection"):
            self._local.connection = http.client.HTTPConnection(self._address, timeout=60)
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        self._local.connection.request("POST", f"/push/v1{path}", json.dumps(body), headers)
        answer = self._local.connection.getresponse()
        return answer.status, json.loads(answer.read())


def _task(code: str, **fields: Any) -> dict[str, Any]:
    manual = {"schedule": {"kind": "manual"}, "execution": {"type": "loop"}}
    text = {"subject": "Bench", "content_type": "text", "content": "Bench {{ to }}"}
    return {"code": code, "name": code, "channel": "email", **text, **manual, **fields}


def _rate(what: str, count: int, clients: int, call: Callable[[int], tuple[int, Any]]) -> None:
    begun = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        statuses = collections.Counter(status for status, _ in pool.map(call, range(count)))
    seconds = time.perf_counter() - begun
    print(f"  {what:58} {count / seconds:6.1f} a second   answers {dict(statuses)}", flush=True)


def _spread(what: str, seconds: Sequence[float]) -> None:
    median, longest = statistics.median(seconds), max(seconds)
    print(f"  {what:58} median {median:5.2f} s   max {longest:5.2f} s   of {len(seconds)}", flush=True)


def _latency(place: Stage, client: Client, count: int) -> None:
    answers, arrivals = [], []
    for number in range(count + 2):
        recipient = f"inject-{number}@bench.example"
        now = {"schedule": {"kind": "now"}, "execution": {"type": "once"}, "recipients": [recipient]}
        begun = time.time()
        status, answer = client.post("/tasks", _task(f"rest-now-{number}", **now))
        answered = time.time()
        if status != 201:
            raise SystemExit(f"POST /tasks answered {status}: {answer}")
        arrived = place.sink.wait_for(recipient)
        if number >= 2:  # the first runs of a platform warm its caches
            answers.append(answered - begun)
            arrivals.append(arrived - answered)
        time.sleep(1.0 + number % 10 / 10)  # not in step with the DAG processor's loop
    _spread("POST /tasks (now): the answer", answers)
    _spread("POST /tasks (now): from the answer to acceptance", arrivals)
    triggers = []
    for number in range(count + 2):
        recipient = f"trigger-{number}@bench.example"
        begun = time.time()
        status, answer = client.post("/tasks/rest-trigger-0/trigger", {"recipients": [recipient]})
        if status != 202:
            raise SystemExit(f"POST …/trigger answered {status}: {answer}")
        arrived = place.sink.wait_for(recipient)
        if number >= 2:
            triggers.append(arrived - begun)
        time.sleep(1.0)
    _spread("POST …/trigger: from the request to acceptance", triggers)


def _platform(others: int, count: int, clients: int, latencies: int) -> None:
    with stage() as place:
        client = Client(place)
        for number in range(clients):
            client.post("/tasks", _task(f"rest-trigger-{number}"))
        for number in range(clients):
            place.wait_for_dag(f"rest-trigger-{number}")
        if others:
            place.fill(others)
        print(f"With {others:,} other push tasks, one API worker:", flush=True)
        _latency(place, client, latencies)
        _rate(f"injections, {clients} clients", count, clients, lambda n: client.post("/tasks", _task(f"rest-{n}")))
        time.sleep(20)  # until these are DAGs

        def trigger(number: int) -> tuple[int, Any]:
            body = {"recipients": [f"r{number}@bench.example"]}
            return client.post(f"/tasks/rest-trigger-{number % clients}/trigger", body)

        # With no slot in the pool the runs wait: what is measured is the API, and not how many tasks two cores run.
        place.airflow("pools", "set", "default_pool", "0", "held back")
        _rate(f"triggers, {clients} clients, {clients} tasks; runs wait", count, clients, trigger)
        place.airflow("pools", "set", "default_pool", "128", "default")
        _rate(f"triggers, {clients} clients, {clients} tasks; runs run", count // 4, clients, trigger)


def _lists() -> None:
    from sqlalchemy import create_engine

    from push_provider.ledger import deliveries, executions, schema, stats, tasks
    from sandbox.postgres import PostgresServer

    now = datetime.now(UTC)
    old = now - timedelta(days=19)
    asked: list[tuple[str, Any, dict[str, Any]]] = [
        ("tasks", tasks, {}),
        ("tasks, by status", tasks, {"status": "failed"}),
        ("tasks, by recipient", tasks, {"recipient": "r77@example.com"}),
        ("tasks, by part of a recipient", tasks, {"search": "r77@exam"}),
        ("tasks, by part of all", tasks, {"search": "example"}),
        ("tasks, by part of the name", tasks, {"name": "no. 777"}),
        ("tasks, by application", tasks, {"app": "app-3"}),
        ("tasks, the delayed", tasks, {"delayed": True}),
        ("executions", executions, {}),
        ("executions, of a task with 200,000", executions, {"task": crowd.BUSY}),
        ("executions, partial", executions, {"state": "partial"}),
        ("executions, until 19 days ago", executions, {"begun_to": old}),
        ("deliveries", deliveries, {}),
        ("deliveries, of a task with 200,000 executions", deliveries, {"task": crowd.BUSY}),
        ("deliveries, of an execution with 200,000", deliveries, {"task": crowd.BIG}),
        ("deliveries, of a recipient with 50,000", deliveries, {"recipient": "monitor@example.com"}),
        ("deliveries, until 19 days ago", deliveries, {"begun_to": old}),
        *[(f"deliveries, {state}", deliveries, {"state": state}) for state in ("failed", "pending", "sending", "sent")],
        ("deliveries, failed, of a task with 200,000", deliveries, {"task": crowd.BIG, "state": "failed"}),
        ("deliveries, of half of the tasks", deliveries, {"codes": {f"crowd-{n}" for n in range(0, 10_000, 2)}}),
    ]
    with tempfile.TemporaryDirectory(prefix="push-bench-") as folder:
        Path(folder).chmod(0o755)
        with PostgresServer(Path(folder) / "data") as server:
            server.create_database("push")
            engine = create_engine(server.url("push"))
            schema.migrate(engine)
            say("Filling the ledger …")
            crowd.fill(engine, crowd.FULL)
            full = f"{crowd.FULL.tasks:,} tasks and {crowd.FULL.deliveries:,} deliveries"
            print(f"Lists of {full}, 100 rows, in the ledger:")
            for name, module, filters in asked:
                first, deep, total = (
                    1000 * crowd.seconds(call)
                    for call in (
                        lambda m=module, f=filters: m.find(engine, limit=100, **f),
                        lambda m=module, f=filters: m.find(engine, limit=100, offset=9_900, **f),
                        lambda m=module, f=filters: m.count(engine, cap=10_001, **f),
                    )
                )
                print(f"  {name:48} first page {first:5.1f} ms   page 100 {deep:5.1f} ms   total {total:5.1f} ms")
            day = {"begun_from": now - timedelta(days=1), "begun_to": now}
            print(f"  {'statistics of a day':48} {1000 * crowd.seconds(lambda: stats.hourly(engine, **day)):.1f} ms")
            begun = time.perf_counter()
            with deliveries.Stream(engine) as stream:
                rows = sum(len(chunk) for chunk in stream)
            print(
                f"  {'all of them, as the CSV reads them':48} {rows / (time.perf_counter() - begun):,.0f} rows a second"
            )
            engine.dispose()


def main() -> None:
    """Measure on a running platform, then in a full ledger."""
    parser = argparse.ArgumentParser(prog="./scripts/bench rest", description=__doc__)
    parser.add_argument("--tasks", type=int, default=1_000, help="other push tasks")
    parser.add_argument("--count", type=int, default=1_000, help="injections, and triggers")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--latencies", type=int, default=20, help="measurements of each latency")
    parser.add_argument("--part", choices=("all", "platform", "lists"), default="all")
    arguments = parser.parse_args()
    if arguments.part != "lists":
        _platform(arguments.tasks, arguments.count, arguments.clients, arguments.latencies)
    if arguments.part != "platform":
        _lists()
    say("done")


if __name__ == "__main__":
    main()
