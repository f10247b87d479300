"""Between which ids the deliveries of an execution lie: partitions beyond are not even looked at.

PostgreSQL leaves out partitions by ids alone, and by numbers that it is told when it plans. So whoever asks for
deliveries of an execution looks up its span first, and names it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, any_, func, select, text
from sqlalchemy.dialects.postgresql import array

from push_provider.ledger.tables import push_delivery, push_execution

_LAST = 2**63 - 1


class Span(NamedTuple):
    """No delivery has an id before the first or after the last."""

    first: int = 0
    last: int = _LAST

    @classmethod
    def noted(cls, first: int | None, last: int | None) -> Span:
        """As an execution has it; without, its deliveries may be anywhere."""
        return cls() if first is None or last is None else cls(first, last)

    @property
    def holds(self) -> ColumnElement[bool]:
        """Whether a delivery lies in it."""
        return push_delivery.c.id.between(self.first, self.last)


def _of_the_execution_beside() -> ColumnElement[bool]:
    delivery, execution = push_delivery.c, push_execution.c
    first, last = func.coalesce(execution.first_delivery, 0), func.coalesce(execution.last_delivery, _LAST)
    return and_(delivery.execution_id == execution.id, delivery.id >= first, delivery.id <= any_(array([last])))


OF_EXECUTION = _of_the_execution_beside()
"""Whether a delivery is one of the execution beside it; partitions are chosen while a query runs.

To be read in the order of ids alone, in which two indexes of each partition have them, and with the last id as an array
of one: of what is simply between two ids that it does not know, the planner expects so few rows that it would read all
of a million and sort them, rather than take the first hundred as they come.
"""


def of(connection: Connection, execution: int) -> Span:
    """The span of an execution; of one that is gone, that of all deliveries."""
    query = select(push_execution.c.first_delivery, push_execution.c.last_delivery)
    row = connection.execute(query.where(push_execution.c.id == execution)).first()
    return Span.noted(*row) if row else Span()


def values(ids: Sequence[int]) -> dict[str, Any]:
    """Some deliveries, and between which ids they lie, as a statement takes them: ``ids``, ``first`` and ``last``."""
    return {"ids": list(ids), "first": min(ids, default=0), "last": max(ids, default=0)}


_NEXT = text("SELECT last_value + CAST(is_called AS int) FROM push_delivery_id_seq")


def begin(connection: Connection) -> int:
    """The smallest id that a delivery may have which is written from now on."""
    return int(connection.execute(_NEXT).scalar_one())


# The ends alone are looked up: there may be a million in between. As a range, though it has one value: in this order
# only the index of executions and ids gives them. What the sequence says would be quicker, and hold all executions of a
# batch of messages: whoever then asks for the deliveries of one would read those of all.
_END = """
    (SELECT d.id FROM push_delivery AS d WHERE d.execution_id BETWEEN {0} AND {0} AND d.id >= :since
     ORDER BY d.execution_id{1}, d.id{1} LIMIT 1)
"""
_NOTE = text(f"""
    UPDATE push_execution AS e SET total = e.total + n.count,
        first_delivery = CASE WHEN e.total = 0 OR e.first_delivery IS NOT NULL
                              THEN least(e.first_delivery, n.first) END,
        last_delivery = CASE WHEN e.total = 0 OR e.first_delivery IS NOT NULL
                             THEN greatest(e.last_delivery, n.last) END
    FROM (
        SELECT u.id, u.count, {_END.format("u.id", "")} AS first, {_END.format("u.id", " DESC")} AS last
        FROM unnest(CAST(:ids AS bigint[]), CAST(:counts AS int[])) AS u (id, count)) AS n
    WHERE e.id = n.id
""")  # noqa: S608  (constants of ours)


def note(connection: Connection, since: int, counts: Mapping[int, int]) -> None:
    """Note that deliveries were written: how many more executions have, and between which ids all of them lie.

    Where it was not noted before, it cannot be now.

    :param since: what :func:`begin` said before they were written.
    :param counts: how many, of each execution.
    """
    connection.execute(_NOTE, {"since": since, "ids": list(counts), "counts": list(counts.values())})


_NOTE_LEFT = text(f"""
    UPDATE push_execution SET list_id = NULL, first_delivery = {_END.format(":execution", "")},
        last_delivery = {_END.format(":execution", " DESC")}
    WHERE id = :execution
""")  # noqa: S608  (constants of ours)


def note_left(connection: Connection, since: int, execution: int) -> None:
    """The same for an execution that had its number of deliveries already, and none of them.

    By one statement: were its row changed twice in a transaction, PostgreSQL would look up its push task anew, and so
    hold it (``RI_FKey_fk_upd_check_required``).
    """
    connection.execute(_NOTE_LEFT, {"since": since, "execution": execution})
