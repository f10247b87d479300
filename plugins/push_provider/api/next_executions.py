"""When a schedule would be due, before there is a push task that has it."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter
from pydantic import Field

from push_provider import schedule, settings
from push_provider.api import openapi
from push_provider.api.bodies import JsonBody
from push_provider.api.guards import CallerDep, needs
from push_provider.api.models import Answer
from push_provider.contract import parse_outlook

router = APIRouter(tags=["Tasks"])


class NextExecutions(Answer):
    """The next times at which a push task would be carried out."""

    items: list[datetime] = Field(description="With the offset that the clock of `timezone` has then")
    timezone: str = Field(description="That of the schedule, or Airflow's default", examples=["Asia/Shanghai"])
    ends: bool = Field(description="Whether no other follows by itself")


@router.post(
    "/next-executions",
    responses=openapi.errors(400, 401, 413, 415, 422, 429),
    openapi_extra=openapi.body("Outlook"),
)
@needs()
def list_next_executions(caller: CallerDep, body: JsonBody) -> NextExecutions:  # noqa: ARG001  (whoever is logged in)
    """When a push task with this schedule would be carried out if it were created now. Nothing is created.

    A schedule that a push task could not have is refused in the same words.
    """
    found = schedule.upcoming(parse_outlook(body.mapping()), datetime.now(UTC), settings.default_timezone())
    return NextExecutions(items=list(found.moments), timezone=found.timezone, ends=found.ends)
