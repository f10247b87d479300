"""Deliveries are written: when an execution is planned, or, where they are many, by its run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, Engine, text

from push_provider import written
from push_provider.ledger import spans
from push_provider.ledger.copying import copy
from push_provider.ledger.engine import transaction
from push_provider.ledger.recipients import variables_of
from push_provider.ledger.tables import DeliveryState

_COPY = "COPY push_delivery (execution_id, recipient, variables) FROM STDIN"
_COPY_LIST = text("""
    INSERT INTO push_delivery (execution_id, recipient, variables, state)
    SELECT :execution, address, CAST(:variables AS jsonb) || variables, :state FROM push_recipient
    WHERE list_id = :list_id ORDER BY position
""")
"""A task's own recipients become deliveries without leaving the database."""


def copy_list(
    connection: Connection,
    execution: int,
    list_id: int | None,
    variables: Mapping[str, Any] | None = None,
    state: DeliveryState = DeliveryState.PENDING,
) -> int:
    """Write a delivery for each recipient of a list; returns how many.

    :param variables: for all of them; a recipient's own win.
    """
    given = {"execution": execution, "list_id": list_id, "variables": written.dumps(variables or {}), "state": state}
    return connection.execute(_COPY_LIST, given).rowcount


def write(connection: Connection, rows: Iterable[tuple[int, str, Mapping[str, Any]]]) -> int:
    """Write deliveries: execution, recipient and variables of each; returns how many."""
    return copy(connection, _COPY, ((execution, to, variables_of(given)) for execution, to, given in rows))


# Whoever else is at it is waited for here, and has written them then.
_LEFT = text("""
    SELECT list_id, finished_at IS NOT NULL AS over FROM push_execution
    WHERE id = :execution AND list_id IS NOT NULL FOR NO KEY UPDATE
""")


def write_left(connection: Connection, execution: int) -> bool:
    """Write the deliveries of an execution that began without, unless they are written.

    It may take seconds, and holds its row alone: others of the same push task begin meanwhile. Of one that was
    cancelled before its run began they are cancelled, too.

    :returns: whether it has.
    """
    row = connection.execute(_LEFT, {"execution": execution}).first()
    if row is None:
        return False
    since = spans.begin(connection)
    state = DeliveryState.CANCELLED if row.over else DeliveryState.PENDING
    copy_list(connection, execution, row.list_id, state=state)
    spans.note_left(connection, since, execution)
    return True


_CANCELLED = text("SELECT id FROM push_execution WHERE list_id IS NOT NULL AND finished_at IS NOT NULL LIMIT 1")


def write_cancelled(engine: Engine, limit: int) -> int:
    """Write the deliveries of an execution that was cancelled, and whose run does not do it.

    :param limit: of one at most.
    :returns: how many executions; 0 when none is left.
    """
    with transaction(engine) as connection:
        execution = connection.execute(_CANCELLED).scalar() if limit else None
        return int(execution is not None and write_left(connection, execution))
