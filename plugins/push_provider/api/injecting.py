"""Push tasks are brought in: one, or many at once, each of which is created or refused by itself."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field
from sqlalchemy import Connection

from push_provider import settings
from push_provider.api import audit, bodies, limits, openapi
from push_provider.api.bodies import JsonBody, unknown_fields
from push_provider.api.exact import exactly
from push_provider.api.guards import Caller, CallerDep, Right, needs
from push_provider.api.models import (
    Answer,
    TaskAnswer,
    path,
    task_created,
)
from push_provider.api.parameters import Flag, IdempotencyKey
from push_provider.api.preview import PreviewAnswer, first_preview
from push_provider.api.problems import Problem, ProblemDetails, broken, fault, invalid, of_error
from push_provider.api.rendering import AskerDep
from push_provider.api.task_answers import now
from push_provider.channels.reading import parse
from push_provider.contract import CODE_PATTERN, PushTask
from push_provider.exceptions import FieldError, InvalidTask, PushError
from push_provider.ledger import answers, definitions, shards
from push_provider.ledger.engine import explained, get_engine, transaction
from push_provider.policy import effects
from push_provider.policy.effects import Effect
from push_provider.policy.quotas import open_tasks
from push_provider.rendering import workers
from push_provider.rendering.processes import Gone
from push_provider.rendering.workers import Asker
from push_provider.unforeseen import Unforeseen, concerns_all

log = logging.getLogger(__name__)
router = APIRouter(tags=["Tasks"])
BULK_LIMIT = 1000


class DryRun(Answer):
    """What would be created or changed, and what the first recipient would get."""

    task: TaskAnswer
    preview: PreviewAnswer | None = Field(description="Null for a task without recipients of its own")


class BulkEntry(Answer):
    """What became of one task of a bulk call."""

    index: int = Field(description="Its place in the list, from 0")
    status: int = Field(description="201, or the status that it would have got by itself")
    task: TaskAnswer | None = None
    problem: ProblemDetails | None = None


class BulkAnswer(Answer):
    """What became of each task of a bulk call."""

    created: int
    refused: int
    items: list[BulkEntry]


@router.post(
    "/tasks",
    status_code=201,
    response_model=TaskAnswer,
    responses={
        200: {"model": DryRun, "description": "With `dry_run=true`: all is sound, and nothing was created"},
        201: openapi.answer("The push task, which exists from now on", "Location", "Idempotency-Replayed"),
        **openapi.errors(400, 401, 403, 409, 413, 415, 422, 429, 503),
    },
    openapi_extra=openapi.body("PushTask"),
)
@needs(Right.EDIT, effects=Effect)
def create_task(
    request: Request,
    response: Response,
    caller: CallerDep,
    asker: AskerDep,
    body: JsonBody,
    key: IdempotencyKey = None,
    dry_run: Annotated[Flag, Query(description="Check everything, show the first message, and create nothing")] = False,
) -> Any:
    """Inject a push task. It is a DAG within a second, and a task that is due at once is sent then.

    Left out, `app` and `owner` are the caller.
    """
    document = body.mapping()
    code = _code_in(document)
    with audit.refusals(caller, "push_create_task", code):
        if code is None:
            caller.require_any_edit()
        else:
            caller.require_edit(code)
    with audit.attempt(caller, "push_create_task", code, said=document, more={"dry_run": True} if dry_run else None):
        task = _read(caller, asker, document)
    if dry_run:
        tried = _try_create(request, asker, task)
        return exactly(tried, preview=tried.preview and tried.preview.model_dump())
    ask = bodies.ask(caller, request, key, document)
    open_limit = open_tasks.limit(get_engine(), task.app)

    def create(connection: Connection) -> dict[str, Any]:
        row = definitions.create(connection, task, **now(), open_limit=open_limit)
        shards.changed(connection, task.code)
        return task_created(request, row, task).model_dump(mode="json")

    answer = _once(response, ask, create)
    response.headers["Location"] = path(request, f"tasks/{answer['code']}")
    return answer


@router.post(
    "/tasks/bulk",
    response_model=BulkAnswer,
    responses={
        200: openapi.answer("What became of each task", "Idempotency-Replayed"),
        **openapi.errors(400, 401, 403, 409, 413, 415, 422, 429, 503),
    },
    openapi_extra=openapi.body("PushTasks"),
)
@needs(Right.EDIT, effects=Effect)
def create_tasks(
    request: Request,
    response: Response,
    caller: CallerDep,
    asker: AskerDep,
    body: JsonBody,
    key: IdempotencyKey = None,
) -> Any:
    """Inject up to 1,000 push tasks: each is created or refused by itself, and has its own answer."""
    with audit.refusals(caller, "push_create_tasks"):
        caller.require_any_edit()
    document = body.mapping()
    audit.write(caller, "push_create_tasks", said=document)
    documents = document.pop("tasks", None)
    if document:
        raise broken(unknown_fields(document, "tasks"))
    if not isinstance(documents, list) or not 1 <= len(documents) <= BULK_LIMIT:
        raise invalid(FieldError("tasks", f"must be a list of 1 to {BULK_LIMIT} push tasks"))
    ask = bodies.ask(caller, request, key, documents)
    entries: dict[int, dict[str, Any]] = {}
    forbidden: dict[int, dict[str, Any]] = {}
    readable: list[tuple[int, PushTask]] = []
    refusals = _Refusals()
    for index, one in enumerate(documents):
        try:
            readable.append((index, _read(caller, asker, one)))
        except Gone:
            raise
        except Exception as error:  # noqa: BLE001  (whatever it is, it is told)
            entries[index] = refusals.entry(error, index)
            if isinstance(error, Problem | PushError) and (told := audit.refused(error)):
                forbidden[index] = told
    codes = {index: task.code for index, task in readable}
    tried = [
        (codes.get(index) or _code_in(one), one, forbidden.get(index))
        for index, one in enumerate(documents)
        if isinstance(one, dict)
    ]
    audit.write_each(caller, "push_create_task", [(code, one, more) for code, one, more in tried if code is not None])

    def create(connection: Connection) -> dict[str, Any]:
        # The counts of all applications, then the codes, then the shards, each in order: two bulk calls at once must
        # not wait for each other.
        limits = _lock_counts(connection, [task.app for _, task in readable])
        created = []
        for index, task in sorted(readable, key=lambda entry: entry[1].code):
            try:
                with connection.begin_nested():
                    row = definitions.create(connection, task, **now(), open_limit=limits[task.app])
                    entry = {"status": 201, "task": task_created(request, row, task).model_dump(mode="json")}
            except Exception as error:  # noqa: BLE001  (whatever it is, it is told)
                entry = refusals.entry(error, index)
            else:
                created.append(task.code)
            entries[index] = entry
        shards.all_changed(connection, created)
        return {
            "created": len(created),
            "refused": len(documents) - len(created),
            "items": [{"index": index, **entries[index]} for index in sorted(entries)],
        }

    return _once(response, ask, create)


def _lock_counts(connection: Connection, apps: Sequence[str | None]) -> Mapping[str | None, int]:
    """Lock the counts of open tasks that new ones may reach the limit of.

    :param apps: of each new task.
    :returns: the limit of each application; 0 if it is far.
    """
    limits: dict[str | None, int] = {}
    for app in apps:
        limits[app] = max(limits.get(app, 0), open_tasks.limit(get_engine(), app))
    definitions.lock_counts(connection, [app for app, limit in limits.items() if limit])
    return limits


def _read(caller: Caller, asker: Asker, document: Any) -> PushTask:
    """A push task that the caller may create.

    :raises InvalidTask: names every broken field.
    :raises Problem: 403, they may not.
    """
    if isinstance(document, dict):
        document = caller.completed(document)
    limits.check_recipients(document)
    task = parse(document)
    caller.require_edit(task.code)
    effects.require(task, caller)
    if faults := workers.faults(task, asker):
        raise InvalidTask(faults)
    return task


def _once(
    response: Response, ask: answers.Ask | None, create: Callable[[Connection], dict[str, Any]]
) -> dict[str, Any]:
    """The answer of ``create``, which is called in a transaction; or the one that this request got before.

    :raises KeyReused: the key came before with another body.
    """
    with transaction(get_engine()) as connection:
        before = answers.reserve(connection, ask) if ask else None
        if before:
            response.headers["Idempotency-Replayed"] = "true"
            return dict(before)
        answer = create(connection)
        if ask:
            answers.keep(connection, ask, answer)
        return answer


def _try_create(request: Request, asker: Asker, task: PushTask) -> DryRun:
    preview = first_preview(task, asker)
    with explained(), get_engine().connect() as connection, connection.begin() as begun:
        row = definitions.create(connection, task, **now(), open_limit=settings.max_open_tasks())
        begun.rollback()
    return DryRun(task=task_created(request, row, task), preview=preview)


class _Refusals:
    """What the tasks of a bulk call are told that cannot be created."""

    def __init__(self) -> None:
        self._unforeseen = Unforeseen(log)
        self._named = 0

    def entry(self, error: Exception, index: int) -> dict[str, Any]:
        """What one of them is told.

        :raises Exception: the error itself, if it is not the task's.
        """
        if isinstance(error, Problem):
            problem = error
        elif isinstance(error, PushError):
            problem = of_error(error)
        elif concerns_all(error):
            raise error
        else:
            self._unforeseen.told(error, f"Task {index} of a bulk call")
            problem = fault()
        if self._named >= _BULK_ERRORS and problem.code == "invalid":
            problem = broken(problem.errors.first())
        self._named += len(problem.errors)
        return {"status": problem.status, "problem": problem.body()}


_BULK_ERRORS = 200
"""Broken fields that a bulk call names before it names but one of each task."""


def _code_in(document: Mapping[str, Any]) -> str | None:
    code = document.get("code")
    return code if isinstance(code, str) and openapi.matches(CODE_PATTERN, code) else None
