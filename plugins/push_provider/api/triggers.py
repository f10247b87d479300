"""Trigger a push task: an execution begins now."""

from __future__ import annotations

from typing import Any

from airflow.utils.types import DagRunTriggeredByType
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool

from push_provider.api import audit, bodies, limits, openapi
from push_provider.api.bodies import Body, JsonBody
from push_provider.api.guards import Caller, CallerDep, Right, needs, sessions
from push_provider.api.models import Begun, ExecutionLinks, airflow_run, path
from push_provider.api.parameters import Code, IdempotencyKey
from push_provider.api.problems import Problem, invalid
from push_provider.api.waiting import when_known
from push_provider.channels.reading import parse_trigger
from push_provider.contract import Trigger, dag_id
from push_provider.exceptions import FieldError, RunRefused
from push_provider.intake.server_runs import ServerRuns
from push_provider.intake.starter import Started, Starter, note_waiting
from push_provider.ledger import answers, tasks
from push_provider.ledger.engine import get_engine
from push_provider.unforeseen import concerns_all

router = APIRouter(tags=["Tasks"])


def runs(app: FastAPI) -> ServerRuns:
    """Makes DAG runs in this process."""
    return ServerRuns(sessions, app.state.dag_bag, DagRunTriggeredByType.REST_API)


@router.post(
    "/tasks/{code}/trigger",
    status_code=202,
    responses={
        202: openapi.answer("The execution, which has begun", "Location", "Idempotency-Replayed"),
        **openapi.errors(400, 401, 403, 404, 409, 413, 415, 422, 429, 503),
    },
    openapi_extra=openapi.body("Trigger", required=False),
)
@needs(Right.RUN)
async def trigger_task(
    request: Request, response: Response, caller: CallerDep, code: Code, body: JsonBody, key: IdempotencyKey = None
) -> Begun:
    """Begin an execution of a push task now, to its own recipients or to others.

    Of a task that was created a moment ago the DAG is waited for. A task that is cancelled, finished or paused
    answers 409 and says why. Should the server die between planning and starting the execution, the same request
    with the same Idempotency-Key starts it.
    """
    # All that takes time is done in threads: on the event loop Airflow's tasks report that they are alive.
    beginning = await run_in_threadpool(_asked_for, request, caller, code, body, key)
    try:
        started = await when_known(code, beginning)
    except Exception as error:
        if beginning.started is None or not concerns_all(error):
            raise
        started = beginning.started
        note_waiting(code, started, error)
    if not started.new:
        response.headers["Idempotency-Replayed"] = "true"
    response.headers["Location"] = path(request, f"executions/{started.execution}")
    return Begun(
        task=code,
        execution=started.execution,
        number=started.number,
        recipients=started.recipients,
        dag_id=dag_id(code),
        run_id=started.run_id,
        links=ExecutionLinks(
            self=path(request, f"executions/{started.execution}"),
            task=path(request, f"tasks/{code}"),
            run=airflow_run(request, code, started.run_id),
            deliveries=path(request, f"deliveries?execution={started.execution}"),
        ),
    )


def _asked_for(request: Request, caller: Caller, code: str, body: Body, key: str | None) -> _Beginning:
    with audit.refusals(caller, "push_trigger_task", code):
        caller.require_trigger(code)
    document = body.mapping(optional=True)
    audit.write(caller, "push_trigger_task", code, said=document)
    ask = bodies.ask(caller, request, key, document)
    return _Beginning(Starter(get_engine(), runs(request.app), "rest", caller.name), code, document, ask)


class _Beginning:
    """Begins one execution, and once it is planned only makes its run, however often it is called."""

    def __init__(self, starter: Starter, code: str, document: dict[str, Any], ask: answers.Ask | None) -> None:
        self.started: Started | None = None
        self._starter = starter
        self._code = code
        self._document = document
        self._ask = ask
        self._trigger: Trigger | None = None

    def __call__(self) -> Started:
        """Go on with it.

        :raises DagNotReady: Airflow does not know the DAG yet; whether the execution is planned says ``started``.
        """
        if self.started is None:
            self.started = self._planned()
        try:
            self._starter.ensure_run(self._code, self.started)
        except RunRefused as error:
            raise Problem(409, "run-refused", f"Airflow refuses the run: {error}") from None
        return self.started

    def _planned(self) -> Started:
        if self._trigger is None:
            self._trigger = _read(self._document, tasks.get(self._starter.engine, self._code).channel)
        return self._starter.plan(self._code, self._trigger, ask=self._ask)


def _read(document: dict[str, Any], channel: str) -> Trigger:
    limits.check_recipients(document)
    trigger = parse_trigger(document, channel=channel)
    if trigger.execution is not None:
        raise invalid(FieldError("execution", "is not a field here; known are: recipients, variables"))
    return trigger
