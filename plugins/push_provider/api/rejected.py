"""Kafka messages that could not be used: which there are and why, the messages themselves, and another try."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import Field

from push_provider.api import audit, openapi, triggers
from push_provider.api.guards import RUN, Caller, CallerDep, Right, needs
from push_provider.api.models import Answer, Id, values_of
from push_provider.api.paging import Page, RangeDep, page
from push_provider.api.parameters import CodeFilter, Flag, Moment
from push_provider.api.problems import Problem
from push_provider.contract import CODE_PATTERN
from push_provider.exceptions import NotAllowed, UnknownTask
from push_provider.intake.starter import make_waiting
from push_provider.kafka import admission, messages
from push_provider.ledger import rejected, tasks
from push_provider.ledger.engine import get_engine
from push_provider.ledger.orders import SOURCE, Define, Order, Refused
from push_provider.ledger.rejected import RejectedRow
from push_provider.policy import effects
from push_provider.policy.effects import Effect

router = APIRouter(tags=["Rejected messages"])

MessageId = Annotated[Id, Path(ge=1, lt=2**63, description="The rejected message")]
# Files are asked for where they are read, as for every task of a message: it is then rejected again.
_EFFECTS = frozenset(Effect) - {Effect.FILES}


class RejectedAnswer(Answer):
    """A Kafka message, or an element of one that is an array, that could not be used."""

    id: Id
    topic: str
    partition: int
    offset: Id
    element: int | None = Field(description="Which of an array, from 0; null: the message is none")
    task: str | None = Field(description="Code of the push task that it speaks of, if it can be told")
    reason: str = Field(description="Why it could not be used, when it was tried last")
    size: int | None = Field(description="Its bytes; null: it has no value (a tombstone)")
    sent_at: datetime | None = Field(description="When it was sent, if the broker knows it")
    rejected_at: datetime
    replayed_at: datetime | None = Field(description="When it was taken after all")


class RejectedPage(Page[RejectedAnswer]):
    """A page of rejected messages."""


class RejectedDetail(RejectedAnswer):
    """A rejected message, and what it says."""

    text: str | None = Field(description="The message, if it is text in UTF-8")
    content_base64: str | None = Field(description="The message, if it is none")


class Replayed(Answer):
    """What became of a message that was tried again."""

    id: Id
    action: Literal["taken", "taken-before", "rejected"] = Field(
        description="`taken-before`: it, or the same message, had been taken already, and nothing was done"
    )
    reason: str | None = Field(description="Why it is rejected again")
    deliveries: int = Field(description="That it became")
    tasks: int = Field(description="Push tasks that it injected or changed")


@router.get("/rejected", responses=openapi.errors(401, 403, 422, 429))
@needs(Right.READ)
def list_rejected(
    caller: CallerDep,
    wanted: RangeDep,
    task: CodeFilter = None,
    replayed: Annotated[Flag | None, Query(description="Whether they were taken after all; left out: both")] = None,
    rejected_from: Annotated[Moment | None, Query(alias="from", description="Rejected at this moment or later")] = None,
    rejected_to: Annotated[Moment | None, Query(alias="to", description="Rejected before this moment")] = None,
) -> RejectedPage:
    """Kafka messages that could not be used, newest first: those that speak of push tasks that the caller may see.

    Those of which it cannot be told of which task they speak are shown to callers who may see all push tasks.
    """
    caller.require_any_read(RUN)
    filters: dict[str, Any] = {
        "codes": caller.readable(),
        "task": task,
        "replayed": replayed,
        "rejected_from": rejected_from,
        "rejected_to": rejected_to,
    }
    engine = get_engine()
    found = rejected.find(engine, limit=wanted.limit, offset=wanted.offset, **filters)
    items = [RejectedAnswer(**values_of(row)) for row in found]
    return page(RejectedPage, wanted, items, lambda cap: rejected.count(engine, cap=cap, **filters))


@router.get("/rejected/{message}", responses=openapi.errors(401, 403, 404, 422, 429))
@needs(Right.READ)
def get_rejected(caller: CallerDep, message: MessageId) -> RejectedDetail:
    """One rejected message, and what it says."""
    row = _visible(caller, message)
    value = rejected.get(get_engine(), message).value
    text, content = None, None
    if value is not None:
        try:
            text = value.decode()
        except UnicodeDecodeError:
            content = base64.b64encode(value).decode()
    return RejectedDetail(**values_of(row), text=text, content_base64=content)


@router.post("/rejected/{message}/replay", responses=openapi.errors(401, 403, 404, 409, 422, 429, 503))
@needs(Right.READ, Right.RUN, effects=sorted(_EFFECTS))
def replay_rejected(request: Request, caller: CallerDep, message: MessageId) -> Replayed:
    """Try a rejected message again, as if it came now: what was wrong may be in order by now.

    It takes what asking for the same by this API would: to start an execution, to be allowed to trigger the push task;
    to inject or change one, to be allowed to edit it and to have it do all that it does. What its topic may do counts
    as well. If it is taken, it is listed as replayed, and tried again it does nothing.
    """
    event, told = "push_replay_message", {"message": message}
    with audit.refusals(caller, event, said=told):
        row = _visible(caller, message)
    engine = get_engine()
    with audit.attempt(caller, event, _code(row.task_code), said=told):
        given = rejected.get(engine, message)
        orders = messages.orders(given)
        for order in orders:
            _require(caller, order)
    taken = admission.take(engine, orders, replay=given.position, find=caller.connection)
    # Those that cannot be made now, push_kafka makes.
    make_waiting(get_engine(), triggers.runs(request.app), (SOURCE,), codes=_codes(orders))
    return Replayed(
        id=message,
        action=taken.action,
        reason=taken.reason,
        deliveries=taken.deliveries,
        tasks=taken.defined,
    )


def _visible(caller: Caller, message: int) -> RejectedRow:
    """A rejected message that the caller may see.

    :raises Problem: 404, there is none.
    """
    caller.require_any_read(RUN)
    row = rejected.listed(get_engine(), message)
    readable = caller.readable()
    if row is None or (readable is not None and row.task_code not in readable):
        raise Problem(404, "unknown-message", f"There is no rejected message {message} that you may see.")
    return row


def _code(text: str | None) -> str | None:
    """The code of a push task, where a message names one; it may name anything."""
    return text if text is not None and openapi.matches(CODE_PATTERN, text) else None


def _codes(orders: Sequence[Order]) -> set[str]:
    return {order.code for order in orders if order.code is not None}


def _require(caller: Caller, order: Order) -> None:
    """Refuse what the caller may not have done.

    :raises Problem: 403.
    :raises NotAllowed: it injects a push task that does what the caller may not have done; names each field.
    """
    if isinstance(order, Refused):  # its reason is all that changes
        if code := _code(order.code):
            caller.require_edit(code)
        else:
            caller.require_any_edit()
    elif isinstance(order, Define):
        caller.require_edit(order.code)
        try:
            effects.require(order.task, caller, before=_spec(order.code), effects=_EFFECTS)
        except NotAllowed as error:
            raise NotAllowed(error.errors.under("define.")) from None
    else:
        caller.require_trigger(order.code)


def _spec(code: str) -> dict[str, Any] | None:
    try:
        return dict(tasks.get(get_engine(), code).spec)
    except UnknownTask:
        return None
