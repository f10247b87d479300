"""The task log: executions, and sending again what failed."""

from __future__ import annotations

from typing import Annotated, Any

from airflow.utils.types import DagRunTriggeredByType
from fastapi import APIRouter, Query, Request
from pydantic import Field
from sqlalchemy.exc import IntegrityError

from push_provider.api import audit, openapi
from push_provider.api.bodies import JsonBody, unknown_fields
from push_provider.api.guards import RUN, CallerDep, Right, needs, sessions
from push_provider.api.models import (
    Answer,
    ExecutionAnswer,
    ExecutionLinks,
    ExecutionPage,
    Id,
    Source,
    execution_answer,
)
from push_provider.api.paging import RangeDep, page
from push_provider.api.parameters import CodeFilter, ExecutionId, Moment, Text
from push_provider.api.problems import broken, invalid
from push_provider.contract import run_id_of
from push_provider.exceptions import FieldError, NothingToRedrive
from push_provider.ledger import executions, sending
from push_provider.ledger.engine import get_engine
from push_provider.ledger.tables import ExecutionState
from push_provider.metadata import runs

router = APIRouter(tags=["Executions"])


class Redriven(Answer):
    """An execution that is being sent again to those who did not get it."""

    execution: Id
    task: str
    run_id: str
    failed: int = Field(description="Deliveries that failed, and are tried again")
    unknown: int = Field(description="Deliveries in doubt; `on_unknown`, or the request, says what becomes of them")
    links: ExecutionLinks


@router.get("/executions", responses=openapi.errors(401, 403, 422, 429))
@needs(Right.READ)
def list_executions(
    request: Request,
    caller: CallerDep,
    wanted: RangeDep,
    task: CodeFilter = None,
    state: ExecutionState | None = None,
    source: Source | None = None,
    run: Annotated[Text | None, Query(description="Of this DAG run; with `task`, whose run it is")] = None,
    begun_from: Annotated[Moment | None, Query(alias="from", description="Begun at this moment or later")] = None,
    begun_to: Annotated[Moment | None, Query(alias="to", description="Begun before this moment")] = None,
) -> ExecutionPage:
    """Executions of push tasks that the caller may see, newest first."""
    caller.require_any_read(RUN)
    if run is not None and task is None:  # runs of two DAGs may have one name
        raise invalid(FieldError("task", "name the push task whose run it is"))
    filters: dict[str, Any] = {
        "codes": caller.readable(),
        "task": task,
        "state": state,
        "source": source,
        "run": run,
        "begun_from": begun_from,
        "begun_to": begun_to,
    }
    engine = get_engine()
    found = executions.find(engine, limit=wanted.limit, offset=wanted.offset, **filters)
    items = [execution_answer(request, row) for row in found]
    return page(ExecutionPage, wanted, items, lambda cap: executions.count(engine, cap=cap, **filters))


@router.get("/executions/{execution}", responses=openapi.errors(401, 403, 404, 422, 429))
@needs(Right.READ)
def get_execution(request: Request, caller: CallerDep, execution: ExecutionId) -> ExecutionAnswer:
    """One execution: when, by whom, how many got it."""
    caller.require_any_read(RUN)
    row = executions.get(get_engine(), execution)
    caller.require_execution(execution, row.task_code)
    return execution_answer(request, row)


@router.post(
    "/executions/{execution}/redrive",
    status_code=202,
    responses=openapi.errors(400, 401, 403, 404, 409, 413, 415, 422, 429, 503),
    openapi_extra=openapi.body("Redrive", required=False),
)
@needs(Right.READ, Right.RUN)
def redrive_execution(request: Request, caller: CallerDep, execution: ExecutionId, body: JsonBody) -> Redriven:
    """Send an execution again to those who did not get it, and to no one else; with the text that was meant then.

    It is the same as *Clear* in Airflow's UI: the DAG run goes on, with its log. `unknown` says whether deliveries in
    doubt are sent again as well; left out, the task's `on_unknown` does. An execution of a finished task can be sent
    again; one that is under way, or of a cancelled task, cannot (409).
    """
    caller.require_any_read(RUN)
    document = body.mapping(optional=True)
    unknown = document.pop("unknown", None)
    if faults := unknown_fields(document, "unknown"):
        raise broken(faults)
    if unknown is not None and not isinstance(unknown, bool):
        raise invalid(FieldError("unknown", "must be true or false"))
    engine = get_engine()
    row = executions.get(engine, execution)
    caller.require_execution(execution, row.task_code)
    caller.require_trigger(row.task_code)
    run_id = row.run_id or run_id_of(row.source, row.id)
    audit.write(
        caller,
        "push_redrive_execution",
        row.task_code,
        run_id=run_id,
        said={"execution": execution, "unknown": unknown},
    )
    row = sending.prepare_redrive(engine, execution, unknown=unknown)
    try:
        with sessions() as session:
            if not runs.clear(session, row.task_code, run_id):
                # Somebody has deleted the run; a new one of the same id goes on with the same execution.
                runs.create(
                    session,
                    request.app.state.dag_bag,
                    row.task_code,
                    run_id=run_id,
                    execution=execution,
                    triggered_by=DagRunTriggeredByType.REST_API,
                    user=caller.name,
                )
    except IntegrityError:
        raise NothingToRedrive(f"Execution {execution} is being sent again already.") from None
    return Redriven(
        execution=execution,
        task=row.task_code,
        run_id=run_id,
        failed=row.failed,
        unknown=row.unknown,
        links=execution_answer(request, row._replace(run_id=run_id)).links,
    )
