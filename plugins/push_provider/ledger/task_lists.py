"""Push tasks in lists: those that match, without what may be long."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Engine, Select, all_, and_, any_, exists, func, not_, or_, select

from push_provider.ledger.engine import array_of, array_of_ids, transaction
from push_provider.ledger.standing import Standing
from push_provider.ledger.tables import TaskStatus, push_list, push_recipient, push_task


class TaskItem(NamedTuple):
    """A push task as lists show it: without what may be long."""

    code: str
    name: str
    channel: str
    config: str | None
    app: str | None
    owner: str | None
    subject: str | None
    schedule: Mapping[str, Any]
    recipients: int
    execution_type: str
    max_executions: int | None
    executions: int
    status: TaskStatus
    schedule_since: datetime
    retired_at: datetime | None
    last_execution_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @property
    def open(self) -> bool:
        """Whether another execution may begin."""
        return Standing(self.status, self.executions, self.max_executions).open


class TaskFilter(NamedTuple):
    """Which push tasks are wanted: those that match everything given.

    :param codes: only these; what a caller may see.
    :param without: not these.
    :param status: one of :class:`TaskStatus`, or several.
    :param delayed: those that a schedule starts later (true), or those that start at once or by hand.
    :param sender: connection ids of the sender configuration.
    :param default_of: with ``sender``, also tasks of these channels that name no configuration.
    :param recipient: has this address among its own.
    :param name: has this text in its name, in capitals or not.
    :param search: has this text in its name, code or configuration's id, or in an address among its own recipients,
        in capitals or not.
    :param search_senders: with ``search``, also tasks of these connection ids.
    :param search_default_of: with ``search``, also tasks of these channels that name no configuration.
    """

    codes: Collection[str] | None = None
    without: Collection[str] = ()
    status: str | Collection[str] | None = None
    channel: str | None = None
    execution_type: str | None = None
    delayed: bool | None = None
    sender: Collection[str] | None = None
    default_of: Collection[str] = ()
    recipient: str | None = None
    name: str | None = None
    search: str | None = None
    search_senders: Collection[str] = ()
    search_default_of: Collection[str] = ()
    app: str | None = None
    owner: str | None = None
    last_run_from: datetime | None = None
    last_run_to: datetime | None = None


TASK_ORDERS = ("created_at", "updated_at", "last_execution_at", "name", "code")
"""Columns that a list may be ordered by."""


def find(
    engine: Engine, *, order_by: str = "-created_at", limit: int = 100, offset: int = 0, **filters: Any
) -> list[TaskItem]:
    """Push tasks that match, newest first unless ``order_by`` says otherwise.

    ``filters`` are those of :class:`TaskFilter`.

    :param order_by: one of :data:`TASK_ORDERS`, with ``-`` in front for the reverse.
    """
    columns = [push_task.c[order_by.removeprefix("-")], push_task.c.code]  # two pages never show the same task
    order: list[ColumnElement[Any]] = [one.desc() for one in columns] if order_by.startswith("-") else [*columns]
    if columns[0].nullable:  # elsewhere it would keep the index from being used
        order[0] = order[0].nulls_last()
    with transaction(engine) as connection:
        query = _matching(connection, TaskFilter(**filters), *[push_task.c[name] for name in TaskItem._fields])
        rows = connection.execute(query.order_by(*order).limit(limit).offset(offset))
        return [TaskItem._make(row)._replace(status=TaskStatus(row.status)) for row in rows]


def count(engine: Engine, *, cap: int, **filters: Any) -> int:
    """How many push tasks match; not counted beyond ``cap``."""
    with transaction(engine) as connection:
        some = _matching(connection, TaskFilter(**filters), push_task.c.code, counted=True).limit(cap).subquery()
        return connection.execute(select(func.count()).select_from(some)).scalar_one()


def _matching(
    connection: Connection, wanted: TaskFilter, *columns: ColumnElement[Any], counted: bool = False
) -> Select[Any]:
    query: Select[Any] = select(*columns)
    equal = ("channel", "execution_type", "app", "owner")
    clauses = [push_task.c[name] == value for name in equal if (value := getattr(wanted, name)) is not None]
    if wanted.codes is not None:
        clauses.append(push_task.c.code == any_(array_of(wanted.codes)))
    if wanted.without:
        clauses.append(push_task.c.code != all_(array_of(wanted.without)))
    if wanted.status is not None:
        clauses.append(push_task.c.status.in_([wanted.status] if isinstance(wanted.status, str) else wanted.status))
    if wanted.delayed is not None:
        at_once = push_task.c.schedule["kind"].astext.in_(("now", "manual"))
        clauses.append(not_(at_once) if wanted.delayed else at_once)
    if wanted.sender is not None:
        clauses.append(_sent_through(wanted.sender, wanted.default_of))
    if wanted.recipient is not None:
        whose = (push_recipient.c.list_id == push_task.c.list_id, push_recipient.c.address == wanted.recipient)
        clauses.append(exists().where(*whose))
    if wanted.name is not None:
        clauses.append(push_task.c.name.icontains(wanted.name, autoescape=True))
    if wanted.search is not None:
        found = or_(
            _has_part(push_task.c.searched, wanted.search), _to_part(connection, wanted.search, counted=counted)
        )
        by_sender = wanted.search_senders or wanted.search_default_of
        clauses.append(
            or_(found, _sent_through(wanted.search_senders, wanted.search_default_of)) if by_sender else found
        )
    if wanted.last_run_from is not None:
        clauses.append(push_task.c.last_execution_at >= wanted.last_run_from)
    if wanted.last_run_to is not None:
        clauses.append(push_task.c.last_execution_at < wanted.last_run_to)
    return query.where(*clauses)


_FEW = 1000
"""Lists of recipients that are looked up one by one, at most."""


def _to_part(connection: Connection, text: str, *, counted: bool) -> ColumnElement[bool]:
    """Tasks that have a text in an address among their own recipients.

    PostgreSQL does not know how many a text is part of. Those of few are looked up first. Where there are many, a list
    has soon found as many as it shows, one after the other; for a count it is quicker to go through all beforehand, as
    PostgreSQL does for EXISTS and no other subquery.
    """
    has = _has_part(func.lower(push_list.c.addresses), text)
    lists = connection.scalars(select(push_list.c.list_id).where(has).limit(_FEW + 1)).all()
    if len(lists) <= _FEW:
        return push_task.c.list_id == any_(array_of_ids(lists))
    its_list = push_list.c.list_id == push_task.c.list_id
    if counted:
        return exists().where(its_list, has)
    return select(has).where(its_list).correlate(push_task).scalar_subquery()


def _has_part(place: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    # As the indexes have it; what is searched for is made small by what made that small.
    return place.like(func.lower(f"%{re.sub('([/%_])', _ESCAPED, text)}%"), escape="/")


_ESCAPED = r"/\1"


def _sent_through(configs: Collection[str], default_of: Collection[str]) -> ColumnElement[bool]:
    """Tasks of these sender configurations, and those of these channels that name none."""
    named = push_task.c.config == any_(array_of(configs))
    if not default_of:
        return named
    return or_(named, and_(push_task.c.config.is_(None), push_task.c.channel.in_(default_of)))
