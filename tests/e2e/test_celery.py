"""The platform as several machines have it: Celery workers, Redis, and the ledger behind PgBouncer."""

from __future__ import annotations

import collections
import contextlib
import os
import shutil
import signal
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import psutil
import pytest
from pgbouncer import PROGRAM, pgbouncer
from ports import free_port

from sandbox.postgres import PostgresServer

from .conftest import Platform, running

MISSING = [
    name for name, found in (("redis-server", shutil.which("redis-server")), ("pgbouncer", PROGRAM)) if not found
]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

EXECUTIONS = 10
RECIPIENTS = 800


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Two workers, which are missed after some seconds without a word."""
    home = tmp_path_factory.mktemp("cluster") / "home"
    postgres = PostgresServer(home / "postgres")
    with pgbouncer(tmp_path_factory.mktemp("pgbouncer"), postgres.socket, "push", 20) as (port, _):
        ledger = f"postgresql+psycopg://postgres@127.0.0.1:{port}/{quote('push')}?prepare_threshold=none"
        instead = {
            "AIRFLOW__PUSH__SQL_ALCHEMY_CONN": ledger,
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "15",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
        }
        workers = {"PUSH_CELERY_WORKERS": "2", "PUSH_SANDBOX_REDIS_PORT": str(free_port())}
        with running(home, workers, instead) as platform:
            # What the tests themselves read and write goes to PostgreSQL at once.
            platform.env["AIRFLOW__PUSH__SQL_ALCHEMY_CONN"] = postgres.url("push")
            yield platform


def task(code: str, recipients: list[str], **fields: Any) -> dict[str, Any]:
    text = {"subject": code, "content": "Hello {{ to }}", "content_type": "text"}
    return {"code": code, "name": "Cluster", **text, "recipients": recipients, "retry_delay": 1, **fields}


def whole(process: psutil.Process) -> list[psutil.Process]:
    """A process, and whatever it has started."""
    return [process, *process.children(recursive=True)]


def test_one_of_two_workers_is_killed_and_everybody_gets_theirs(cluster: Platform) -> None:
    codes = [f"cluster-{number}" for number in range(EXECUTIONS)]
    names = {code: [f"{code}-{number}@example.com" for number in range(RECIPIENTS)] for code in codes}
    cluster.apply(*(task(code, names[code]) for code in codes))

    def halfway() -> bool | None:
        ((sent,),) = cluster.ledger("SELECT count(*) FROM push_delivery WHERE state = 'sent'")
        return sent >= EXECUTIONS * RECIPIENTS // 4 or None

    cluster.eventually(halfway, "a quarter of all mails")
    worker = cluster.process_of("worker-1")
    assert worker is not None
    for process in whole(worker):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    for code in codes:
        assert cluster.await_runs(code, 1) == ["success"]
    got: collections.Counter[str] = collections.Counter()
    ids: dict[str, set[str]] = collections.defaultdict(set)
    for code in codes:
        for mail in cluster.mails(subject=code):
            if mail["subject"] == code:
                got[mail["rcpt_to"][0]] += 1
                ids[mail["rcpt_to"][0]].add(mail["message_id"])
    everybody = {name for some in names.values() for name in some}
    assert got.keys() == everybody
    twice = [name for name, count in got.items() if count > 1]
    # Of the four tasks, at most, that the worker was at when it died: a chunk each, and the next one.
    assert len(twice) <= 4 * 2 * 200
    assert all(got[name] == 2 and len(ids[name]) == 1 for name in twice)
    states = cluster.ledger("SELECT state, count(*) FROM push_delivery GROUP BY state")
    assert [state for state, _ in states] == ["sent"]


def test_a_worker_that_is_asked_to_end_ends_what_it_has_begun(cluster: Platform) -> None:
    """And the task that only waits for Kafka messages keeps it from nothing."""
    slow = [f"slow+{number}@example.com" for number in range(12)]
    cluster.apply(task("cluster-drain", slow))

    def begun() -> bool | None:
        return (
            bool(cluster.ledger("SELECT 1 FROM push_execution WHERE task_code = 'cluster-drain' AND state = 'running'"))
            or None
        )

    cluster.eventually(begun, "an execution under way")
    workers = [cluster.process_of(f"worker-{number}") for number in (1, 2)]
    before = [worker.pid for worker in workers if worker]
    assert len(before) == 2
    for worker in workers:
        assert worker is not None
        os.kill(worker.pid, signal.SIGTERM)
    assert cluster.await_runs("cluster-drain", 1) == ["success"]
    ((tries,),) = cluster.ledger(
        "SELECT max(attempts) FROM push_delivery AS d JOIN push_execution AS e ON e.id = d.execution_id"
        " WHERE e.task_code = 'cluster-drain'",
    )
    assert tries == 1
    assert len(cluster.mails(subject="cluster-drain")) == len(slow)

    def others() -> bool | None:
        now = [cluster.process_of(f"worker-{number}") for number in (1, 2)]
        return all(worker and worker.pid not in before for worker in now) or None

    cluster.eventually(others, "two other workers")
    cluster.apply(task("cluster-after", ["after@example.com"]))
    assert cluster.await_mail("after@example.com")["Subject"] == "cluster-after"
