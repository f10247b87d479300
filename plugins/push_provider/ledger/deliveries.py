"""Deliveries in the ledger, as lists show them."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Engine, select

from push_provider.ledger.engine import transaction
from push_provider.ledger.tables import DeliveryState, push_delivery, push_execution


class DeliveryRow(NamedTuple):
    """A delivery: who, what became of it, and the provider's words."""

    id: int
    execution_id: int
    task_code: str
    recipient: str
    state: DeliveryState
    attempts: int
    provider_id: str | None
    error_code: str | None
    error_text: str | None
    created_at: datetime
    updated_at: datetime
    sent_at: datetime | None
    received_at: datetime | None


def find(
    engine: Engine,
    *,
    task: str | None = None,
    execution: int | None = None,
    recipient: str | None = None,
    state: str | None = None,
    limit: int = 100,
    offset: int = 0,
) -> list[DeliveryRow]:
    """Deliveries, newest first, that match every filter given."""
    columns = [
        push_execution.c.task_code if name == "task_code" else push_delivery.c[name] for name in DeliveryRow._fields
    ]
    query = select(*columns).join(push_execution).order_by(push_delivery.c.id.desc())
    for column, value in (
        (push_execution.c.task_code, task),
        (push_delivery.c.execution_id, execution),
        (push_delivery.c.recipient, recipient),
        (push_delivery.c.state, state),
    ):
        if value is not None:
            query = query.where(column == value)
    with transaction(engine) as connection:
        rows = connection.execute(query.limit(limit).offset(offset))
        return [DeliveryRow(*row)._replace(state=DeliveryState(row.state)) for row in rows]
