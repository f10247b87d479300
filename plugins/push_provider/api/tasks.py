"""Push tasks: inject, look up, change, pause, cancel, delete."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import Field
from sqlalchemy import Connection

from push_provider import settings, written
from push_provider.api import audit, bodies, limits, openapi
from push_provider.api.bodies import JSON_TYPE, JsonBody, PatchBody, merge_patch, unknown_fields
from push_provider.api.configs import senders, senders_with
from push_provider.api.guards import Caller, CallerDep, Right, needs, sessions
from push_provider.api.models import (
    PAUSED,
    WAITING,
    Answer,
    Status,
    TaskAnswer,
    TaskDetail,
    TaskPage,
    path,
    task_answer,
    task_created,
    task_detail,
)
from push_provider.api.paging import RangeDep, page
from push_provider.api.parameters import Code, Flag, IdempotencyKey, Moment, Text
from push_provider.api.preview import PreviewAnswer, first_preview
from push_provider.api.problems import Problem, ProblemDetails, broken, fault, invalid, of_error
from push_provider.api.rendering import AskerDep
from push_provider.api.waiting import when_known
from push_provider.channels import registry
from push_provider.channels.reading import parse
from push_provider.contract import CODE_PATTERN, PushTask
from push_provider.exceptions import FieldError, InvalidTask, PushError
from push_provider.ledger import answers, definitions, retiring, shards, task_lists, tasks
from push_provider.ledger.engine import explained, get_engine, transaction
from push_provider.metadata import runs
from push_provider.policy import effects
from push_provider.policy.effects import Effect
from push_provider.policy.quotas import open_tasks
from push_provider.rendering import workers
from push_provider.rendering.check import same_content
from push_provider.rendering.workers import Asker, Gone
from push_provider.unforeseen import Unforeseen, concerns_all

log = logging.getLogger(__name__)
router = APIRouter(tags=["Tasks"])
BULK_LIMIT = 1000
_CHANGES = 5
"""Times that a change is tried while others change the same task."""


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


class Cancelled(Answer):
    """What a cancellation stopped."""

    code: str
    status: Status
    deliveries_cancelled: int


@router.get("/tasks", responses=openapi.errors(401, 403, 422, 429))
@needs(Right.READ)
def list_tasks(
    request: Request,
    caller: CallerDep,
    wanted: RangeDep,
    channel: Annotated[Text | None, Query(examples=["email"])] = None,
    status: Status | None = None,
    execution_type: Literal["once", "loop"] | None = None,
    delayed: Annotated[
        Flag | None, Query(description="Whether a schedule starts it later, and neither its creation nor a trigger")
    ] = None,
    sender: Annotated[
        Text | None, Query(description="Connection id of the sender configuration, or the address of the sender")
    ] = None,
    recipient: Annotated[Text | None, Query(description="An address among the task's own recipients")] = None,
    name: Annotated[Text | None, Query(description="Text in its name, in capitals or not")] = None,
    search: Annotated[
        Text | None,
        Query(
            description="Text in its name or code, in an address among its own recipients, or in the address or "
            "connection id of its sender, in capitals or not",
            examples=["lilei@"],
        ),
    ] = None,
    app: Text | None = None,
    owner: Text | None = None,
    last_run_from: Annotated[Moment | None, Query(description="Last execution at this moment or later")] = None,
    last_run_to: Annotated[Moment | None, Query(description="Last execution before this moment")] = None,
    order_by: Annotated[
        Literal[tuple(sign + one for one in task_lists.TASK_ORDERS for sign in ("", "-"))],  # type: ignore[valid-type]
        Query(description="With - in front: the other way round"),
    ] = "-created_at",
) -> TaskPage:
    """Push tasks that the caller may see, and that match every filter given; newest first."""
    caller.require_any_read()
    codes = caller.readable()
    with sessions() as session:
        paused = runs.paused_codes(session)
        senders_of = senders(session, sender, caller) if sender is not None else {}
        if search is not None:
            senders_of |= senders_with(session, search, caller)
    filters: dict[str, Any] = {
        "codes": codes,
        "status": status,
        "channel": channel,
        "execution_type": execution_type,
        "delayed": delayed,
        "recipient": recipient,
        "name": name,
        "search": search,
        "app": app,
        "owner": owner,
        "last_run_from": last_run_from,
        "last_run_to": last_run_to,
        **senders_of,
    }
    if status == PAUSED:
        filters |= {"status": WAITING, "codes": paused if codes is None else paused & codes}
    elif status in WAITING:
        filters["without"] = paused
    engine = get_engine()
    found = task_lists.find(engine, order_by=order_by, limit=wanted.limit, offset=wanted.offset, **filters)
    items = [task_answer(request, item, item.code in paused) for item in found]
    return page(TaskPage, wanted, items, lambda cap: task_lists.count(engine, cap=cap, **filters))


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
    if code is None:
        caller.require_any_edit()
    else:
        caller.require_edit(code)
    audit.write(caller, "push_create_task", code, said=document)
    task = _read(caller, asker, document)
    if dry_run:
        return JSONResponse(_try_create(request, asker, task).model_dump(mode="json"))
    ask = bodies.ask(caller, request, key, document)
    open_limit = open_tasks.limit(get_engine(), task.app)

    def create(connection: Connection) -> dict[str, Any]:
        row = definitions.create(connection, task, **_now(), open_limit=open_limit)
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
    readable: list[tuple[int, PushTask]] = []
    refusals = _Refusals()
    for index, one in enumerate(documents):
        try:
            readable.append((index, _read(caller, asker, one)))
        except Gone:
            raise
        except Exception as error:  # noqa: BLE001  (whatever it is, it is told)
            entries[index] = refusals.entry(error, index)
    engine = get_engine()

    def create(connection: Connection) -> dict[str, Any]:
        # In the order of their codes, and then of their shards: two bulk calls at once must not wait for each other.
        created = []
        for index, task in sorted(readable, key=lambda entry: entry[1].code):
            try:
                with connection.begin_nested():
                    row = definitions.create(connection, task, **_now(), open_limit=open_tasks.limit(engine, task.app))
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


@router.get("/tasks/{code}", response_model=TaskDetail, responses=openapi.errors(401, 403, 404, 422, 429))
@needs(Right.READ)
def get_task(request: Request, caller: CallerDep, code: Code) -> Any:
    """One push task, where it stands, and the task itself."""
    caller.require_read(code)
    return _detail(request, tasks.get(get_engine(), code))


@router.patch(
    "/tasks/{code}",
    response_model=TaskDetail,
    responses=openapi.errors(400, 401, 403, 404, 409, 413, 415, 422, 429, 503),
    # One type alone: openapi-python-client makes a module that cannot be imported of two that are one model.
    openapi_extra=openapi.body("PushTaskPatch", bodies.MERGE_PATCH_TYPE),
)
@needs(Right.EDIT, effects=Effect)
def change_task(request: Request, caller: CallerDep, asker: AskerDep, code: Code, body: PatchBody) -> Any:
    """Change a push task by a JSON Merge Patch (RFC 7396): what is named is replaced, null stands for the default.

    A changed schedule counts from now, as if the task were new; executions that have begun stay counted and as they
    were planned. A list, such as the recipients, is replaced whole. The type `application/json` is taken as well.
    """
    caller.require_edit(code)
    patch = body.mapping()
    audit.write(caller, "push_change_task", code, said=patch)
    if patch.get("code", code) != code:
        raise invalid(FieldError("code", "cannot be changed; create another task"))
    limits.check_recipients(patch)
    engine = get_engine()
    for _ in range(_CHANGES):
        # Templates are looked at before the task is locked, so it may be another one by then.
        change = _Change(caller, code, patch, tasks.get(engine, code).spec)
        if faults := workers.faults(change.task, asker):
            raise InvalidTask(faults)
        try:
            applied = definitions.change(engine, code, change, **_now(), open_limit=settings.max_open_tasks())
        except _ChangedMeanwhile:
            continue
        return _detail(request, applied.row._replace(spec=change.task.spec()))
    raise Problem(409, "changed-meanwhile", f"Others are changing push task {code!r} all the time. Try again.")


@router.delete("/tasks/{code}", status_code=204, responses=openapi.errors(401, 403, 404, 409, 422, 429, 503))
@needs(Right.DELETE)
def delete_task(
    caller: CallerDep,
    code: Code,
    purge: Annotated[Flag, Query(description="Also if that deletes its executions and deliveries")] = False,
) -> None:
    """Delete a push task, and its DAG with all its runs. To stop it and keep its log, cancel it instead.

    However long its log is, it is gone at once, and another task of its code may be created.
    """
    caller.require_delete(code)
    audit.write(caller, "push_delete_task", code, said={"purge": purge})
    tasks.delete(get_engine(), code, purge=purge)
    with sessions() as session:
        runs.forget(session, code)


@router.post(
    "/tasks/{code}/pause", response_model=TaskDetail, responses=openapi.errors(401, 403, 404, 409, 422, 429, 503)
)
@needs(Right.EDIT)
async def pause_task(request: Request, caller: CallerDep, code: Code) -> Any:
    """Pause a push task's DAG: its schedule rests, and it takes no triggers. A running execution goes on.

    One that is retired becomes a DAG again.
    """
    return await _pause(request, caller, code, paused=True)


@router.post(
    "/tasks/{code}/resume", response_model=TaskDetail, responses=openapi.errors(401, 403, 404, 409, 422, 429, 503)
)
@needs(Right.EDIT, Right.RUN)
async def resume_task(request: Request, caller: CallerDep, code: Code) -> Any:
    """Let a paused push task go on. Of the times that passed meanwhile, `missed` says what is sent.

    One that is retired becomes a DAG again.
    """
    return await _pause(request, caller, code, paused=False)


@router.post("/tasks/{code}/cancel", responses=openapi.errors(401, 403, 404, 422, 429, 503))
@needs(Right.EDIT)
def cancel_task(caller: CallerDep, code: Code) -> Cancelled:
    """Cancel a push task for good: no execution begins any more, and what is not sent is not sent.

    What is being sent at this moment is not called back.
    """
    caller.require_edit(code)
    audit.write(caller, "push_cancel_task", code)
    cancelled = tasks.cancel(get_engine(), code)
    return Cancelled(code=code, status="cancelled", deliveries_cancelled=cancelled)


async def _pause(request: Request, caller: Caller, code: str, *, paused: bool) -> Response:
    await run_in_threadpool(_ask_to_pause, caller, code, paused=paused)
    await run_in_threadpool(retiring.revive, get_engine(), code)

    def pause() -> Response:
        row = tasks.get(get_engine(), code)
        with sessions() as session:
            runs.pause(session, code, paused=paused)
        return _exactly(task_detail(request, row, _stored(row), paused))

    return await when_known(code, pause)


def _ask_to_pause(caller: Caller, code: str, *, paused: bool) -> None:
    caller.require_edit(code)
    if not paused:  # its schedule sends again, and so do its triggers
        caller.require_trigger(code)
    audit.write(caller, "push_pause_task" if paused else "push_resume_task", code)


def _detail(request: Request, row: tasks.TaskRow) -> Response:
    with sessions() as session:
        paused = row.code in runs.paused_codes(session, [row.code])
    return _exactly(task_detail(request, row, _stored(row), paused))


def _exactly(detail: TaskDetail) -> Response:
    """The answer with the task's numbers as they were written, which pydantic would make plain floats of."""
    answer = {**detail.model_dump(mode="json", exclude={"task"}), "task": detail.task}
    return Response(written.dumps(answer), media_type=JSON_TYPE)


def _stored(row: tasks.TaskRow) -> PushTask | None:
    try:
        # Its recipients are many, and shown as they are.
        return row._replace(spec={**row.spec, "recipients": []}).task()
    except InvalidTask:  # written by another version; it is shown all the same
        return None


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
        row = definitions.create(connection, task, **_now(), open_limit=settings.max_open_tasks())
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


class _ChangedMeanwhile(Exception):
    """A task is not as it was when its change was looked at."""


class _Change:
    """A patch of a task, which is looked at while the task is not locked, and applied while it is.

    :param caller: whose patch it is.
    :param spec: of the task as it is before.
    :raises InvalidTask: the patch makes no task of it.
    :raises NotAllowed: the caller may not have it do what it does.
    """

    task: PushTask
    """What it makes."""

    def __init__(self, caller: Caller, code: str, patch: Mapping[str, Any], spec: Mapping[str, Any]) -> None:
        self._caller = caller
        self._code = code
        self._patch = patch
        self._before = spec
        self.task = self._patched(spec)

    def __call__(self, spec: Mapping[str, Any]) -> PushTask:
        """The new task, also if others have changed the task meanwhile and its templates stay what was looked at.

        :raises _ChangedMeanwhile: they do not.
        """
        if spec != self._before:
            changed = self._patched(spec)
            if not same_content(changed, self.task):
                raise _ChangedMeanwhile
            self.task = changed
        return self.task

    def _patched(self, spec: Mapping[str, Any]) -> PushTask:
        # A name that no task has is wrong, also where its null would take away what is not there.
        unknown = {name: None for name in self._patch if name not in registry.all_fields()}
        task = parse({**merge_patch(spec, self._patch), **unknown, "code": self._code})
        effects.require(task, self._caller, before=spec)
        return task


def _code_in(document: Mapping[str, Any]) -> str | None:
    code = document.get("code")
    return code if isinstance(code, str) and openapi.matches(CODE_PATTERN, code) else None


def _now() -> dict[str, Any]:
    return {"now": datetime.now(UTC), "default_timezone": settings.default_timezone()}
