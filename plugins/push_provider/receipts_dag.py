"""The DAG that asks for receipts, every minute: what ``dags/push_receipts.py`` calls."""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG

from push_provider.operators.receipts import ReceiptsOperator

DAG_ID = "push_receipts"


def receipts_dag() -> DAG:
    """Build the DAG and hand it to Airflow.

    One run at a time: two would not ask twice, but the second would find nothing to do.
    """
    dag = DAG(
        dag_id=DAG_ID,
        dag_display_name="Push receipts / 推送回执",
        description="Asks the providers what became of the messages that they accepted",
        schedule="* * * * *",
        start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
        catchup=False,
        max_active_runs=1,
        tags=["push:system"],
        is_paused_upon_creation=False,
        default_args={"owner": "push", "retries": 0, "execution_timeout": timedelta(minutes=10)},
    )
    with dag:
        ReceiptsOperator(task_id="ask")
    return dag
