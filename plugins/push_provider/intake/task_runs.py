"""Asks Airflow from within a task about DAGs of push tasks, and for their runs.

The one place that uses Airflow's task-to-supervisor protocol for it, as TriggerDagRunOperator does, which makes one run
and ends. It is no public API: Airflow is pinned, and a test holds it to what is used here.
"""

from __future__ import annotations

import os

from push_provider.contract import dag_id, run_id_of


def make(code: str, execution: int, source: str) -> str | None:
    """Make the run of an execution that was planned, unless it is there.

    :param source: of the execution.
    :returns: why not; None if it is there.
    """
    from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import ErrorResponse, TriggerDagRun

    # No logical date: two runs with one would be the same to Airflow, and the second a message that is lost.
    run = run_id_of(source, execution)
    asked = TriggerDagRun(dag_id=dag_id(code), run_id=run, conf={"execution": execution})
    try:
        answer = task_runner.SUPERVISOR_COMMS.send(asked)
    except AirflowRuntimeError as error:
        return _reason(error)
    if isinstance(answer, ErrorResponse) and answer.error != ErrorType.DAGRUN_ALREADY_EXISTS:
        return f"{answer.error.value}: {answer.detail}"
    return None


def is_paused(code: str) -> bool:
    """Whether the DAG of a push task is paused; False also if there is none, or Airflow cannot say just now."""
    from airflow.sdk.exceptions import AirflowRuntimeError
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import DagResult, GetDag

    try:
        answer = task_runner.SUPERVISOR_COMMS.send(GetDag(dag_id=dag_id(code)))
    except AirflowRuntimeError:
        return False  # making the run tells what is wrong
    return isinstance(answer, DagResult) and answer.is_paused


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
