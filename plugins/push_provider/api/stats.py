"""Counts over time, for charts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from push_provider.api import openapi
from push_provider.api.guards import RUN, CallerDep, Right, needs
from push_provider.api.models import Answer
from push_provider.api.parameters import Moment, Text
from push_provider.api.problems import invalid
from push_provider.exceptions import FieldError
from push_provider.ledger import stats
from push_provider.ledger.engine import get_engine

router = APIRouter(tags=["Statistics"])
_LONGEST = timedelta(days=31)
_SHOWN = timedelta(days=1)


class HourAnswer(Answer):
    """One channel in one hour, by when its executions began."""

    hour: datetime = Field(description="Its beginning, in UTC")
    channel: str
    executions: int
    deliveries: int = Field(description="Recipients of these executions, whatever became of them")
    sent: int = Field(description="Counted when a try of an execution ends, as those that follow")
    delivered: int = Field(description="Of those sent, how many arrived, as the provider says")
    failed: int
    unknown: int
    cancelled: int


class StatsAnswer(Answer):
    """Hours in which something was pushed."""

    begun_from: datetime
    begun_to: datetime
    items: list[HourAnswer]


@router.get("/stats", responses=openapi.errors(401, 403, 422, 429))
@needs(Right.READ)
def get_stats(
    caller: CallerDep,
    begun_from: Annotated[
        Moment | None, Query(alias="from", description="A day before `to`, if left out; at most 31 days before it")
    ] = None,
    begun_to: Annotated[Moment | None, Query(alias="to", description="Now, if left out")] = None,
    channel: Annotated[Text | None, Query(examples=["email"])] = None,
    app: Text | None = None,
) -> StatsAnswer:
    """How many deliveries were sent, failed or are in doubt, by hour and channel, of tasks that the caller may see."""
    caller.require_any_read(RUN)
    end = begun_to or datetime.now(UTC)
    start = begun_from or end - _SHOWN
    if not timedelta(0) < end - start <= _LONGEST:
        raise invalid(FieldError("from", f"must lie before to, by at most {_LONGEST.days} days"))
    rows = stats.hourly(get_engine(), begun_from=start, begun_to=end, codes=caller.readable(), app=app, channel=channel)
    items = [HourAnswer(**row._asdict()) for row in rows]
    return StatsAnswer(begun_from=start, begun_to=end, items=items)
