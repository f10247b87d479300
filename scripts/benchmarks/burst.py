"""200 triggers at once from 20 clients: all run, nothing answers 5xx, no process dies."""

from __future__ import annotations

import argparse
import collections
import time
from concurrent.futures import ThreadPoolExecutor

from benchmarks.stage import stage


def main() -> None:
    """Trigger, wait, count."""
    parser = argparse.ArgumentParser(prog="./scripts/bench burst", description=__doc__)
    parser.add_argument("--triggers", type=int, default=200)
    parser.add_argument("--clients", type=int, default=20)
    arguments = parser.parse_args()
    with stage() as place:
        place.apply(
            code="burst", name="Burst", schedule={"kind": "manual"}, execution={"type": "loop"}, max_active_runs=16
        )
        place.wait_for_dag("burst")
        recipients = [f"burst-{number}@bench.example" for number in range(arguments.triggers)]
        begun = time.time()
        with ThreadPoolExecutor(arguments.clients) as clients:
            statuses = collections.Counter(clients.map(lambda to: place.trigger("burst", to)[0], recipients))
        posted = time.time() - begun
        last = max(place.sink.wait_for(to, timeout=600) for to in recipients)
        health = place.call("/api/v2/monitor/health")[1]
    parts = ", ".join(f"{part} {state['status']}" for part, state in health.items())
    twice = sum(len(times) > 1 for times in place.sink.accepted.values())
    print(f"{arguments.triggers} triggers from {arguments.clients} clients: answers {dict(statuses)} in {posted:.1f} s")
    rate = arguments.triggers / (last - begun)
    print(f"  all accepted after {last - begun:.1f} s ({rate:.1f} runs a second), {twice} twice")
    print(f"  afterwards: {parts}")


if __name__ == "__main__":
    main()
