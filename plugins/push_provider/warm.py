"""What a push needs, imported before the processes of tasks are forked: a push then begins at once.

Changed modules need a restart of whoever forks, as with every module that a long-lived process has imported.
"""

from __future__ import annotations

import contextlib
import importlib
import logging

from push_provider.channels import registry

log = logging.getLogger(__name__)

_MODULES = (
    "airflow.sdk.execution_time.supervisor",
    "airflow.sdk.execution_time.task_runner",
    "airflow.dag_processing.dagbag",
    "airflow.dag_processing.bundles.manager",
    "airflow.dag_processing.bundles.local",
    "psycopg_binary",
    "psycopg.types.json",
    "sqlalchemy.dialects.postgresql.psycopg",
    "jinja2.sandbox",
    "push_provider.bundle",
    "push_provider.rendering",
    "push_provider.dag_factory",
    "push_provider.operators.push",
    "push_provider.ledger.deliveries",
    "push_provider.sending.loop",
    "airflow.providers.apache.kafka.hooks.base",
    "push_provider.kafka.drain",
    "push_provider.sensors.kafka",
    "push_provider.triggers.kafka",
)


def up() -> None:
    """Import all of it; a module that another version has renamed, or that is broken, only costs its head start."""
    for module in (*_MODULES, *registry.modules()):
        try:
            with contextlib.suppress(ImportError):
                importlib.import_module(module)
        except Exception as error:  # noqa: BLE001  (another package's fault must not keep everything from starting)
            log.warning("%s is not imported beforehand (%s: %s)", module, type(error).__name__, error)
