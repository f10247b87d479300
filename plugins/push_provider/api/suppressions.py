"""Addresses that are gone, as a provider has said: which there are, and one taken off."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from pydantic import Field

from push_provider.api import audit, openapi
from push_provider.api.guards import RUN, CallerDep, Right, needs
from push_provider.api.models import Answer, Id, values_of
from push_provider.api.paging import Page, RangeDep, page
from push_provider.api.parameters import CodeFilter, Moment, Text
from push_provider.exceptions import UnknownSuppression
from push_provider.ledger import suppressions
from push_provider.ledger.engine import get_engine

router = APIRouter(tags=["Suppressions"])

SuppressionId = Annotated[Id, Path(ge=1, lt=2**63, description="The suppression")]


class SuppressionAnswer(Answer):
    """An address that a provider said is gone: what is sent to it fails before any call."""

    id: Id
    channel: str = Field(examples=["app"])
    address: str = Field(examples=["fGx3k2Qm:APA91bExample"])
    code: str = Field(description="What the provider said", examples=["UNREGISTERED"])
    reason: str | None = Field(description="Its words")
    task: str = Field(description="Code of the push task that found out", examples=["parcel"])
    suppressed_at: datetime = Field(description="When it was found out, last")


class SuppressionPage(Page[SuppressionAnswer]):
    """A page of suppressions."""


@router.get("/suppressions", responses=openapi.errors(401, 403, 422, 429))
@needs(Right.READ)
def list_suppressions(
    caller: CallerDep,
    wanted: RangeDep,
    channel: Annotated[str | None, Query(max_length=16, description="Only of this channel")] = None,
    address: Annotated[Text | None, Query(description="Only this address")] = None,
    task: CodeFilter = None,
    suppressed_from: Annotated[Moment | None, Query(alias="from", description="Found at this moment or later")] = None,
    suppressed_to: Annotated[Moment | None, Query(alias="to", description="Found before this moment")] = None,
) -> SuppressionPage:
    """Addresses that are gone, newest first, as push tasks found out that the caller may see.

    Drop them where you keep your addresses. What is sent to them fails, and makes no call.
    """
    caller.require_any_read(RUN)
    filters: dict[str, Any] = {
        "codes": caller.readable(),
        "channel": channel,
        "address": address,
        "task": task,
        "suppressed_from": suppressed_from,
        "suppressed_to": suppressed_to,
    }
    engine = get_engine()
    found = suppressions.find(engine, limit=wanted.limit, offset=wanted.offset, **filters)
    items = [SuppressionAnswer(**values_of(row)) for row in found]
    return page(SuppressionPage, wanted, items, lambda cap: suppressions.count(engine, cap=cap, **filters))


@router.delete("/suppressions/{suppression}", status_code=204, responses=openapi.errors(401, 403, 404, 409, 422, 429))
@needs(Right.READ, Right.EDIT)
def delete_suppression(caller: CallerDep, suppression: SuppressionId) -> Response:
    """Take an address off, because it is there after all: what is sent to it from now on is tried.

    It takes to be allowed to edit the push task that found out.
    """
    event, told = "push_delete_suppression", {"suppression": suppression}
    with audit.refusals(caller, event, said=told):
        caller.require_any_read(RUN)
    engine = get_engine()
    row = suppressions.get(engine, suppression)
    with audit.refusals(caller, event, row.task_code, said=told):
        readable = caller.readable()
        if readable is not None and row.task_code not in readable:  # as if there were none
            raise UnknownSuppression(suppression)
        caller.require_manage(row.task_code)
    audit.write(caller, event, row.task_code, said=told)
    suppressions.lift(engine, suppression)
    return Response(status_code=204)
