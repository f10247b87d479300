"""How long a push takes from the call to the mail server's acceptance, alone and beside many other tasks."""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.stage import Stage, say, stage


def _report(what: str, seconds: Sequence[float]) -> None:
    print(
        f"  {what:58} median {statistics.median(seconds):5.2f} s   max {max(seconds):5.2f} s   of {len(seconds)}",
        flush=True,
    )


def _triggers(place: Stage, code: str, count: int, mark: str) -> list[float]:
    taken = []
    for number in range(count + 2):
        recipient = f"{mark}-{number}@bench.example"
        begun = time.time()
        status, answer = place.trigger(code, recipient)
        if status != 200:
            raise SystemExit(f"POST dagRuns answered {status}: {answer}")
        accepted = place.sink.wait_for(recipient)
        if number >= 2:  # the first runs of a platform warm its caches
            taken.append(accepted - begun)
        time.sleep(1.0)  # an idle platform, not a queue
    return taken


def _applies(place: Stage, count: int, mark: str) -> tuple[list[float], list[float]]:
    """Seconds from the start of ``airflow push apply``, and from its commit, to the acceptance."""
    from push_provider.ledger import tasks
    from push_provider.ledger.engine import get_engine

    from_start, from_commit = [], []
    for number in range(count):
        code, recipient = f"{mark}-{number}", f"{mark}-{number}@bench.example"
        file = Path(place.home) / f"{code}.json"
        file.write_text(json.dumps({
            "code": code, "name": code, "channel": "email", "recipients": [recipient],
            "subject": "Bench", "content_type": "text", "content": "Bench",
        }))  # fmt: skip
        begun = time.time()
        place.airflow("push", "apply", str(file))
        accepted = place.sink.wait_for(recipient)
        from_start.append(accepted - begun)
        from_commit.append(accepted - tasks.get(get_engine(), code).created_at.timestamp())
        time.sleep(1.0)
    return from_start, from_commit


def _measure(place: Stage, title: str, count: int, mark: str) -> None:
    code = f"latency-{mark}"
    place.apply(code=code, name=code, schedule={"kind": "manual"}, execution={"type": "loop"}, max_active_runs=16)
    place.wait_for_dag(code)
    time.sleep(3)
    print(title, flush=True)
    _report("POST dagRuns -> acceptance", _triggers(place, code, count, f"trigger-{mark}"))
    from_start, from_commit = _applies(place, count, f"apply-{mark}")
    _report("airflow push apply (now), its commit -> acceptance", from_commit)
    _report("airflow push apply (now), start of command -> acceptance", from_start)


def main() -> None:
    """Measure alone, then with many tasks."""
    parser = argparse.ArgumentParser(prog="./scripts/bench latency", description=__doc__)
    parser.add_argument("--count", type=int, default=20, help="measurements of each kind")
    parser.add_argument(
        "--tasks", type=int, default=10_000, help="other push tasks in the second part; 0 leaves it out"
    )
    arguments = parser.parse_args()
    with stage() as place:
        _measure(place, "Alone:", arguments.count, "alone")
        if arguments.tasks:
            place.fill(arguments.tasks)
            _measure(place, f"With {arguments.tasks:,} other push tasks:", arguments.count, "crowd")
    say("done")


if __name__ == "__main__":
    main()
