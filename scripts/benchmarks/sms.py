"""SMS a second: 20,000 recipients with their own parameters, by the operator and by the SDK's SendSms in a loop.

Both in one run, against the sandbox's gateway in a process of its own, which answers at once.
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

    def _control(self, method: str) -> Any:
        url = f"http://127.0.0.1:{self.http}/control/sms/calls"
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=10) as answer:
            return json.load(answer)


@contextmanager
def _gateway(folder: Path) -> Iterator[_Gateway]:
    smtp, http, sms = free_port(), free_port(), free_port()
    ports = ["--smtp-port", str(smtp), "--http-port", str(http), "--sms-port", str(sms)]
    command = [sys.executable, "-m", "push_provider.sandbox", *ports, "--folder", str(folder / "sandbox" / "mails")]
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

    from push_provider.sandbox.sms_signature import ACCESS_KEY_ID, ACCESS_KEY_SECRET

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


def main() -> None:
    """Measure both in turn, several rounds, and print medians, calls and the ratio."""
    parser = argparse.ArgumentParser(prog="./scripts/bench sms", description=__doc__)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "ERROR"
    from push_provider.sandbox.sms_signature import ACCESS_KEY_ID, ACCESS_KEY_SECRET

    with tempfile.TemporaryDirectory(prefix="push-bench-") as text, _gateway(Path(text)) as gateway:
        extra = {"sign_name": _SIGN, "template_code": _TEMPLATE, "endpoint": f"http://127.0.0.1:{gateway.sms}"}
        os.environ["AIRFLOW_CONN_PUSH_ALIYUN_SMS_DEFAULT"] = json.dumps(
            {"conn_type": "push_aliyun_sms", "login": ACCESS_KEY_ID, "password": ACCESS_KEY_SECRET, "extra": extra}
        )
        recipients = [{"to": _number(n), "variables": _variables(n)} for n in range(arguments.messages)]
        content = json.dumps({"name": "{{ name }}", "order": "{{ order }}"})
        with operator(Path(text), "sms", recipients, content=content) as push:
            singles = max(arguments.messages // 10, 50)
            senders = {_OURS: push, "SDK, SendSms in a loop": _loop(gateway, singles)}
            rates: dict[str, list[float]] = {name: [] for name in senders}
            calls: dict[str, dict[str, int]] = {}
            for number in range(arguments.rounds):
                for name, sender in senders.items():
                    print(f"round {number + 1} of {arguments.rounds}: {name} …", file=sys.stderr, flush=True)
                    gateway.calls()
                    rates[name].append(sender())
                    calls[name] = {action: count for action, count in gateway.calls().items() if count}
    print(f"SMS a second, median (min–max) of {arguments.rounds} rounds, into the sandbox's gateway:")
    ours = statistics.median(next(iter(rates.values())))
    for name, values in rates.items():
        median = statistics.median(values)
        sent = arguments.messages if name == _OURS else singles
        made = ", ".join(f"{count:,} {action}" for action, count in calls[name].items())
        print(f"  {name:32}{median:9,.0f}  ({min(values):,.0f}–{max(values):,.0f})   ours is {ours / median:.1f} times")
        print(f"  {'':32}{sent:,} messages in {made}")


if __name__ == "__main__":
    main()
