"""Deliveries that there are move from state to state, many at a time, and one after the other within a push task.

A million take ten seconds. Whoever moves some holds the deliveries of the task so long, and not the task, whose next
executions begin meanwhile; that is locked at the end, when what has become of them is noted. Each transaction takes
what it needs of these in this order, so that no two wait for each other: the deliveries of a task (:func:`hold`), the
lease of an execution, deliveries, the push task (:func:`push_provider.ledger.tasks.lock`), executions.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, case, func, text, update

from push_provider.ledger import executions, spans
from push_provider.ledger.tables import DeliveryState, push_delivery

_LOCK = 0x7064  # "pd": keeps this advisory lock apart from others in the database
_HOLD = text("SELECT pg_advisory_xact_lock(:lock, hashtext(:code))")


def hold(connection: Connection, code: str) -> None:
    """Hold the deliveries of a push task that there are, until the transaction ends: nobody else moves any.

    Messages are sent meanwhile, and executions begin. The task may be gone when this returns.
    """
    connection.execute(_HOLD, {"lock": _LOCK, "code": code})


def hold_of(connection: Connection, execution: int) -> str:
    """The same for the push task of an execution; returns its code.

    :raises UnknownExecution: there is none of this id.
    """
    code = executions.task_of(connection, execution)
    hold(connection, code)
    return code


IN_DOUBT = "in-doubt"
"""Error code of deliveries that are to be sent again though they may have arrived: they keep it until an answer tells.

Where none does they are unknown in the end, and have neither failed nor were they cancelled."""
INTERRUPTED = "interrupted"
"""Error code of deliveries that were claimed and never recorded."""
DOUBTFUL = push_delivery.c.error_code == IN_DOUBT


def move(connection: Connection, execution: int, before: DeliveryState, after: DeliveryState, **values: Any) -> int:
    """Bring all deliveries of an execution that are in one state into another; returns how many.

    Those that are pending and in doubt become unknown instead, and change in nothing else.

    :param values: columns that change with it.
    """
    state: Any = after
    if before is DeliveryState.PENDING:
        state = case((DOUBTFUL, DeliveryState.UNKNOWN.value), else_=after.value)
        values = {name: case((DOUBTFUL, push_delivery.c[name]), else_=value) for name, value in values.items()}
    return connection.execute(
        update(push_delivery)
        .where(
            push_delivery.c.execution_id == execution,
            spans.of(connection, execution).holds,
            push_delivery.c.state == before,
        )
        .values(state=state, updated_at=func.now(), **values)
    ).rowcount


def interrupted(connection: Connection, execution: int) -> None:
    """Settle what was claimed and never recorded: it is unknown."""
    columns = push_delivery.c
    reason = "The sending process ended before the answer was on record"
    move(
        connection,
        execution,
        DeliveryState.SENDING,
        DeliveryState.UNKNOWN,
        error_code=case((DOUBTFUL, columns.error_code), else_=INTERRUPTED),
        error_text=case((DOUBTFUL, columns.error_text), else_=reason),
    )


NOT_SENT = "not-sent"
"""Error code of deliveries that failed because their execution ended before anybody sent them."""


def fail_pending(connection: Connection, execution: int, error: str | None) -> None:
    """Settle what is pending of an execution that ends, with what is known of it, or of the execution.

    :param error: why the execution failed, if it did.
    """
    move(
        connection,
        execution,
        DeliveryState.PENDING,
        DeliveryState.FAILED,
        error_code=func.coalesce(push_delivery.c.error_code, NOT_SENT),
        error_text=func.coalesce(push_delivery.c.error_text, (error or "")[:500]),
    )
