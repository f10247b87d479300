"""DAG runs as executions know them: which of one id are the same, and which have no execution."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, Select, delete, select, tuple_, update

from push_provider.ledger.engine import transaction
from push_provider.ledger.tables import push_execution


def is_same(before: datetime | None, run_after: datetime | None) -> bool:
    """Whether two runs of one id are the same; of one of which it is not known when it runs after it is taken for it.

    :param before: the one's.
    :param run_after: the other's.
    """
    return before is None or run_after is None or before == run_after


def is_earlier(before: datetime | None, run_after: datetime | None) -> bool:
    """Whether the one of two runs of one id was there before the other; parameters as :func:`is_same` has them."""
    return before is not None and run_after is not None and before < run_after


def forget_refusal(connection: Connection, code: str, run_id: str | None, run_after: datetime | None) -> None:
    """Make room for the execution of a run that was refused; of another run of the same id the refusal stays."""
    refused = _refusal(connection, code, run_id) if run_id is not None else None
    if refused is None:
        return
    this = push_execution.c.id == refused.id
    if is_same(refused.run_after, run_after):
        connection.execute(delete(push_execution).where(this))
    else:
        connection.execute(update(push_execution).where(this).values(run_id=None))


def was_refused(engine: Engine, code: str, run_id: str, run_after: datetime | None) -> bool:
    """Whether a run was refused, and has not begun since; another one of the same id is not looked at."""
    with transaction(engine) as connection:
        refused = _refusal(connection, code, run_id)
    return refused is not None and is_same(refused.run_after, run_after)


def has_ended(engine: Engine, code: str, run_id: str, run_after: datetime | None) -> bool:
    """Whether what a run began has ended, or the run was refused; another one of the same id is not looked at."""
    columns = push_execution.c
    query = select(columns.run_after).where(
        columns.task_code == code, columns.run_id == run_id, columns.finished_at.is_not(None)
    )
    with transaction(engine) as connection:
        return any(is_same(before, run_after) for before in connection.scalars(query))


def _refusal(connection: Connection, code: str, run_id: str) -> Row[Any] | None:
    """Of a run of this id that was refused, ``id`` and ``run_after``."""
    columns = push_execution.c
    query: Select[Any] = select(*[columns[name] for name in ("id", "run_after")])
    this = (columns.task_code == code, columns.run_id == run_id)
    return connection.execute(query.where(*this, columns.number.is_(None))).first()


def without_execution(
    engine: Engine, runs: Collection[tuple[str, str, datetime | None]]
) -> set[tuple[str, str, datetime | None]]:
    """Those of some DAG runs that have no execution, not even one that was refused.

    A run of the same id that was made anew, and has one, leaves no room for the one before.

    :param runs: each with its push task, its id, and when it runs after, by which runs of one id are told apart.
    """
    pairs = [(code, run_id) for code, run_id, _ in runs]
    columns = push_execution.c
    query = select(columns.task_code, columns.run_id, columns.run_after).where(
        tuple_(columns.task_code, columns.run_id).in_(pairs)
    )
    with transaction(engine) as connection:
        known = {(row.task_code, row.run_id): row.run_after for row in connection.execute(query)}
    return {
        (code, run_id, after)
        for code, run_id, after in runs
        if (code, run_id) not in known or is_earlier(known[code, run_id], after)
    }
