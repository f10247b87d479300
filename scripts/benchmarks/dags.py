"""What many push tasks cost Airflow: how soon a new one is a DAG, idle CPU, and a task process's share."""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time

from benchmarks.stage import Stage, say, stage

_LOAD = """
import os, sys, time
from pathlib import Path
os.environ["_AIRFLOW_PARSING_CONTEXT_DAG_ID"] = sys.argv[2]
os.environ["_AIRFLOW_PARSING_CONTEXT_TASK_ID"] = "send"
from airflow.dag_processing.dagbag import DagBag
if sys.argv[3] == "warm":
    from push_provider import warm
    warm.up()
begun = time.perf_counter()
bag = DagBag(dag_folder=sys.argv[1], safe_mode=False, load_op_links=False)
seconds = time.perf_counter() - begun
assert list(bag.dags) == [sys.argv[2]], bag.dags
print(seconds)
"""


def _visible(place: Stage, count: int) -> list[float]:
    taken = []
    for number in range(count):
        code = f"visible-{number}"
        committed = place.apply(code=code, name=code, schedule={"kind": "manual"}, execution={"type": "loop"})
        taken.append(place.wait_for_dag(code) - committed)
        time.sleep(0.37)  # so that the measurements do not march in step with the DAG processor's loop
    return taken


def _idle_cpu(seconds: float) -> float:
    """Seconds of processor time that the DAG processor and its children used in so many idle seconds."""
    import psutil

    processors = [
        process
        for process in psutil.Process(os.getpid()).children(recursive=True)
        if "dag-processor" in " ".join(process.cmdline())
    ]

    def used() -> float:
        return sum(sum(process.cpu_times()[:4]) for process in processors[:1])

    before = used()
    time.sleep(seconds)
    return used() - before


def _load(place: Stage, code: str, kind: str) -> float:
    from push_provider import settings
    from push_provider.ledger.tables import shard_of
    from push_provider.parses import shard_file

    file = settings.bundle_dir() / shard_file(shard_of(code))
    command = [sys.executable, "-c", _LOAD, str(file), f"push__{code}", kind]
    output = subprocess.run(command, env=place.env, capture_output=True, text=True, check=True).stdout
    return float(output.strip().splitlines()[-1])


def main() -> None:
    """Fill, measure, print."""
    parser = argparse.ArgumentParser(prog="./scripts/bench dags", description=__doc__)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--idle", type=float, default=60.0, help="seconds of the idle measurement")
    arguments = parser.parse_args()
    with stage() as place:
        place.fill(arguments.tasks)
        visible = _visible(place, arguments.count)
        time.sleep(10)
        say(f"Idle for {arguments.idle:.0f} s …")
        cpu = _idle_cpu(arguments.idle)
        cold = [_load(place, "fill-00007", "cold") for _ in range(5)]
        warm = [_load(place, "fill-00007", "warm") for _ in range(5)]
    print(f"With {arguments.tasks:,} push tasks:")
    print(
        f"  insert -> DAG visible in the API      median {statistics.median(visible):.2f} s   max {max(visible):.2f} s"
    )
    share = 100 * cpu / arguments.idle
    print(f"  DAG processor, idle                   {cpu:.2f} s of CPU in {arguments.idle:.0f} s ({share:.1f} %)")
    print(f"  a task process loads its DAG          {1000 * statistics.median(warm):.0f} ms in a warm worker, "
          f"{1000 * statistics.median(cold):.0f} ms with all imports")  # fmt: skip


if __name__ == "__main__":
    main()
