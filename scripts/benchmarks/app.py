"""App pushes a second: 20,000 devices with their own messages, by the operator and by the SDK, one a call.

Both in one run, against the sandbox's Aliyun Mobile Push in a process of its own, which answers after 50 ms, as a
service does that is not on this machine.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.operator import operator
from benchmarks.stage import free_port, say
from sandbox.app_account import APP_KEY
from sandbox.sms_signature import ACCESS_KEY_ID, ACCESS_KEY_SECRET

_OURS = "Push operator, ledger included"
_SINGLE = "SDK, one message a call"


def _device(n: int) -> str:
    return f"{n:032x}"


def _variables(n: int) -> dict[str, str]:
    return {"name": f"客户{n}", "order": f"A-{n:06d}"}


@contextmanager
def _sandbox(folder: Path, delay: float) -> Iterator[tuple[int, int]]:
    """Ports of Aliyun and of the page, of a sandbox that answers so many seconds late."""
    aliyun, http = free_port(), free_port()
    ports = ["--smtp-port", "0", "--kafka-port", "0", "--centrifugo-port", "0"]
    ports += ["--sms-port", str(aliyun), "--http-port", str(http)]
    command = [sys.executable, "-m", "sandbox", *ports, "--folder", str(folder / "sandbox")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        if not process.stdout.readline().startswith("Sandbox is ready"):
            raise SystemExit("The sandbox did not start")
        try:
            if delay:
                _control(http, "POST", "faults", {"kind": "slow", "seconds": delay, "times": None})
            yield aliyun, http
        finally:
            process.terminate()


def _control(http: int, method: str, what: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    url = f"http://127.0.0.1:{http}/control/app/{what}"
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def _singles(port: int, count: int) -> Callable[[], float]:
    """The SDK's MassPushV2 with one message a call."""
    from alibabacloud_push20160801.client import Client
    from alibabacloud_push20160801.models import MassPushV2Request, PushTask
    from alibabacloud_tea_openapi.models import Config

    client = Client(
        Config(
            access_key_id=ACCESS_KEY_ID,
            access_key_secret=ACCESS_KEY_SECRET,
            endpoint=f"127.0.0.1:{port}",
            protocol="http",
        )
    )

    def run() -> float:
        begun = time.perf_counter()
        for n in range(count):
            values = _variables(n)
            task = {
                "Target": {"Type": "DEVICE", "Value": _device(n)},
                "Notification": {"Title": f"Order {values['order']}", "Body": f"Dear {values['name']}"},
            }
            tasks = [PushTask().from_map(task)]
            client.mass_push_v2(
                MassPushV2Request(app_key=APP_KEY, idempotent_token=str(uuid.uuid4()), push_tasks=tasks)
            )
        return count / (time.perf_counter() - begun)

    return run


def main() -> None:
    """Measure both in turn, several rounds."""
    parser = argparse.ArgumentParser(prog="./scripts/bench app", description=__doc__)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--delay", type=float, default=0.05, help="seconds that each answer takes")
    arguments = parser.parse_args()
    os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "ERROR"
    count, singles = arguments.messages, max(arguments.messages // 100, 50)
    recipients = [{"to": _device(n), "variables": _variables(n)} for n in range(count)]
    text = {"title": "Order {{ order }}", "content": "Dear {{ name }}"}
    with (
        tempfile.TemporaryDirectory(prefix="push-bench-") as place,
        _sandbox(Path(place), arguments.delay) as (port, http),
    ):
        extra = {"app_key": str(APP_KEY), "endpoint": f"http://127.0.0.1:{port}"}
        os.environ["AIRFLOW_CONN_PUSH_ALIYUN_APP_DEFAULT"] = json.dumps(
            {"conn_type": "push_aliyun_app", "login": ACCESS_KEY_ID, "password": ACCESS_KEY_SECRET, "extra": extra}
        )
        with operator(Path(place), "app", recipients, **text) as push:
            senders = {_OURS: (push, count), _SINGLE: (_singles(port, singles), singles)}
            rates: dict[str, list[float]] = {name: [] for name in senders}
            calls: dict[str, int] = {}
            for number in range(arguments.rounds):
                for name, (sender, _) in senders.items():
                    say(f"round {number + 1} of {arguments.rounds}: {name} …")
                    _control(http, "DELETE", "calls")
                    rates[name].append(sender())
                    calls[name] = _control(http, "GET", "calls")["counts"]["MassPushV2"]
    late = f"that answers after {arguments.delay * 1000:.0f} ms"
    print(f"App pushes a second, median (min–max) of {arguments.rounds} rounds, into a sandbox {late}:")
    ours = statistics.median(rates[_OURS])
    for name, values in rates.items():
        median = statistics.median(values)
        spread = f"({min(values):,.0f}–{max(values):,.0f})"
        print(f"  {name:32}{median:9,.0f}  {spread}   ours is {ours / median:.1f} times")
        print(f"  {'':32}{senders[name][1]:,} messages in {calls[name]:,} calls")


if __name__ == "__main__":
    main()
