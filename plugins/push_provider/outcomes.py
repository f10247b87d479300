"""What became of an execution, for tasks of other people's DAGs that wait for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from push_provider.exceptions import LedgerUnavailable

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from push_provider.ledger.executions import ExecutionRow

_COUNTS = ("total", "sent", "delivered", "failed", "unknown", "cancelled")


def ended(engine: Engine, execution: int) -> ExecutionRow | None:
    """The execution if it has ended; None while it is under way.

    :raises UnknownExecution: there is none of this number.
    """
    from push_provider.ledger import executions

    row = executions.get(engine, execution)
    return row if row.finished_at is not None else None


def looked(engine: Engine, execution: int, log: Any) -> ExecutionRow | None:
    """The same for whoever looks again later: a ledger that is away is waited for.

    :param log: of whoever waits; told that the ledger is away.
    """
    try:
        return ended(engine, execution)
    except LedgerUnavailable as away:
        log.warning("%s. Waiting until it is back.", away)
        return None


def conclude(row: ExecutionRow) -> dict[str, Any]:
    """What a task that waited makes of it.

    :returns: number and state of the execution, and how many of its deliveries are in which state.
    :raises AirflowFailException: not everybody got the message. Another try of the waiting task would see the same.
    :raises AirflowSkipException: the push task was cancelled.
    """
    from push_provider.ledger.tables import ExecutionState

    counts = {name: getattr(row, name) for name in _COUNTS}
    if row.state is ExecutionState.SUCCEEDED:
        return {"execution": row.id, "state": row.state.value, **counts}
    told = (
        f"Execution {row.id} of push task {row.task_code!r} is {row.state.value}: {row.sent} of {row.total} sent, "
        f"{row.failed} failed, {row.unknown} unknown, {row.cancelled} cancelled."
    )
    if row.state is ExecutionState.CANCELLED:
        raise AirflowSkipException(told)
    because = f" {row.error}" if row.error else ""
    raise AirflowFailException(f"{told}{because} Who and why: airflow push deliveries --execution {row.id}")
