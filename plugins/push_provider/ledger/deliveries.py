"""Deliveries in the ledger, as lists show them."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any, NamedTuple, Self

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Connection,
    Engine,
    Select,
    any_,
    cast,
    func,
    literal,
    literal_column,
    or_,
    select,
    true,
    tuple_,
    union_all,
)

from push_provider.ledger import executions, known_addresses, spans
from push_provider.ledger.engine import array_of, transaction
from push_provider.ledger.tables import DeliveryState, push_delivery, push_execution

_NOTABLE = frozenset({DeliveryState.DELIVERED, DeliveryState.FAILED, DeliveryState.UNKNOWN, DeliveryState.CANCELLED})
"""States that the column ``notable`` repeats."""
_BATCH = 1000


class DeliveryRow(NamedTuple):
    """A delivery: who, what became of it, and the provider's words."""

    id: int
    execution_id: int
    task_code: str
    recipient: str
    state: DeliveryState
    attempts: int
    provider_id: str | None
    error_code: str | None
    error_text: str | None
    created_at: datetime
    updated_at: datetime
    sent_at: datetime | None
    received_at: datetime | None


class DeliveryFilter(NamedTuple):
    """Which deliveries are wanted: those that match everything given.

    :param codes: only those of these push tasks; what a caller may see.
    :param search: has this text in its recipient's address, in capitals or not.
    :param begun_from: of executions that began at this moment or later.
    :param begun_to: of executions that began before this moment.
    """

    codes: Collection[str] | None = None
    task: str | None = None
    execution: int | None = None
    recipient: str | None = None
    search: str | None = None
    state: str | None = None
    begun_from: datetime | None = None
    begun_to: datetime | None = None


def find(engine: Engine, *, limit: int = 100, offset: int = 0, **filters: Any) -> list[DeliveryRow]:
    """Deliveries, newest first, that match; ``filters`` are those of :class:`DeliveryFilter`.

    :raises InvalidTask: ``search`` is part of too many addresses.
    """
    wanted = DeliveryFilter(**filters)
    with transaction(engine) as connection:
        query = _page(connection, wanted, *_COLUMNS, reach=limit + offset, ordered=True)
        return [_row(row) for row in connection.execute(query.limit(limit).offset(offset))]


def troubled(engine: Engine, execution: int, *, limit: int) -> list[DeliveryRow]:
    """The first deliveries of an execution that failed, or of which nobody can tell."""
    doubtful = push_delivery.c.notable.in_((DeliveryState.FAILED, DeliveryState.UNKNOWN))
    with transaction(engine) as connection:
        some = _joined(connection, DeliveryFilter(execution=execution), *_COLUMNS).where(doubtful)
        return [_row(row) for row in connection.execute(some.order_by(push_delivery.c.id).limit(limit))]


def count(engine: Engine, *, cap: int, **filters: Any) -> int:
    """How many deliveries match; not counted beyond ``cap``."""
    with transaction(engine) as connection:
        wanted = DeliveryFilter(**filters)
        some = _page(connection, wanted, push_delivery.c.id, reach=cap, ordered=False).limit(cap).subquery()
        return connection.execute(select(func.count()).select_from(some)).scalar_one()


class Stream:
    """All deliveries that match, newest execution first, a thousand at a time; to be closed.

    Each thousand is a short transaction of its own: a reader who takes an hour keeps nothing from being tidied up, and
    no connection. They are as they are when they are read; what begins after the first was read is not among them.
    """

    def __init__(self, engine: Engine, **filters: Any) -> None:
        self._engine = engine
        self._wanted = DeliveryFilter(**filters)
        self._executions: deque[_Place] = deque()
        self._last: _Place | None = None
        self._after: int | None = None
        self._found: known_addresses.Found | None = None
        self._ended = False
        self._connection: Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[list[DeliveryRow]]:
        while rows := self.read():
            yield rows

    def read(self) -> list[DeliveryRow]:
        """The next of them; none at the end.

        :raises LedgerUnavailable: the database cannot be reached, or :meth:`cancel` was called meanwhile.
        """
        rows: list[DeliveryRow] = []
        while not rows and not self._ended:
            with transaction(self._engine) as connection:
                self._connection = connection
                try:
                    rows = self._next(connection)
                finally:
                    self._connection = None
        return rows

    def _next(self, connection: Connection) -> list[DeliveryRow]:
        if self._wanted.recipient is not None or self._wanted.search is not None:
            return self._of_recipients(connection)
        if not self._executions and not self._more(connection):
            return []
        first = self._executions[0].id
        own = select(push_delivery).where(spans.OF_EXECUTION, *_own(self._wanted))
        if self._after is not None:
            own = own.where(or_(push_execution.c.id != first, push_delivery.c.id < self._after))
        each = own.order_by(push_delivery.c.id.desc()).limit(_BATCH).lateral("each")
        found = connection.execute(
            select(*_chosen(each, _COLUMNS))
            .select_from(push_execution)
            .join(each, true())
            .where(push_execution.c.id == any_(cast([place.id for place in self._executions], ARRAY(BigInteger))))
            .order_by(push_execution.c.created_at.desc(), push_execution.c.id.desc(), each.c.id.desc())
            .limit(_BATCH)
        ).all()
        rows = [_row(row) for row in found]
        if len(rows) < _BATCH:
            self._executions.clear()
            self._after = None
        else:
            self._after = rows[-1].id
            while self._executions[0].id != rows[-1].execution_id:
                self._executions.popleft()
        return rows

    def _more(self, connection: Connection) -> bool:
        """Look up the next executions that may have some; whether there are any."""
        query = executions.matching(_of_executions(self._wanted), push_execution.c.id, push_execution.c.created_at)
        query = query.where(*_may_hold(self._wanted.state))
        if self._wanted.execution is not None:
            query = query.where(push_execution.c.id == self._wanted.execution)
        place = tuple_(push_execution.c.created_at, push_execution.c.id)
        if self._last is not None:
            query = query.where(place < tuple_(literal(self._last.created_at), literal(self._last.id, BigInteger)))
        order = push_execution.c.created_at.desc(), push_execution.c.id.desc()
        found = [_Place._make(row) for row in connection.execute(query.order_by(*order).limit(_BATCH))]
        if found:
            self._executions.extend(found)
            self._last = found[-1]
        else:
            self._ended = True
        return bool(found)

    def _of_recipients(self, connection: Connection) -> list[DeliveryRow]:
        if self._wanted.search is not None:
            if self._found is None:
                self._found = known_addresses.matching(connection, self._wanted.search)
            query = _searched(connection, self._found, self._wanted, *_COLUMNS, reach=_BATCH, before=self._after)
        else:
            query = _joined(connection, self._wanted, *_COLUMNS).order_by(push_delivery.c.id.desc())
            if self._after is not None:
                query = query.where(push_delivery.c.id < self._after)
        rows = [_row(row) for row in connection.execute(query.limit(_BATCH))]
        if rows:
            self._after = rows[-1].id
        self._ended = len(rows) < _BATCH
        return rows

    def cancel(self) -> None:
        """Interrupt the database while it reads. Any thread may call this."""
        self._ended = True
        connection = self._connection
        if connection is not None:
            with suppress(Exception):  # it may be through, or away
                connection.connection.dbapi_connection.cancel()  # type: ignore[union-attr]

    def close(self) -> None:
        """Read no more."""
        self._ended = True
        self._executions.clear()


class _Place(NamedTuple):
    """Where an execution stands among all of them."""

    id: int
    created_at: datetime


def _chosen(each: Any, columns: Iterable[ColumnElement[Any]]) -> list[ColumnElement[Any]]:
    """The same columns of deliveries, of a part of them."""
    return [column if column is push_execution.c.task_code else each.c[str(column.key)] for column in columns]


_COLUMNS: list[ColumnElement[Any]] = [
    push_execution.c.task_code if name == "task_code" else push_delivery.c[name] for name in DeliveryRow._fields
]


def _row(row: Any) -> DeliveryRow:
    return DeliveryRow._make(row)._replace(state=DeliveryState(row.state))


def _of_executions(wanted: DeliveryFilter) -> executions.ExecutionFilter:
    return executions.ExecutionFilter(
        codes=wanted.codes, task=wanted.task, begun_from=wanted.begun_from, begun_to=wanted.begun_to
    )


def _own(wanted: DeliveryFilter) -> list[ColumnElement[bool]]:
    """What a delivery itself must be like."""
    clauses = []
    if wanted.execution is not None:
        clauses.append(push_delivery.c.execution_id == wanted.execution)
    if wanted.recipient is not None:
        clauses.append(push_delivery.c.recipient == wanted.recipient)
    if wanted.state in _NOTABLE:
        clauses.append(push_delivery.c.notable == wanted.state)
    elif wanted.state is not None:
        clauses.append(push_delivery.c.state == wanted.state)
    return clauses


def _joined(connection: Connection, wanted: DeliveryFilter, *columns: ColumnElement[Any]) -> Select[Any]:
    within = [] if wanted.execution is None else [spans.of(connection, wanted.execution).holds]
    return (
        executions.matching(_of_executions(wanted), *columns)
        .join(push_delivery, push_delivery.c.execution_id == push_execution.c.id)
        .where(*within, *_own(wanted), *_may_hold(wanted.state))
    )


def _page(
    connection: Connection, wanted: DeliveryFilter, *columns: ColumnElement[Any], reach: int, ordered: bool
) -> Select[Any]:
    """A query that finds the first ``reach`` matches without looking at many more, among any number of deliveries.

    What narrows most decides the way: one execution, one recipient or a rare state are found by an index of the
    deliveries, in order of their ids. Otherwise the executions that match are walked through, newest first, and of
    each at most ``reach`` deliveries are read.
    """
    if wanted.search is not None:
        found = known_addresses.matching(connection, wanted.search)
        return _searched(connection, found, wanted, *columns, reach=reach)
    if wanted.execution is not None or wanted.recipient is not None:
        query = _joined(connection, wanted, *columns)
        return query.order_by(push_delivery.c.id.desc()) if ordered else query
    if wanted.state in _NOTABLE:
        query = _joined(connection, wanted, *columns)
        order = (push_delivery.c.execution_id.desc(), push_delivery.c.id.desc())
        return query.order_by(*order) if ordered else query
    # In order also where only their number counts. Else the planner, who looks at the table now and then and takes
    # deliveries of any execution to lie everywhere in it, reads all of a partition to find some.
    some = select(push_delivery).where(spans.OF_EXECUTION, *_own(wanted))
    each = some.order_by(push_delivery.c.id.desc()).limit(reach).lateral("each")
    query = (
        executions.matching(_of_executions(wanted), *_chosen(each, columns))
        .join(each, true())
        .where(*_may_hold(wanted.state))
    )
    if not ordered:
        return query
    return query.order_by(push_execution.c.created_at.desc(), push_execution.c.id.desc(), each.c.id.desc())


_APART = 16
"""Up to so many addresses each have a query of their own: PostgreSQL then knows whether one of them has very many."""


def _searched(
    connection: Connection,
    found: known_addresses.Found,
    wanted: DeliveryFilter,
    *columns: ColumnElement[Any],
    reach: int,
    before: int | None = None,
) -> Select[Any]:
    """A query of the newest ``reach`` deliveries that match and are among those found.

    :param before: only those with a smaller id.
    """
    each = _joined(connection, wanted, *columns, push_delivery.c.id.label("place"))
    each = each.order_by(push_delivery.c.id.desc()).limit(reach)
    if before is not None:
        each = each.where(push_delivery.c.id < before)
    known = each.where(push_delivery.c.id <= found.position)
    recent = each.where(
        push_delivery.c.id > found.position,
        func.lower(push_delivery.c.recipient).like(func.lower(found.pattern), escape="/"),
    )
    parts = [select(*recent.subquery().c)]
    if len(found.addresses) <= _APART:
        parts += [select(*known.where(push_delivery.c.recipient == to).subquery().c) for to in found.addresses]
    else:
        one = func.unnest(array_of(found.addresses)).table_valued("address").render_derived(name="one")
        of_one = known.where(push_delivery.c.recipient == one.c.address).correlate(one).lateral("known")
        parts.append(select(*of_one.c).select_from(one.join(of_one, true())))
    every = union_all(*parts).subquery("every")
    return select(*[every.c[str(column.key)] for column in columns]).order_by(every.c.place.desc())


def _may_hold(state: str | None) -> list[ColumnElement[bool]]:
    """What is so of every execution that has a delivery in this state, as its counts tell."""
    is_open = push_execution.c.finished_at.is_(None)
    if state in (DeliveryState.PENDING, DeliveryState.SENDING):
        return [is_open]
    if state == DeliveryState.SENT:
        return [or_(is_open, push_execution.c.sent > push_execution.c.delivered)]  # which are counted as sent, too
    if state in (DeliveryState.FAILED, DeliveryState.UNKNOWN, DeliveryState.CANCELLED):
        # Word for word as the index push_execution_noteworthy_ix has it.
        troubled = [push_execution.c[name] > literal_column("0") for name in ("failed", "unknown", "cancelled")]
        return [or_(is_open, *troubled)]
    return []
