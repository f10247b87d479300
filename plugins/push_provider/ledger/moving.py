"""Deliveries that there are move from state to state, many at a time."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, func, update

from push_provider.ledger import spans
from push_provider.ledger.tables import DeliveryState, push_delivery


def move(connection: Connection, execution: int, before: DeliveryState, after: DeliveryState, **values: Any) -> int:
    """Bring all deliveries of an execution that are in one state into another; returns how many.

    :param values: columns that change with it.
    """
    if after is not DeliveryState.UNKNOWN:  # of which alone something can still be learnt
        values["receipt_due"] = None
    return connection.execute(
        update(push_delivery)
        .where(
            push_delivery.c.execution_id == execution,
            spans.of(connection, execution).holds,
            push_delivery.c.state == before,
        )
        .values(state=after, updated_at=func.now(), **values)
    ).rowcount


def interrupted(connection: Connection, execution: int, state: DeliveryState) -> None:
    """Settle what was claimed and never recorded."""
    reason = "The sending process ended before the answer was on record"
    move(connection, execution, DeliveryState.SENDING, state, error_code="interrupted", error_text=reason)
