"""The DAG of the platform's upkeep, every ten minutes: what ``dags/push_upkeep.py`` calls."""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG

from push_provider.operators.upkeep import UpkeepOperator

DAG_ID = "push_upkeep"


def upkeep_dag() -> DAG:
    """Build the DAG and hand it to Airflow.

    One run at a time; a run that does not get to the end of it leaves the rest to the next.
    """
    dag = DAG(
        dag_id=DAG_ID,
        dag_display_name="Push upkeep / 推送维护",
        description="What is done with retires, and what is old leaves the ledger, as the options of [push] have it",
        schedule="*/10 * * * *",
        start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
        catchup=False,
        max_active_runs=1,
        tags=["push:system"],
        doc_md=_DOC,
        is_paused_upon_creation=False,
        default_args={"owner": "push", "retries": 0, "execution_timeout": timedelta(minutes=15)},
    )
    with dag:
        UpkeepOperator(task_id="keep")
    return dag


_DOC = """
### What is done with, and what is old

Push tasks that are finished, failed or cancelled are no DAGs any more `retire_after` seconds after their last
execution.

Partitions of deliveries are made ahead, closed when they are full or old, and dropped when nothing of them is kept.

From the ledger go: executions and their deliveries after `retention_days`, rejected messages after `rejected_days`, and
ids of messages after `message_id_days`; answers to an `Idempotency-Key` after a day; and what a purged push task has
left. The log of each run says how many.

Paused, it leaves everything where it is.
"""
