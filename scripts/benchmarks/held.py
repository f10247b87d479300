"""Mails a second while somebody else holds a transaction of the ledger's database open: it keeps every dead row alive.

Executions of the operator one after the other, into the same SMTP server as ``bench email``: some before, then all the
time while a transaction that has read once stays open, as a backup or a report does; and some after it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

import psycopg

from benchmarks.email import HTML, SUBJECT, server, variables
from benchmarks.operator import operator
from benchmarks.stage import say

_ROUNDS = 5
"""Executions before and after."""


def main() -> None:
    """Measure before, meanwhile and after, and print medians and ratios."""
    parser = argparse.ArgumentParser(prog="./scripts/bench held", description=__doc__)
    parser.add_argument("--mails", type=int, default=20_000, help="of each execution")
    parser.add_argument("--seconds", type=float, default=600.0, help="for which the transaction is held open")
    arguments = parser.parse_args()
    os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "ERROR"
    with tempfile.TemporaryDirectory(prefix="push-bench-") as text, server() as (port, name):
        account = {"conn_type": "push_email", "host": "127.0.0.1", "port": port, "login": "push@bench.example"}
        os.environ["AIRFLOW_CONN_PUSH_EMAIL_DEFAULT"] = json.dumps({**account, "extra": {"ignore_tls": True}})
        recipients = [{"to": f"c{n}@bench.example", "variables": variables(n)} for n in range(arguments.mails)]
        with operator(Path(text), "email", recipients, subject=SUBJECT, content=HTML) as push:
            push()  # the first one warms up
            before = [push() for _ in range(_ROUNDS)]
            url = os.environ["AIRFLOW__PUSH__SQL_ALCHEMY_CONN"].replace("+psycopg", "")
            meanwhile: list[float] = []
            with psycopg.connect(url) as held:
                held.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                held.execute("SELECT count(*) FROM push_delivery")
                begun = time.monotonic()
                while (passed := time.monotonic() - begun) < arguments.seconds:
                    meanwhile.append(push())
                    say(f"{passed:4.0f} s: {meanwhile[-1]:,.0f} mails a second")
                held.rollback()
            after = [push() for _ in range(_ROUNDS)]
    usual = statistics.median(before)
    print(f"Mails a second, executions of {arguments.mails:,} into {name}, median (min–max):")
    parts = {
        "before": before,
        f"the transaction open, {len(meanwhile)} executions": meanwhile,
        "the last five of them": meanwhile[-_ROUNDS:],
        "after": after,
    }
    for what, rates in parts.items():
        median = statistics.median(rates)
        print(f"  {what:42}{median:9,.0f}  ({min(rates):,.0f}–{max(rates):,.0f})   {median / usual:.2f} times")


if __name__ == "__main__":
    main()
