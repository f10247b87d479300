"""A DAG that is not a push task, and tells people by push tasks: its readers what it found, its owner that it failed.

It needs push tasks of include/tasks: dag-failed.yaml and order-notice.yaml.
"""

from __future__ import annotations

from airflow.sdk import dag, task

from push_provider.notifications.push import PushNotifier
from push_provider.operators.begin import PushOperator


@dag(
    schedule=None,
    on_failure_callback=PushNotifier(
        push_task="dag-failed",
        variables={"dag": "{{ dag.dag_id }}", "run": "{{ run_id }}"},
    ),
)
def daily_figures() -> None:
    """Ask for the orders of a day, and tell each customer of theirs."""

    @task
    def orders() -> list[dict[str, object]]:
        return [
            {"to": "ann@example.com", "variables": {"name": "Ann", "order": "A-1001"}},
            {"to": "bob@example.com", "variables": {"name": "Bob", "order": "A-1002"}},
        ]

    PushOperator(
        task_id="tell_customers",
        push_task="order-notice",
        recipients=orders(),
        wait_for_outcome=True,  # green only when everybody has it
        deferrable=True,  # and no worker is kept waiting
    )


daily_figures()
