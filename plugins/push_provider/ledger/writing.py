"""Deliveries are written: when an execution is planned, or, where they are many, by its run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, text

from push_provider import written
from push_provider.ledger import spans
from push_provider.ledger.copying import copy
from push_provider.ledger.engine import transaction
from push_provider.ledger.moving import NOT_SENT
from push_provider.ledger.recipients import variables_of
from push_provider.ledger.tables import DeliveryState, ExecutionState

_COPY = "COPY push_delivery (execution_id, recipient, variables) FROM STDIN"
_COPY_LIST = text("""
    INSERT INTO push_delivery (execution_id, recipient, variables, state, error_code, error_text)
    SELECT :execution, address, CAST(:variables AS jsonb) || variables, :state, :code, :reason FROM push_recipient
    WHERE list_id = :list_id ORDER BY position
""")
"""A task's own recipients become deliveries without leaving the database."""


class Became(NamedTuple):
    """What has become of a delivery: its state, and an error's code and words."""

    state: DeliveryState
    code: str | None = None
    reason: str | None = None


_PENDING = Became(DeliveryState.PENDING)


def copy_list(
    connection: Connection,
    execution: int,
    list_id: int | None,
    variables: Mapping[str, Any] | None = None,
    became: Became = _PENDING,
) -> int:
    """Write a delivery for each recipient of a list; returns how many.

    :param variables: for all of them; a recipient's own win.
    :param became: what has become of all of them.
    """
    given = {"execution": execution, "list_id": list_id, "variables": written.dumps(variables or {})}
    return connection.execute(_COPY_LIST, {**given, **became._asdict()}).rowcount


def write(connection: Connection, rows: Iterable[tuple[int, str, Mapping[str, Any]]]) -> int:
    """Write deliveries: execution, recipient and variables of each; returns how many."""
    return copy(connection, _COPY, ((execution, to, variables_of(given)) for execution, to, given in rows))


# Whoever else is at it is waited for here, and has written them then.
_LEFT = text("""
    SELECT list_id, total, state, error, finished_at IS NOT NULL AS over FROM push_execution
    WHERE id = :execution AND list_id IS NOT NULL FOR NO KEY UPDATE
""")


def left(connection: Connection, execution: int) -> int | None:
    """How many deliveries of an execution are to be written, which nobody does before the transaction ends.

    :returns: None if they are.
    """
    row = connection.execute(_LEFT, {"execution": execution}).first()
    return None if row is None else int(row.total)


def write_left(connection: Connection, execution: int) -> bool:
    """Write the deliveries of an execution that began without, unless they are written.

    It may take seconds, and holds its row alone: others of the same push task begin meanwhile. Of one that has ended
    before its run came to them, they are what became of it.

    :returns: whether it has.
    """
    row = connection.execute(_LEFT, {"execution": execution}).first()
    if row is None:
        return False
    since = spans.begin(connection)
    became = _PENDING
    if row.over:
        became = Became(DeliveryState.CANCELLED)
        if row.state == ExecutionState.FAILED:
            became = Became(DeliveryState.FAILED, NOT_SENT, (row.error or "")[:500])
    copy_list(connection, execution, row.list_id, became=became)
    spans.note_left(connection, since, execution)
    return True


_ENDED = text("SELECT id FROM push_execution WHERE list_id IS NOT NULL AND finished_at IS NOT NULL LIMIT 1")


def write_ended(engine: Engine) -> int | None:
    """Write the deliveries of an execution that has ended, and whose run does not do it.

    :returns: its id; None if there is none.
    """
    with transaction(engine) as connection:
        execution = connection.execute(_ENDED).scalar()
        return execution if execution is not None and write_left(connection, execution) else None
