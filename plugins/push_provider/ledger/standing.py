"""Whether another execution of a push task may begin, as Python and as SQL tell it."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import ColumnElement, and_, or_

from push_provider.ledger.tables import TaskStatus, push_task


class Standing(NamedTuple):
    """What a task's status follows from; read without its spec, which may hold a million recipients."""

    status: TaskStatus
    executions: int
    max_executions: int | None

    @property
    def open(self) -> bool:
        """Whether another execution may begin."""
        return self.status != TaskStatus.CANCELLED and (
            self.max_executions is None or self.executions < self.max_executions
        )


def closed() -> ColumnElement[bool]:
    """The same as ``not Standing.open``, in SQL."""
    return or_(
        push_task.c.status == TaskStatus.CANCELLED,
        and_(push_task.c.max_executions.is_not(None), push_task.c.executions >= push_task.c.max_executions),
    )
