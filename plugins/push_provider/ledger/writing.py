"""Deliveries are written: when an execution is planned, or, where they are many, by its run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, text

from push_provider import written
from push_provider.ledger import spans
from push_provider.ledger.copying import copy
from push_provider.ledger.recipients import variables_of
from push_provider.ledger.tables import push_execution

_COPY = "COPY push_delivery (execution_id, recipient, variables) FROM STDIN"
_COPY_LIST = text("""
    INSERT INTO push_delivery (execution_id, recipient, variables)
    SELECT :execution, address, CAST(:variables AS jsonb) || variables FROM push_recipient
    WHERE list_id = :list_id ORDER BY position
""")
"""A task's own recipients become deliveries without leaving the database."""


def copy_list(
    connection: Connection, execution: int, list_id: int | None, variables: Mapping[str, Any] | None = None
) -> int:
    """Write a delivery for each recipient of a list; returns how many.

    :param variables: for all of them; a recipient's own win.
    """
    given = {"execution": execution, "list_id": list_id, "variables": written.dumps(variables or {})}
    return connection.execute(_COPY_LIST, given).rowcount


def write(connection: Connection, rows: Iterable[tuple[int, str, Mapping[str, Any]]]) -> int:
    """Write deliveries: execution, recipient and variables of each; returns how many."""
    return copy(connection, _COPY, ((execution, to, variables_of(given)) for execution, to, given in rows))


UNWRITTEN = push_execution.c.list_id.is_not(None)
"""Executions whose deliveries are still to be written."""
# Whoever else is at it is waited for here, and has written them then.
_LEFT = text("SELECT list_id FROM push_execution WHERE id = :execution AND list_id IS NOT NULL FOR NO KEY UPDATE")


def write_left(connection: Connection, executions: Iterable[int]) -> None:
    """Write the deliveries of executions that began without, unless they are written.

    It may take seconds, and holds their rows alone: others of the same push task begin meanwhile.
    """
    for execution in executions:
        list_id = connection.execute(_LEFT, {"execution": execution}).scalar()
        if list_id is not None:
            since = spans.begin(connection)
            copy_list(connection, execution, list_id)
            spans.note_left(connection, since, execution)
