"""The task log: executions, and sending again what failed."""

from __future__ import annotations

from typing import Annotated, Any

from airflow.utils.types import DagRunTriggeredByType
from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import Field
from sqlalchemy.exc import IntegrityError

from push_provider.api import audit, openapi
from push_provider.api.bodies import Body, JsonBody, unknown_fields
from push_provider.api.guards import RUN, Caller, CallerDep, Right, needs, sessions
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
from push_provider.api.waiting import when_known
from push_provider.contract import run_id_of
from push_provider.exceptions import FieldError, NothingToRedrive
from push_provider.ledger import executions, retiring, sending
from push_provider.ledger.engine import get_engine
from push_provider.ledger.executions import ExecutionRow
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
    retired = retiring.retired(engine, {row.task_code for row in found}) if found else ()
    items = [execution_answer(request, row, retired) for row in found]
    return page(ExecutionPage, wanted, items, lambda cap: executions.count(engine, cap=cap, **filters))


@router.get("/executions/{execution}", responses=openapi.errors(401, 403, 404, 422, 429))
@needs(Right.READ)
def get_execution(request: Request, caller: CallerDep, execution: ExecutionId) -> ExecutionAnswer:
    """One execution: when, by whom, how many got it."""
    caller.require_any_read(RUN)
    engine = get_engine()
    row = executions.get(engine, execution)
    caller.require_execution(execution, row.task_code)
    return execution_answer(request, row, retiring.retired(engine, [row.task_code]))


@router.post(
    "/executions/{execution}/redrive",
    status_code=202,
    responses=openapi.errors(400, 401, 403, 404, 409, 413, 415, 422, 429, 503),
    openapi_extra=openapi.body("Redrive", required=False),
)
@needs(Right.READ, Right.RUN)
async def redrive_execution(request: Request, caller: CallerDep, execution: ExecutionId, body: JsonBody) -> Redriven:
    """Send an execution again to those who did not get it, and to no one else; with the text that was meant then.

    It is the same as *Clear* in Airflow's UI: the DAG run goes on, with its log. `unknown` says whether deliveries in
    doubt are sent again as well; left out, the task's `on_unknown` does. An execution of a finished task can be sent
    again, and a retired one becomes a DAG again for it; one that is under way, or of a cancelled task, cannot (409).
    """
    again = await run_in_threadpool(_asked_again, request, caller, execution, body)
    return await when_known(again.task, again)


def _asked_again(request: Request, caller: Caller, execution: int, body: Body) -> _Again:
    told = {"execution": execution}
    with audit.refusals(caller, "push_redrive_execution", said=told):
        caller.require_any_read(RUN)
    document = body.mapping(optional=True)
    unknown = document.pop("unknown", None)
    if faults := unknown_fields(document, "unknown"):
        raise broken(faults)
    if unknown is not None and not isinstance(unknown, bool):
        raise invalid(FieldError("unknown", "must be true or false"))
    engine = get_engine()
    row = executions.get(engine, execution)
    with audit.refusals(caller, "push_redrive_execution", row.task_code, said=told):
        caller.require_execution(execution, row.task_code)
        caller.require_trigger(row.task_code)
    run_id = row.run_id or run_id_of(row.source, row.id)
    audit.write(
        caller,
        "push_redrive_execution",
        row.task_code,
        run_id=run_id,
        said={**told, "unknown": unknown},
    )
    row = sending.prepare_redrive(engine, execution, unknown=unknown)
    return _Again(request, caller, row._replace(run_id=run_id), waits=retiring.revive(engine, row.task_code))


class _Again:
    """Lets the run of an execution go on, or makes it once more if somebody has deleted it.

    :param row: with the run's id.
    :param waits: first for the DAG, which is on its way back.
    """

    def __init__(self, request: Request, caller: Caller, row: ExecutionRow, *, waits: bool) -> None:
        self.task = row.task_code
        self._request = request
        self._caller = caller
        self._row = row
        self._waits = waits

    def __call__(self) -> Redriven:
        """Do it.

        :raises DagNotReady: Airflow does not know the DAG yet; nothing has happened.
        :raises NothingToRedrive: it is being sent again already.
        """
        row = self._row
        run_id = str(row.run_id)
        try:
            with sessions() as session:
                if self._waits and not runs.is_known(session, self.task):
                    raise runs.not_ready(self.task)
                if not runs.clear(session, self.task, run_id):
                    # Somebody has deleted the run, or its DAG was away; a new one goes on with the same execution.
                    if not runs.may_be_made(run_id):
                        run_id = run_id_of("rest", row.id)
                        executions.rebind(get_engine(), row.id, run_id)
                        self._row = row = row._replace(run_id=run_id)
                    runs.create(
                        session,
                        self._request.app.state.dag_bag,
                        self.task,
                        run_id=run_id,
                        execution=row.id,
                        triggered_by=DagRunTriggeredByType.REST_API,
                        user=self._caller.name,
                    )
        except IntegrityError:
            raise NothingToRedrive(f"Execution {row.id} is being sent again already.") from None
        return Redriven(
            execution=row.id,
            task=self.task,
            run_id=run_id,
            failed=row.failed,
            unknown=row.unknown,
            links=execution_answer(self._request, row).links,
        )
