"""WebSocket messages a second: 20,000 users with their own, by the operator, beside what Centrifugo can take.

All in one run, on a Centrifugo in a process of its own: the real one where ``go`` is found, which builds it the first
time (some minutes), else the sandbox's. Beside the operator a loop of single publishes, and batches of 500 without a
ledger, which is the limit. And how long a message takes from its publication to a client that is connected.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import requests
from websockets.sync.client import connect

from benchmarks.operator import operator
from benchmarks.stage import ROOT, free_port, say
from push_provider.channels.websocket.tokens import client_token
from sandbox.centrifugo_account import API_KEY, NAMESPACE, TOKEN_SECRET

_OURS = "Push operator, ledger included"
_BATCH = 500


@contextmanager
def _centrifugo(folder: Path) -> Iterator[tuple[str, str]]:
    """Its address, and what it is."""
    if not shutil.which("go"):
        with _sandbox(folder) as address:
            yield address, "the sandbox's Centrifugo (go is not installed)"
        return
    for place in ("integration/centrifugo", "support"):
        sys.path.insert(0, str(ROOT / "tests" / place))
    from centrifugo_server import MODULE, RealCentrifugo, build

    say("Building Centrifugo, unless it is there …")
    version = MODULE.rpartition("@")[2]
    with RealCentrifugo(folder / "node", build(Path(tempfile.gettempdir(), f"push-centrifugo-{version}"))) as server:
        yield server.address, f"Centrifugo {version}, memory engine"


@contextmanager
def _sandbox(folder: Path) -> Iterator[str]:
    port = free_port()
    others = [word for name in ("smtp", "http", "sms", "kafka") for word in (f"--{name}-port", "0")]
    command = [sys.executable, "-m", "sandbox", *others, "--centrifugo-port", str(port), "--folder", str(folder / "m")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        if not process.stdout.readline().startswith("Sandbox is ready"):
            raise SystemExit("The sandbox did not start")
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _variables(n: int) -> dict[str, str]:
    return {"name": f"客户{n}", "order": f"A-{n:06d}"}


def _command(n: int, run: str) -> dict[str, Any]:
    data = {"id": f"{run}-{n}", "title": f"Order A-{n:06d}", "content": f"Dear 客户{n}, it has been shipped."}
    return {"channel": f"{NAMESPACE}:#u{n}", "data": data, "idempotency_key": f"{run}-{n}"}


def _session() -> requests.Session:
    session = requests.Session()
    session.headers["X-API-Key"] = API_KEY
    return session


def _singles(address: str, count: int) -> Callable[[], float]:
    def run() -> float:
        session, name = _session(), str(time.time())
        begun = time.perf_counter()
        for n in range(count):
            session.post(f"{address}/api/publish", json=_command(n, name)).raise_for_status()
        return count / (time.perf_counter() - begun)

    return run


def _batches(address: str, count: int) -> Callable[[], float]:
    def run() -> float:
        session, name = _session(), str(time.time())
        commands = [{"publish": _command(n, name)} for n in range(count)]
        bodies = [msgspec.json.encode({"commands": commands[at : at + _BATCH]}) for at in range(0, count, _BATCH)]
        begun = time.perf_counter()
        for body in bodies:
            session.post(f"{address}/api/batch", data=body).raise_for_status()
        return count / (time.perf_counter() - begun)

    return run


def _latency(address: str, count: int) -> list[float]:
    """Seconds from the publication of a message to its arrival at a client, one after the other."""
    from datetime import UTC, datetime

    from airflow.sdk import Connection

    from push_provider.channels.websocket.centrifugo_account import centrifugo_config

    fields = _connection(address)
    config = centrifugo_config(Connection(conn_id="b", **{**fields, "extra": json.dumps(fields["extra"])}))
    token = client_token(config, "listener", seconds=3600, now=datetime.now(UTC)).token
    channel = config.channel("listener")
    session, taken = _session(), []
    with connect(config.client_url) as socket:
        socket.send(json.dumps({"id": 1, "connect": {"token": token}}))
        socket.recv()
        socket.send(json.dumps({"id": 2, "subscribe": {"channel": channel}}))
        socket.recv()
        for n in range(count):
            begun = time.perf_counter()
            body = {"channel": channel, "data": {"n": n}}
            session.post(f"{address}/api/publish", json=body).raise_for_status()
            while "push" not in json.loads(socket.recv()):
                socket.send("{}")
            taken.append(time.perf_counter() - begun)
    return taken


def _connection(address: str) -> dict[str, Any]:
    extra = {"address": address, "token_secret": TOKEN_SECRET, "namespace": NAMESPACE}
    return {"conn_type": "push_centrifugo", "password": API_KEY, "extra": extra}


def main() -> None:
    """Measure all in turn, several rounds."""
    parser = argparse.ArgumentParser(prog="./scripts/bench websocket", description=__doc__)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    count = arguments.messages
    os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "ERROR"
    os.environ["AIRFLOW__PUSH__PUBLIC_URL"] = "https://push.example.com"
    recipients = [{"to": f"u{n}", "variables": _variables(n)} for n in range(count)]
    text = {"title": "Order {{ order }}", "content": "Dear {{ name }}, it has been shipped.", "ttl": 1800}
    with tempfile.TemporaryDirectory(prefix="push-bench-") as place, _centrifugo(Path(place)) as (address, what):
        os.environ["AIRFLOW_CONN_PUSH_CENTRIFUGO_DEFAULT"] = json.dumps(_connection(address))
        with operator(Path(place), "websocket", recipients, **text) as push:
            senders = {
                _OURS: push,
                "single publishes in a loop": _singles(address, max(count // 10, 50)),
                f"batches of {_BATCH}, no ledger": _batches(address, count),
            }
            rates: dict[str, list[float]] = {name: [] for name in senders}
            for number in range(arguments.rounds):
                for name, sender in senders.items():
                    say(f"round {number + 1} of {arguments.rounds}: {name} …")
                    rates[name].append(sender())
        print(f"WebSocket messages a second, median (min–max) of {arguments.rounds} rounds, into {what}:")
        ours = statistics.median(rates[_OURS])
        for name, values in rates.items():
            median = statistics.median(values)
            spread = f"({min(values):,.0f}–{max(values):,.0f})"
            print(f"  {name:32}{median:9,.0f}  {spread}   ours is {ours / median:.1f} times")
        taken = sorted(_latency(address, 1000))
        half, most = statistics.median(taken), taken[int(len(taken) * 0.99)]
        print(f"Publish → received by a client: median {half * 1000:.2f} ms, 99th percentile {most * 1000:.2f} ms")


if __name__ == "__main__":
    main()
