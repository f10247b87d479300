"""Who asks, and what they may do: so that a page offers nothing that would be refused."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from push_provider.api import openapi
from push_provider.api.guards import CallerDep, Right, needs
from push_provider.api.models import Answer
from push_provider.contract import CODE_PATTERN

router = APIRouter(tags=["Caller"])


class Me(Answer):
    """Whoever is logged in."""

    name: str = Field(description="As the audit log has it", examples=["lilei"])
    id: str
    rights: list[Right] = Field(
        description="What the role allows: `read`, `edit`, `run` and `delete` to every push task or to some, or to "
        "the one that was asked for, of which `[push] app_rules` may leave `read` alone; the others to sender "
        "configurations. The words are those of each call's `x-rights`"
    )


@router.get("/me", responses=openapi.errors(401, 409, 422, 429))
@needs()
def get_me(
    caller: CallerDep,
    task: Annotated[
        str | None, Query(pattern=CODE_PATTERN, description="What they may do with this push task, if there is one")
    ] = None,
) -> Me:
    """Who the caller is, and what they may do: at all, or with a certain push task."""
    return Me(name=caller.name, id=caller.id, rights=caller.rights(task))
