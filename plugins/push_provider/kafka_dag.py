"""The DAG that listens to Kafka."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG

from push_provider import settings
from push_provider.sensors.kafka import PushKafkaSensor


def push_kafka() -> DAG:
    """Build the DAG and hand it to Airflow: always one run, of an hour, that waits for messages and takes them in.

    Its tasks, as many as ``[push] kafka_drains`` says, share the partitions. ``@continuous`` has one run at a time; and
    tasks of their own, where a mapped one would do, come and go within a run when the option has changed.

    :raises ConfigurationError: the option is no number.
    """
    drains = settings.kafka_drains()
    dag = DAG(
        dag_id="push_kafka",
        dag_display_name="Push: Kafka",
        description=f"Messages of {settings.kafka_topics()} start executions and inject push tasks",
        schedule="@continuous",
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        max_active_runs=1,
        max_active_tasks=drains,
        catchup=False,
        tags=["push:system"],
        doc_md=_DOC,
        is_paused_upon_creation=False,
        default_args={
            "owner": "push",
            # A run that failed would be followed by the next one at once, and so on; a try waits.
            "retries": 100_000,
            "retry_delay": timedelta(seconds=10),
        },
    )
    with dag:
        for number in range(drains):
            name = f"listen_{number + 1}" if number else "listen"
            PushKafkaSensor(task_id=name, drain=number, drains=drains)
    return dag


_DOC = """
### Kafka messages start executions

Waits in the triggerer, takes messages in a worker, and waits again. Each run ends after an hour, and the next begins.

What could not be used: `airflow push rejected`.
"""
