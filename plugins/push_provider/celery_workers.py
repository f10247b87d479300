"""Celery workers that are warm, and whose waiting tasks hear of their end.

Airflow's CeleryExecutor takes its settings for Celery from the name in ``[celery] celery_config_options``; set it to
``push_provider.celery_workers.CELERY_CONFIG``. These are Airflow's own; what this module adds are two of Celery's
signals (https://docs.celeryq.dev/en/stable/userguide/signals.html). Needs apache-airflow-providers-celery.
"""

from __future__ import annotations

from typing import Any

from airflow.providers.celery.executors.default_celery import DEFAULT_CELERY_CONFIG
from celery.signals import worker_init, worker_shutting_down

from push_provider import ending

CELERY_CONFIG: dict[str, Any] = {**DEFAULT_CELERY_CONFIG}


@worker_init.connect(weak=False)
def _begin(**_: Any) -> None:
    """Before a worker forks the processes of its pool."""
    from push_provider import warm  # not in the scheduler, which reads these settings, too

    ending.prepare()
    warm.up()


@worker_shutting_down.connect(weak=False)
def _end(**_: Any) -> None:
    """At SIGTERM a worker takes no more tasks and ends when those under way are done: those that only wait are told."""
    ending.want()
