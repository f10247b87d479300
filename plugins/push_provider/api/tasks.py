"""Push tasks: look up, pause, cancel, delete."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool

from push_provider.api import audit, openapi
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
    task_answer,
    task_standing,
)
from push_provider.api.paging import RangeDep, page
from push_provider.api.parameters import Code, Flag, Moment, Text
from push_provider.api.task_answers import detail_of, stored
from push_provider.api.waiting import when_known
from push_provider.ledger import retiring, task_lists, tasks
from push_provider.ledger.engine import get_engine
from push_provider.metadata import runs

router = APIRouter(tags=["Tasks"])


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


@router.get("/tasks/{code}", response_model=TaskDetail, responses=openapi.errors(401, 403, 404, 422, 429))
@needs(Right.READ)
def get_task(request: Request, caller: CallerDep, code: Code) -> Any:
    """One push task, where it stands, and the task itself."""
    caller.require_read(code)
    return detail_of(request, tasks.get_whole(get_engine(), code))


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
    with audit.refusals(caller, "push_delete_task", code, said={"purge": purge}):
        caller.require_delete(code)
    audit.write(caller, "push_delete_task", code, said={"purge": purge})
    tasks.delete(get_engine(), code, purge=purge)
    with sessions() as session:
        runs.forget(session, code)


@router.post("/tasks/{code}/pause", responses=openapi.errors(401, 403, 404, 409, 422, 429, 503))
@needs(Right.EDIT)
async def pause_task(request: Request, caller: CallerDep, code: Code) -> TaskAnswer:
    """Pause a push task's DAG: its schedule rests, and it takes no triggers.

    What is being sent goes on; a retry waits until it is resumed. One that is retired becomes a DAG again.
    """
    return await _pause(request, caller, code, paused=True)


@router.post("/tasks/{code}/resume", responses=openapi.errors(401, 403, 404, 409, 422, 429, 503))
@needs(Right.EDIT, Right.RUN)
async def resume_task(request: Request, caller: CallerDep, code: Code) -> TaskAnswer:
    """Let a paused push task go on. Of the times that passed meanwhile, `missed` says what is sent.

    One that is retired becomes a DAG again.
    """
    return await _pause(request, caller, code, paused=False)


@router.post("/tasks/{code}/cancel", responses=openapi.errors(401, 403, 404, 409, 422, 429, 503))
@needs(Right.EDIT)
def cancel_task(caller: CallerDep, code: Code) -> Cancelled:
    """Cancel a push task for good: no execution begins any more, and what is not sent is not sent.

    What is being sent at this moment is not called back.
    """
    with audit.refusals(caller, "push_cancel_task", code):
        caller.require_manage(code)
    audit.write(caller, "push_cancel_task", code)
    cancelled = tasks.cancel(get_engine(), code)
    return Cancelled(code=code, status="cancelled", deliveries_cancelled=cancelled)


async def _pause(request: Request, caller: Caller, code: str, *, paused: bool) -> TaskAnswer:
    await run_in_threadpool(_ask_to_pause, caller, code, paused=paused)
    await run_in_threadpool(retiring.revive, get_engine(), code)

    def pause() -> TaskAnswer:
        row = tasks.get(get_engine(), code)
        with sessions() as session:
            runs.pause(session, code, paused=paused)
        return task_standing(request, row, stored(row), paused)

    return await when_known(code, pause)


def _ask_to_pause(caller: Caller, code: str, *, paused: bool) -> None:
    event = "push_pause_task" if paused else "push_resume_task"
    with audit.refusals(caller, event, code):
        caller.require_manage(code)
        if not paused:  # its schedule sends again, and so do its triggers
            caller.require_trigger(code)
    audit.write(caller, event, code)
