"""Mails a second: 20,000 personalised mails through the operator, ledger included, beside its peers.

In one run, against the same SMTP server: our operator, Airflow's SmtpHook, and, where they are found,
nodemailer's pool (npm) and Postfix's smtp-source as the limit. The server is Postfix's smtp-sink where it is found,
else a Python one, which takes more of the machine than it leaves to the senders.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.operator import operator
from benchmarks.stage import free_port

HTML = (
    "<html><body><h1>Order {{ order }}</h1><p>Dear {{ name }},</p><p>your order <b>{{ order }}</b> of "
    "{{ amount }} is on its way. 您的订单已发货。</p><p>Thank you for your trust.</p></body></html>"
)
SUBJECT = "Order {{ order }} / 订单 {{ order }}"


@contextmanager
def server() -> Iterator[tuple[int, str]]:
    """The port of an SMTP server that takes everything, and what it is."""
    program = shutil.which("smtp-sink", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        from benchmarks.sink import sink

        with sink() as found:
            yield found.port, "a Python sink"
        return
    port = free_port()
    account = ["-u", "nobody"] if os.geteuid() == 0 else []
    process = subprocess.Popen([program, *account, "-c", f"127.0.0.1:{port}", "1000"], stdout=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.02)
        yield port, "Postfix's smtp-sink"
    finally:
        process.kill()
        process.wait()


def variables(number: int) -> dict[str, str]:
    """Of one recipient."""
    return {"name": f"Customer {number}", "order": f"A-{number:06d}", "amount": f"{number % 900 + 99}.00"}


def _smtp_hook(port: int, count: int, *, keep: bool) -> Callable[[], float]:
    """Airflow's SmtpHook, used once a mail as its operators do, or (``keep``) over one open connection."""
    os.environ["AIRFLOW_CONN_BENCH_SMTP"] = json.dumps(
        {"conn_type": "smtp", "host": "127.0.0.1", "port": port, "extra": {"disable_ssl": True, "disable_tls": True}}
    )

    def run() -> float:
        from airflow.providers.smtp.hooks.smtp import SmtpHook
        from jinja2 import Environment

        environment = Environment(autoescape=True)
        html, subject = environment.from_string(HTML), environment.from_string(SUBJECT)

        def send(hook: SmtpHook, number: int) -> None:
            own = variables(number)
            hook.send_email_smtp(
                to=f"c{number}@bench.example",
                subject=subject.render(own),
                html_content=html.render(own),
                from_email="push@bench.example",
            )

        begun = time.perf_counter()
        if keep:
            with SmtpHook(smtp_conn_id="bench_smtp") as hook:
                for number in range(count):
                    send(hook, number)
        else:
            for number in range(count):
                with SmtpHook(smtp_conn_id="bench_smtp") as hook:
                    send(hook, number)
        return count / (time.perf_counter() - begun)

    return run


_NODE = """
// Without TCP_NODELAY each of its mails waits 40 ms for a delayed acknowledgement.
const net = require('net');
const connect = net.connect;
net.connect = (...args) => connect(...args).setNoDelay(true);
const nodemailer = require('nodemailer');
const [port, count] = process.argv.slice(1).map(Number);
const pool = nodemailer.createTransport({pool: true, maxConnections: 4, maxMessages: Infinity, host: '127.0.0.1', port,
  ignoreTLS: true});
const html = v => `<html><body><h1>Order ${v.order}</h1><p>Dear ${v.name},</p><p>your order <b>${v.order}</b> of ` +
  `${v.amount} is on its way. 您的订单已发货。</p><p>Thank you for your trust.</p></body></html>`;
(async () => {
  const begun = process.hrtime.bigint();
  let next = 0;
  const worker = async () => {
    while (next < count) {
      const n = next++;
      const v = {name: `Customer ${n}`, order: `A-${n}`, amount: `${n}.00`};
      await pool.sendMail({from: 'push@bench.example', to: `c${n}@bench.example`,
        subject: `Order ${v.order} / 订单 ${v.order}`, html: html(v), text: `Order ${v.order}`});
    }
  };
  await Promise.all(Array.from({length: 16}, worker));
  console.log(count / (Number(process.hrtime.bigint() - begun) / 1e9));
  pool.close();
})();
"""


def _nodemailer(folder: Path, port: int, count: int) -> Callable[[], float] | None:
    if not shutil.which("node") or not shutil.which("npm"):
        return None
    place = folder / "node"
    place.mkdir()
    installed = subprocess.run(
        ["npm", "install", "--silent", "--prefix", str(place), "nodemailer@7"], capture_output=True, check=False
    )
    if installed.returncode:
        return None

    def run() -> float:
        command = ["node", "-e", _NODE, str(port), str(count)]
        return float(subprocess.run(command, cwd=place, capture_output=True, text=True, check=True).stdout)

    return run


def _smtp_source(port: int, count: int) -> Callable[[], float] | None:
    program = shutil.which("smtp-source", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        return None

    def run() -> float:
        begun = time.perf_counter()
        command = [
            program,
            "-s",
            "4",
            "-m",
            str(count),
            "-l",
            "700",
            "-f",
            "push@bench.example",
            "-t",
            "c@bench.example",
            "-d",
        ]
        subprocess.run([*command, f"127.0.0.1:{port}"], check=True, capture_output=True)
        return count / (time.perf_counter() - begun)

    return run


def main() -> None:
    """Measure all in turn, several rounds, and print medians and ratios."""
    parser = argparse.ArgumentParser(prog="./scripts/bench email", description=__doc__)
    parser.add_argument("--mails", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "ERROR"
    with tempfile.TemporaryDirectory(prefix="push-bench-") as text, server() as (port, where):
        folder = Path(text)
        os.environ["AIRFLOW_CONN_PUSH_EMAIL_DEFAULT"] = json.dumps(
            {"conn_type": "push_email", "host": "127.0.0.1", "port": port, "login": "push@bench.example",
             "extra": {"ignore_tls": True}}
        )  # fmt: skip
        recipients = [{"to": f"c{n}@bench.example", "variables": variables(n)} for n in range(arguments.mails)]
        with operator(folder, "email", recipients, subject=SUBJECT, content=HTML) as push:
            senders: dict[str, Callable[[], float] | None] = {
                "Push operator, ledger included": push,
                "Airflow's SmtpHook, once a mail": _smtp_hook(port, max(arguments.mails // 20, 100), keep=False),
                "SmtpHook, one connection for all": _smtp_hook(port, max(arguments.mails // 20, 100), keep=True),
                "nodemailer, pool of 4": _nodemailer(folder, port, max(arguments.mails // 4, 100)),
                "Postfix's smtp-source, 4 sessions": _smtp_source(port, arguments.mails),
            }
            rates: dict[str, list[float]] = {name: [] for name, sender in senders.items() if sender}
            for number in range(arguments.rounds):
                for name, sender in senders.items():
                    if sender:
                        print(f"round {number + 1} of {arguments.rounds}: {name} …", file=sys.stderr, flush=True)
                        rates[name].append(sender())
    print(f"Mails a second, median (min–max) of {arguments.rounds} rounds, into {where}:")
    ours = statistics.median(rates["Push operator, ledger included"])
    for name, values in rates.items():
        median = statistics.median(values)
        print(f"  {name:36}{median:9,.0f}  ({min(values):,.0f}–{max(values):,.0f})   ours is {ours / median:.1f} times")


if __name__ == "__main__":
    main()
