"""What stands around a task of another DAG: Airflow's side of it, its context, and push tasks that it can begin."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time.comms import DagResult, ErrorResponse, GetDag, OKResponse, TriggerDagRun

from push_provider.channels.base import Outcome, Result
from push_provider.channels.reading import parse
from push_provider.ledger import closing, definitions, sending

if TYPE_CHECKING:
    from sqlalchemy import Engine

NOW = datetime(2026, 7, 1, tzinfo=UTC)


class Supervisor:
    """Airflow's side of a task: knows which DAGs are paused, makes DAG runs and remembers which, or refuses all."""

    def __init__(self) -> None:
        self.runs: dict[str, TriggerDagRun] = {}
        self.paused: set[str] = set()
        self.refuses = False
        self.asked = 0

    def send(self, asked: GetDag | TriggerDagRun) -> DagResult | OKResponse:
        """Answer as the real one does."""
        self.asked += 1
        if self.refuses:
            detail = {"status_code": 404, "message": "not found"}
            raise AirflowRuntimeError(ErrorResponse(error=ErrorType.GENERIC_ERROR, detail=detail))
        if isinstance(asked, GetDag):
            return DagResult(
                dag_id=asked.dag_id, is_paused=asked.dag_id in self.paused, bundle_name=None, bundle_version=None,
                relative_fileloc=None, owners=None, tags=[], next_dagrun=None,
            )  # fmt: skip
        assert isinstance(asked, TriggerDagRun)
        assert asked.run_id not in self.runs
        self.runs[asked.run_id] = asked
        return OKResponse(ok=True)


def apply(ledger: Engine, code: str, **fields: Any) -> None:
    """A push task that takes any number of executions, each with recipients of its own."""
    task = {"code": code, "name": "T", "channel": "email", "subject": "Hello", "content": "x",
            "schedule": {"kind": "manual"}, "execution": {"type": "loop"}, **fields}  # fmt: skip
    definitions.apply(ledger, parse(task), now=NOW, default_timezone="UTC")


def context(task_id: str = "tell", *, run: str = "run", tried: int = 1, mapped: int = -1, clears: int = 0) -> Any:
    """What Airflow hands to a task and to its callback."""
    instance = SimpleNamespace(
        dag_id="daily", run_id=run, task_id=task_id, map_index=mapped, try_number=tried, state="failed"
    )
    dag_run = SimpleNamespace(dag_id="daily", run_id=run, clear_number=clears, state="failed")
    return {"ti": instance, "dag_run": dag_run, "run_id": run, "dag": SimpleNamespace(dag_id="daily")}


def send(ledger: Engine, execution: int, *results: Result, code: str = "notice") -> None:
    """Send an execution as its own DAG run does."""
    with sending.held(ledger, code, execution, on_unknown="resend") as lease:
        claimed = sending.claim(lease, 10)
        sending.record(lease, [Outcome(one.id, result) for one, result in zip(claimed, results, strict=True)])
        closing.finish(ledger, execution, final=True)
