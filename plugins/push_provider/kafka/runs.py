"""Makes the DAG runs of executions that messages have begun.

The one place that uses Airflow's task-to-supervisor protocol for it, as TriggerDagRunOperator does, which makes one run
and ends. It is no public API: Airflow is pinned, and a test holds it to what is used here.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from push_provider.task import dag_id, run_id_of
from push_provider.unforeseen import Unforeseen, concerns_all

if TYPE_CHECKING:
    from sqlalchemy import Engine

log = logging.getLogger(__name__)
_unforeseen = Unforeseen(log)


def make_waiting(engine: Engine) -> int:
    """Make the runs of all executions that have none; only in a task.

    A process that dies between making a run and noting it makes it again, and Airflow says that it is there.

    :returns: how many still wait: their DAG is not there yet, or Airflow cannot be asked.
    """
    from push_provider.ledger import executions, messages

    left = 0
    refused: set[str] = set()
    for execution, code in messages.waiting(engine):
        if code not in refused:
            refusal = _made(code, execution)
            if refusal is None:
                executions.note_run(engine, execution, run_id_of(messages.SOURCE, execution))
                continue
            # And the others of this DAG would hear the same.
            refused.add(code)
            log.info("Execution %s of push task %s waits for its DAG run: %s", execution, code, refusal)
        left += 1
    return left


def _made(code: str, execution: int) -> str | None:
    try:
        return make(code, execution)
    except Exception as error:
        if concerns_all(error):
            raise
        return _unforeseen.told(error, f"The DAG run of execution {execution}")


def make(code: str, execution: int) -> str | None:
    """Make one run, unless it is there.

    :returns: why not; None if it is there.
    """
    from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import ErrorResponse, TriggerDagRun

    from push_provider.ledger.messages import SOURCE

    # No logical date: two runs with one would be the same to Airflow, and the second a message that is lost.
    run = run_id_of(SOURCE, execution)
    asked = TriggerDagRun(dag_id=dag_id(code), run_id=run, conf={"execution": execution})
    try:
        answer = task_runner.SUPERVISOR_COMMS.send(asked)
    except AirflowRuntimeError as error:
        return _reason(error)
    if isinstance(answer, ErrorResponse) and answer.error != ErrorType.DAGRUN_ALREADY_EXISTS:
        return f"{answer.error.value}: {answer.detail}"
    return None


def _reason(error: Exception) -> str:
    fault = getattr(error, "error", None)
    detail = getattr(fault, "detail", None) or {}
    inner = detail.get("detail") or {}
    inner = inner.get("detail", inner) if isinstance(inner, dict) else {}
    message = inner.get("message") if isinstance(inner, dict) else None
    return str(message or detail.get("message") or error)
