"""SMS a second: 20,000 recipients with their own parameters, by the operator and by the SDK's SendSms in a loop.

Both in one run, against the sandbox's gateway in a process of its own: once answering at once, and once after some
time, as any service does that is not on this machine.
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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.operator import operator
from benchmarks.stage import free_port

_TEMPLATE = "SMS_100000001"
_SIGN = "推送平台"
_OURS = "Push operator, ledger included"


class _Gateway:
    """The sandbox with its gateway.

    :param sms: port of the gateway.
    :param http: port of the page, which counts calls.
    """

    def __init__(self, sms: int, http: int) -> None:
        self.sms = sms
        self.http = http

    def calls(self) -> dict[str, int]:
        """How many calls there were, by action; the next answer counts from 0 again."""
        counts: dict[str, int] = self._control("GET")["counts"]
        self._control("DELETE")
        return counts

    def delay(self, seconds: float) -> None:
        """Let every answer come so much later."""
        self._control("DELETE", "faults")
        if seconds:
            self._control("POST", "faults", {"kind": "slow", "seconds": seconds, "times": None})

    def _control(self, method: str, what: str = "calls", body: Any = None) -> Any:
        url = f"http://127.0.0.1:{self.http}/control/sms/{what}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)


@contextmanager
def _gateway(folder: Path) -> Iterator[_Gateway]:
    smtp, http, sms = free_port(), free_port(), free_port()
    ports = ["--smtp-port", str(smtp), "--http-port", str(http), "--sms-port", str(sms)]
    ports += ["--kafka-port", "0", "--centrifugo-port", "0"]
    command = [sys.executable, "-m", "sandbox", *ports, "--folder", str(folder / "sandbox" / "mails")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        if not process.stdout.readline().startswith("Sandbox is ready"):
            raise SystemExit("The sandbox did not start")
        try:
            yield _Gateway(sms, http)
        finally:
            process.terminate()


def _number(n: int) -> str:
    return f"138{n:08d}"


def _variables(n: int) -> dict[str, str]:
    return {"name": f"客户{n}", "order": f"A-{n:06d}"}


def _loop(gateway: _Gateway, count: int) -> Callable[[], float]:
    """The SDK's SendSms, once a recipient."""
    from alibabacloud_dysmsapi20170525.client import Client
    from alibabacloud_dysmsapi20170525.models import SendSmsRequest
    from alibabacloud_tea_openapi.models import Config

    from sandbox.sms_signature import ACCESS_KEY_ID, ACCESS_KEY_SECRET

    client = Client(
        Config(
            access_key_id=ACCESS_KEY_ID,
            access_key_secret=ACCESS_KEY_SECRET,
            endpoint=f"127.0.0.1:{gateway.sms}",
            protocol="http",
        )
    )

    def run() -> float:
        begun = time.perf_counter()
        for n in range(count):
            body = client.send_sms(
                SendSmsRequest(
                    phone_numbers=_number(n),
                    sign_name=_SIGN,
                    template_code=_TEMPLATE,
                    template_param=json.dumps(_variables(n), ensure_ascii=False),
                )
            ).body
            if body.code != "OK":
                raise SystemExit(f"SendSms answered {body.code}")
        return count / (time.perf_counter() - begun)

    return run


def _measure(gateway: _Gateway, senders: dict[str, tuple[Callable[[], float], int]], rounds: int) -> None:
    """Measure all in turn, and print medians, calls and ratios."""
    rates: dict[str, list[float]] = {name: [] for name in senders}
    calls: dict[str, dict[str, int]] = {}
    for number in range(rounds):
        for name, (sender, _) in senders.items():
            print(f"round {number + 1} of {rounds}: {name} …", file=sys.stderr, flush=True)
            gateway.calls()
            rates[name].append(sender())
            calls[name] = {action: count for action, count in gateway.calls().items() if count}
    ours = statistics.median(rates[_OURS])
    for name, values in rates.items():
        median = statistics.median(values)
        made = ", ".join(f"{count:,} {action}" for action, count in calls[name].items())
        print(f"  {name:32}{median:9,.0f}  ({min(values):,.0f}–{max(values):,.0f})   ours is {ours / median:.1f} times")
        print(f"  {'':32}{senders[name][1]:,} messages in {made}", flush=True)


def main() -> None:
    """Measure both in turn, several rounds, without and with a delay."""
    parser = argparse.ArgumentParser(prog="./scripts/bench sms", description=__doc__)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--delay", type=float, default=0.02, help="seconds that each answer takes in the second part")
    arguments = parser.parse_args()
    os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "ERROR"
    from sandbox.sms_signature import ACCESS_KEY_ID, ACCESS_KEY_SECRET

    with tempfile.TemporaryDirectory(prefix="push-bench-") as text, _gateway(Path(text)) as gateway:
        extra = {"sign_name": _SIGN, "template_code": _TEMPLATE, "endpoint": f"http://127.0.0.1:{gateway.sms}"}
        os.environ["AIRFLOW_CONN_PUSH_ALIYUN_SMS_DEFAULT"] = json.dumps(
            {"conn_type": "push_aliyun_sms", "login": ACCESS_KEY_ID, "password": ACCESS_KEY_SECRET, "extra": extra}
        )
        recipients = [{"to": _number(n), "variables": _variables(n)} for n in range(arguments.messages)]
        content = json.dumps({"name": "{{ name }}", "order": "{{ order }}"})
        with operator(Path(text), "sms", recipients, content=content) as push:
            for delay, part in ((0.0, 10), (arguments.delay, 100)):
                gateway.delay(delay)
                singles = max(arguments.messages // part, 50)
                what = f"that answers after {delay * 1000:.0f} ms" if delay else "that answers at once"
                print(
                    f"SMS a second, median (min–max) of {arguments.rounds} rounds, into a gateway {what}:", flush=True
                )
                looped = (_loop(gateway, singles), singles)
                senders = {_OURS: (push, arguments.messages), "SDK, SendSms in a loop": looped}
                _measure(gateway, senders, arguments.rounds)


if __name__ == "__main__":
    main()
