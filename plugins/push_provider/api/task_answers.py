"""How a push task by itself is answered: with its numbers as they were written."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fastapi import Request, Response

from push_provider import settings
from push_provider.api.exact import exactly
from push_provider.api.guards import sessions
from push_provider.api.models import task_detail
from push_provider.exceptions import InvalidTask
from push_provider.metadata import runs

if TYPE_CHECKING:
    from push_provider.contract import PushTask
    from push_provider.ledger.tasks import TaskRow


def detail_of(request: Request, row: TaskRow) -> Response:
    """A push task by itself, as it stands."""
    with sessions() as session:
        paused = row.code in runs.paused_codes(session, [row.code])
    detail = task_detail(request, row, stored(row), paused)
    return exactly(detail, task=detail.task)


def stored(row: TaskRow) -> PushTask | None:
    """The task without its recipients; None if another version wrote it, which this one cannot read."""
    try:
        # Its recipients are many, and shown as they are.
        return row._replace(spec={**row.spec, "recipients": []}).task()
    except InvalidTask:
        return None


def now() -> dict[str, Any]:
    """The present moment and the platform's time zone, as the ledger takes them."""
    return {"now": datetime.now(UTC), "default_timezone": settings.default_timezone()}
