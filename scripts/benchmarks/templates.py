"""What it costs that templates are rendered in processes of their own: milliseconds a message, beside the same here.

A check is what injecting a push task takes, a preview what its author sees. Both are done in turns, here and there,
so that what else the machine does weighs on both.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from benchmarks.stage import ROOT, say

if TYPE_CHECKING:
    from push_provider.contract import PushTask

_ANYBODY = {"email": "anybody@bench.example", "sms": "+8613800138000", "websocket": "anybody", "app": "anybody"}
_OWN = dict.fromkeys(("amount", "currency", "dag", "name", "order", "run", "status"), "x") | {
    "url": "https://bench.example"
}
_LARGE = "".join(f"<p>{{{{ name }}}}, line {n}: {{{{ order|upper }}}}</p>\n" for n in range(500))


def main() -> None:
    """Measure, and print the medians."""
    parser = argparse.ArgumentParser(prog="./scripts/bench templates", description=__doc__)
    parser.add_argument("--rounds", type=int, default=300, help="of each message")
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="push-bench-") as home:
        os.environ |= {"AIRFLOW_HOME": home, "AIRFLOW__PUSH__INCLUDE_DIR": str(ROOT / "include")}
        from push_provider.rendering import workers

        workers.start()
        try:
            print(f"{'':24}{'here':>10}{'worker':>10}{'more by':>10}   ms, median of {rounds:,}")
            for name, task in _tasks().items():
                say(f"{name} …")
                to = task.recipients[0].to if task.recipients else _ANYBODY[task.channel]
                for what, given in (("check", {}), ("preview", {"to": to})):
                    here, there = _medians(task, given, rounds)
                    print(f"{name + ', ' + what:24}{here:>10.2f}{there:>10.2f}{there - here:>10.2f}")
        finally:
            workers.close()


def _tasks() -> dict[str, PushTask]:
    """The examples that the platform comes with, and a long template."""
    from push_provider import strict_yaml
    from push_provider.channels.reading import parse

    documents = {
        path.stem: strict_yaml.loads(path.read_text())[0] for path in sorted((ROOT / "include/tasks").glob("*.yaml"))
    }
    first = next(document for document in documents.values() if document["channel"] == "email")
    long = {name: value for name, value in first.items() if name not in ("template", "subject", "content_type")}
    documents["1,000 fields"] = long | {"subject": "s", "content": _LARGE, "variables": {"name": "n", "order": "o"}}
    return {name: parse(document) for name, document in documents.items()}


def _medians(task: PushTask, given: dict[str, Any], rounds: int) -> tuple[float, float]:
    """Milliseconds in this process, and in a worker."""
    from push_provider import settings
    from push_provider.rendering import workers
    from push_provider.rendering.worker import SLOW, Job, answer

    asked: dict[str, Any] = {**given, "own": _OWN, "variables": {}} if given else {}
    job = Job(task, settings.include_dir(), settings.attachment_areas(), SLOW, **asked)

    def here() -> None:
        said = answer(job)
        if "message" not in said:
            raise SystemExit(f"{task.code}: {said}")

    def there() -> None:
        if given:
            workers.preview(task, workers.Asker(), given["to"], _OWN)
        elif found := workers.faults(task, workers.Asker()):
            raise SystemExit(f"{task.code}: {found}")

    taken: dict[Callable[[], None], list[float]] = {here: [], there: []}
    for _ in range(rounds):
        for way, seconds in taken.items():
            begun = time.perf_counter()
            way()
            seconds.append(time.perf_counter() - begun)
    mine, theirs = (1000 * statistics.median(seconds) for seconds in taken.values())
    return mine, theirs


if __name__ == "__main__":
    main()
