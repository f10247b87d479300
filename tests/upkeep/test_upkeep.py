"""The DAG of upkeep as Airflow reads it, and what its task does on a real ledger."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from sqlalchemy import text

from push_provider.channels.reading import parse
from push_provider.ledger import closing, definitions, executions, planning, tasks
from push_provider.metadata.dag_rows import SYSTEM
from push_provider.operators.upkeep import UpkeepOperator

if TYPE_CHECKING:
    from sqlalchemy import Engine

DAGS = Path(__file__).parents[2] / "dags"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Airflow's own, of how it reads .airflowignore
def test_airflow_finds_the_dag() -> None:
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(dag_folder=DAGS, load_op_links=False)
    assert bag.import_errors == {}
    assert set(bag.dags) == set(SYSTEM)
    dag = bag.dags["push_upkeep"]
    assert (dag.max_active_runs, dag.catchup, dag.is_paused_upon_creation) == (1, False, False)
    (task,) = dag.tasks
    assert isinstance(task, UpkeepOperator)
    assert timedelta(seconds=task.seconds) < timedelta(minutes=10) < task.execution_timeout


@pytest.mark.slow
def test_reading_it_costs_little() -> None:
    script = (
        "import json, sys; from airflow.sdk import DAG; before = set(sys.modules)\n"
        "import push_provider.upkeep_dag; push_provider.upkeep_dag.upkeep_dag()\n"
        "print('RESULT' + json.dumps(sorted({m.split('.')[0] for m in set(sys.modules) - before})))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    brought = set(json.loads(done.stdout.rpartition("RESULT")[2]))
    assert brought & {"confluent_kafka", "sqlalchemy", "psycopg", "pydantic", "jinja2"} == set()


def keep() -> dict[str, int]:
    return UpkeepOperator(task_id="keep").execute({})  # type: ignore[arg-type,typeddict-item]


def ended(ledger: Engine, code: str, *, days: float) -> None:
    """A push task whose one execution ended so many days ago."""
    task = {
        "code": code,
        "name": "Old",
        "channel": "email",
        "subject": "Hello",
        "content": "Good day",
        "recipients": ["a@example.com", "b@example.com"],
    }
    definitions.apply(ledger, parse(task), now=datetime.now(UTC), default_timezone="UTC")
    plan = planning.plan(ledger, code, source="manual", freeze=lambda _: {"message": "Good day"})
    closing.finish(ledger, plan.id, final=True)
    with ledger.begin() as connection:
        connection.execute(
            text("UPDATE push_execution SET created_at = now() - :age, finished_at = now() - :age WHERE id = :id"),
            {"age": timedelta(days=days), "id": plan.id},
        )


@pytest.mark.parametrize(("days", "left"), [(None, {"old", "new"}), ("0", {"old", "new"}), ("30", {"new"})])
def test_what_is_kept_how_long(monkeypatch: pytest.MonkeyPatch, ledger: Engine, days: Any, left: set[str]) -> None:
    if days is not None:
        monkeypatch.setenv("AIRFLOW__PUSH__RETENTION_DAYS", days)
    ended(ledger, "old", days=31)
    ended(ledger, "new", days=29)
    counts = keep()
    assert {row.task_code for row in executions.find(ledger)} == left
    gone = 2 - len(left)
    assert counts.get("executions dropped", 0) == gone
    assert tasks.get(ledger, "old").executions == 1
    # Theirs wait for their partition to be dropped, for two times a tenth of the days.
    assert counts["deliveries deleted"] == counts["deliveries dropped with their partition"] == 0
    with ledger.begin() as connection:
        waits = connection.scalars(text("SELECT due - now() FROM push_dropped")).all()
        connection.execute(text("UPDATE push_dropped SET due = now()"))
    assert [round(wait / timedelta(days=1)) for wait in waits] == [6] * gone
    assert keep()["deliveries deleted"] == 2 * gone


def test_deliveries_go_with_their_partition(monkeypatch: pytest.MonkeyPatch, ledger: Engine) -> None:
    monkeypatch.setenv("AIRFLOW__PUSH__RETENTION_DAYS", "30")
    ended(ledger, "old", days=31)
    with ledger.begin() as connection:
        connection.execute(text("UPDATE push_upkeep SET since = now() - interval '3 days' WHERE what = 'partition'"))
    counts = keep()
    assert (counts["partitions made"], counts["partitions closed"], counts["executions dropped"]) == (0, 1, 1)
    assert (counts["deliveries dropped with their partition"], counts["deliveries deleted"]) == (2, 0)
    with ledger.begin() as connection:
        left = "SELECT (SELECT count(*) FROM push_dropped), to_regclass('push_delivery_0')"
        assert connection.execute(text(left)).one() == (0, None)
    assert keep()["partitions made"] == 1


def test_partitions_are_closed_by_their_age_only_where_something_is_dropped_by_age(ledger: Engine) -> None:
    ended(ledger, "old", days=400)
    with ledger.begin() as connection:
        connection.execute(text("UPDATE push_upkeep SET since = now() - interval '400 days' WHERE what = 'partition'"))
    assert keep()["partitions closed"] == 0


def test_what_a_purged_task_left_is_deleted_whatever_is_kept(ledger: Engine) -> None:
    ended(ledger, "purged", days=0)
    tasks.delete(ledger, "purged", purge=True)
    assert keep()["deliveries deleted"] == 2


def test_messages_are_known_and_kept_as_the_options_say(monkeypatch: pytest.MonkeyPatch, ledger: Engine) -> None:
    with ledger.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO push_message (key, taken_at)"
                " SELECT gen_random_uuid(), now() - make_interval(days => n) FROM generate_series(1, 100) AS n;"
                'INSERT INTO push_rejected (position, topic, partition, "offset", reason, rejected_at)'
                " SELECT gen_random_uuid(), 't', 0, n, 'no', now() - make_interval(days => n)"
                " FROM generate_series(1, 100) AS n"
            )
        )
    counts = keep()
    assert (counts["message ids forgotten"], counts["rejected messages forgotten"]) == (71, 11)
    monkeypatch.setenv("AIRFLOW__PUSH__MESSAGE_ID_DAYS", "8")
    monkeypatch.setenv("AIRFLOW__PUSH__REJECTED_DAYS", "0")
    counts = keep()
    assert counts["message ids forgotten"] == 22
    assert "rejected messages forgotten" not in counts


def test_an_option_that_is_wrong_is_named(monkeypatch: pytest.MonkeyPatch, ledger: Engine) -> None:
    monkeypatch.setenv("AIRFLOW__PUSH__RETENTION_DAYS", "1")
    with pytest.raises(AirflowFailException, match=r"\[push\] retention_days takes a number of days from 2 on"):
        keep()


def test_its_log_says_what_it_did(ledger: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    ended(ledger, "purged", days=0)
    tasks.delete(ledger, "purged", purge=True)
    keep()
    said = capsys.readouterr().out
    assert "0 partitions made, 0 partitions closed" in said
    assert "0 deliveries dropped with their partition, 2 deliveries deleted" in said
    assert "2 recipients deleted" in said
    assert "1 looks at all partitions" in said
