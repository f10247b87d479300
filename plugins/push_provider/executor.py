"""A LocalExecutor whose workers have imported what a push needs before they fork.

A task process then begins to send a quarter of a second after its trigger, instead of a second. Set
``[core] executor = push_provider.executor.WarmLocalExecutor``. Changed operators need a scheduler restart, as
with every module that a long-lived process has imported; leave it out where people edit this package's code.
"""

from __future__ import annotations

import contextlib
import importlib

from airflow.executors.local_executor import LocalExecutor

_MODULES = (
    "airflow.sdk.execution_time.supervisor",
    "airflow.sdk.execution_time.task_runner",
    "airflow.dag_processing.dagbag",
    "airflow.dag_processing.bundles.manager",
    "airflow.dag_processing.bundles.local",
    "airflow.providers.smtp.hooks.smtp",
    "psycopg_binary",
    "psycopg.types.json",
    "sqlalchemy.dialects.postgresql.psycopg",
    "jinja2.sandbox",
    "push_provider.bundle",
    "push_provider.content",
    "push_provider.dag_factory",
    "push_provider.operators.push",
    "push_provider.channels.email",
    "push_provider.hooks.email",
    "push_provider.ledger.deliveries",
    "airflow.providers.apache.kafka.hooks.base",
    "push_provider.kafka.drain",
    "push_provider.sensors.kafka",
    "push_provider.triggers.kafka",
)


class WarmLocalExecutor(LocalExecutor):
    """Airflow's LocalExecutor, with the modules of a push imported before its workers are forked."""

    def start(self) -> None:
        """Import, then start as LocalExecutor does."""
        for module in _MODULES:
            # A module that another version has renamed only costs its head start.
            with contextlib.suppress(ImportError):
                importlib.import_module(module)
        super().start()
