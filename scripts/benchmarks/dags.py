"""What many push tasks cost Airflow: how soon a new one is a DAG, idle CPU, and a task process's share."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

from benchmarks.stage import Stage, say, stage

_SETTLED = 30.0
"""Seconds for the DAG processor to be through with what it has seen of push tasks before they retired."""
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


_FINISHED = """
    INSERT INTO push_task (code, name, channel, spec, list_id, recipients, execution_type, executions,
                           max_executions, status, schedule_since, last_execution_at, shard, revision, created_at,
                           updated_at)
    SELECT code, 'Done no. ' || n, 'email', CAST(:spec AS jsonb) || jsonb_build_object('code', code),
           nextval('push_recipient_list'), 1, 'once', 1, 1, 'finished',
           now() - interval '3 days', now() - interval '3 days', n % :shards, nextval('push_revision'),
           now() - interval '3 days', now() - interval '3 days'
    FROM (SELECT n, 'done-' || n AS code FROM generate_series(1, :count) AS n) AS t
"""


def _retire(count: int) -> None:
    """Have so many ``now`` tasks that ended three days ago, and let them retire as upkeep does."""
    from sqlalchemy import text

    from push_provider.channels.reading import parse
    from push_provider.ledger import retiring
    from push_provider.ledger.engine import get_engine
    from push_provider.ledger.tables import SHARDS

    engine = get_engine()
    spec = parse(
        {"name": "Done", "channel": "email", "subject": "Hello", "content": "x" * 500, "recipients": ["a@b.example"]}
    )
    say(f"Creating {count:,} push tasks that are finished …")
    with engine.begin() as connection:
        values = {"spec": json.dumps(spec.spec()), "count": count, "shards": SHARDS}
        connection.execute(text(_FINISHED), values)
        shards = "INSERT INTO push_shard (shard, revision) SELECT n, nextval('push_revision') FROM generate_series"
        connection.execute(text(f"{shards} (0, :shards - 1) AS n ON CONFLICT DO NOTHING"), {"shards": SHARDS})
    begun = time.perf_counter()
    while retiring.retire(engine, 1000, before=datetime.now(UTC) - timedelta(days=1)):
        continue
    say(f"They retired in {time.perf_counter() - begun:.0f} s")


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
    parser.add_argument("--retired", type=int, default=0, help="finished push tasks beside them, which retire")
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--idle", type=float, default=60.0, help="seconds of the idle measurement")
    arguments = parser.parse_args()
    with stage() as place:
        if arguments.retired:
            _retire(arguments.retired)
            time.sleep(_SETTLED)
        if arguments.tasks:
            place.fill(arguments.tasks)
        visible = _visible(place, arguments.count)
        time.sleep(10)
        say(f"Idle for {arguments.idle:.0f} s …")
        cpu = _idle_cpu(arguments.idle)
        cold = [_load(place, "visible-7", "cold") for _ in range(5)]
        warm = [_load(place, "visible-7", "warm") for _ in range(5)]
    print(f"With {arguments.tasks:,} push tasks, and {arguments.retired:,} that are retired:")
    print(
        f"  insert -> DAG visible in the API      median {statistics.median(visible):.2f} s   max {max(visible):.2f} s"
    )
    share = 100 * cpu / arguments.idle
    print(f"  DAG processor, idle                   {cpu:.2f} s of CPU in {arguments.idle:.0f} s ({share:.1f} %)")
    print(f"  a task process loads its DAG          {1000 * statistics.median(warm):.0f} ms in a warm worker, "
          f"{1000 * statistics.median(cold):.0f} ms with all imports")  # fmt: skip


if __name__ == "__main__":
    main()
