"""The DAG file, as Airflow reads it."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from push_provider.kafka_dag import push_kafka

DAGS = Path(__file__).parents[2] / "dags"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Airflow's own, of how it reads .airflowignore
def test_airflow_finds_one_dag_that_always_has_one_run() -> None:
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(dag_folder=DAGS, load_op_links=False)
    assert bag.import_errors == {}
    dag = bag.dags["push_kafka"]
    assert dag.schedule == "@continuous"
    assert (dag.max_active_runs, dag.catchup, dag.is_paused_upon_creation) == (1, False, False)
    (sensor,) = dag.tasks
    # A run that failed would be followed by the next at once.
    assert sensor.retries >= 10_000
    assert sensor.retry_delay >= timedelta(seconds=5)


def test_it_has_as_many_tasks_as_there_are_to_be_drains(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has a share of its own, and all may run at the same time."""
    (sensor,) = push_kafka().tasks
    assert (sensor.task_id, sensor.drain, sensor.drains) == ("listen", 0, 1)
    monkeypatch.setenv("AIRFLOW__PUSH__KAFKA_DRAINS", "20")
    dag = push_kafka()
    assert [task.task_id for task in dag.tasks][:3] == ["listen", "listen_2", "listen_3"]
    assert [(task.drain, task.drains) for task in dag.tasks] == [(number, 20) for number in range(20)]
    assert not any(task.downstream_task_ids for task in dag.tasks)
    assert (dag.max_active_runs, dag.max_active_tasks) == (1, 20)


@pytest.mark.slow
def test_reading_it_costs_little() -> None:
    script = (
        "import json, sys; from airflow.sdk import DAG; before = set(sys.modules)\n"
        "import push_provider.kafka_dag; push_provider.kafka_dag.push_kafka()\n"
        "print('RESULT' + json.dumps(sorted({m.split('.')[0] for m in set(sys.modules) - before})))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    brought = set(json.loads(done.stdout.rpartition("RESULT")[2]))
    assert brought & {"confluent_kafka", "sqlalchemy", "psycopg", "pydantic", "jinja2"} == set()
