"""DAG runs of executions, asked of Airflow from within a task.

The one place that uses Airflow's task-to-supervisor protocol for it, as TriggerDagRunOperator does, which makes one run
and ends. It is no public API: Airflow is pinned, and a test holds it to what is used here.
"""

from __future__ import annotations

import os

from push_provider.contract import dag_id
from push_provider.exceptions import DagNotReady, TaskPaused


class TaskRuns:
    """Makes the runs; see :class:`~push_provider.intake.starter.Runs`."""

    def check(self, code: str) -> None:
        """Make sure that a run would begin; it would if there is no DAG yet, or Airflow cannot say just now."""
        from airflow.sdk.exceptions import AirflowRuntimeError
        from airflow.sdk.execution_time import task_runner
        from airflow.sdk.execution_time.comms import DagResult, GetDag

        try:
            answer = task_runner.SUPERVISOR_COMMS.send(GetDag(dag_id=dag_id(code)))
        except AirflowRuntimeError:
            return  # making the run tells what is wrong
        if isinstance(answer, DagResult) and answer.is_paused:
            raise TaskPaused(f"Push task {code!r} is paused: it takes no execution. Resume it first.")

    def make(self, code: str, run_id: str, execution: int, user: str | None) -> None:  # noqa: ARG002  (Airflow knows)
        """Make the run of an execution, unless it is there."""
        from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
        from airflow.sdk.execution_time import task_runner
        from airflow.sdk.execution_time.comms import ErrorResponse, TriggerDagRun

        # No logical date: two runs with one would be the same to Airflow, and the second a message that is lost.
        asked = TriggerDagRun(dag_id=dag_id(code), run_id=run_id, conf={"execution": execution})
        try:
            answer = task_runner.SUPERVISOR_COMMS.send(asked)
        except AirflowRuntimeError as error:
            raise DagNotReady(_reason(error)) from None
        if isinstance(answer, ErrorResponse) and answer.error != ErrorType.DAGRUN_ALREADY_EXISTS:
            raise DagNotReady(f"{answer.error.value}: {answer.detail}")


def in_task() -> bool:
    """Whether this process carries out a task, so that Airflow answers what is asked here.

    The DAG processor and the triggerer, which call callbacks, give no answer at all to what they do not know: whoever
    asks them for a run waits until he is killed.
    """
    # "Accessing Airflow context variables from TaskInstance" in Airflow's docs: they are there in tasks alone.
    return "AIRFLOW_CTX_TASK_ID" in os.environ


def _reason(error: Exception) -> str:
    fault = getattr(error, "error", None)
    detail = getattr(fault, "detail", None) or {}
    inner = detail.get("detail") or {}
    inner = inner.get("detail", inner) if isinstance(inner, dict) else {}
    message = inner.get("message") if isinstance(inner, dict) else None
    return str(message or detail.get("message") or error)
