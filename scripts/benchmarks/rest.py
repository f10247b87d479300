"""The REST API: injections and triggers a second, from the answer to the mail server, and lists among a million."""

from __future__ import annotations

import argparse
import collections
import http.client
import json
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

from benchmarks import crowd, lists
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
    with crowd.ledger() as engine:
        say("Filling the ledger …")
        crowd.fill(engine, crowd.FULL)
        lists.tell(engine, crowd.FULL)


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
