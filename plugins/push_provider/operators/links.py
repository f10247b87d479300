"""Links that Airflow's UI shows on the tasks of push DAGs, and addresses for logs."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseOperatorLink, conf


def page_of(execution: int) -> str:
    """The address of an execution on the Push page: who got the message, who did not, and why."""
    return f"{airflow_url()}/plugin/push/executions/{execution}"


def airflow_url() -> str:
    """The address of Airflow's UI, without a slash at its end."""
    return str(conf.get("api", "base_url", fallback="")).rstrip("/")


class DeliveriesLink(BaseOperatorLink):
    """Leads from the task that sent an execution to its deliveries."""

    name = "Deliveries"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002  (Airflow's signature)
        """Their address; empty before the execution has begun. Airflow asks when the task's process ends."""
        execution = getattr(operator, "execution_id", None)
        return "" if execution is None else page_of(execution)
