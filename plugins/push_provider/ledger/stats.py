"""Counts over time, for charts."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Engine, any_, func, select

from push_provider.ledger.engine import array_of, transaction
from push_provider.ledger.tables import push_execution, push_task


class Hour(NamedTuple):
    """What became of the executions of one channel that began within one hour.

    ``sent``, ``delivered`` (of those sent), ``failed``, ``unknown`` and ``cancelled`` count deliveries, as of the last
    time that each execution was closed, tried or settled by receipts; those of an execution under way are in
    ``deliveries`` alone.
    """

    hour: datetime
    channel: str
    executions: int
    deliveries: int
    sent: int
    delivered: int
    failed: int
    unknown: int
    cancelled: int


def hourly(
    engine: Engine,
    *,
    begun_from: datetime,
    begun_to: datetime,
    codes: Collection[str] | None = None,
    app: str | None = None,
    channel: str | None = None,
) -> list[Hour]:
    """Every hour of the range, in UTC, in which an execution began, and every channel of it.

    :param codes: only those of these push tasks; what a caller may see.
    """
    hour = func.date_trunc("hour", push_execution.c.created_at, "UTC").label("hour")
    columns = push_execution.c
    query = (
        select(
            hour,
            push_task.c.channel,
            func.count(),
            *[func.sum(columns[name]) for name in ("total", "sent", "delivered", "failed", "unknown", "cancelled")],
        )
        .join(push_task, push_task.c.code == columns.task_code)
        .where(columns.created_at >= begun_from, columns.created_at < begun_to)
        .group_by(hour, push_task.c.channel)
        .order_by(hour, push_task.c.channel)
    )
    if codes is not None:
        query = query.where(columns.task_code == any_(array_of(codes)))
    for column, value in ((push_task.c.app, app), (push_task.c.channel, channel)):
        if value is not None:
            query = query.where(column == value)
    with transaction(engine) as connection:
        return [Hour._make(row) for row in connection.execute(query)]
