"""Acknowledgements in the ledger: whoever got a message says so, and it is ``delivered``.

They are taken many at a time, in a transaction for each push task. One may come before the answer of the provider is on
record: the message has arrived all the same.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from enum import Enum

from sqlalchemy import Engine, text

from push_provider.exceptions import UnknownTask
from push_provider.ledger import closing, moving, spans, tasks
from push_provider.ledger.engine import transaction
from push_provider.ledger.tables import DeliveryState
from push_provider.marks import ReceiptMark, message_id


class Taken(Enum):
    """What became of an acknowledgement."""

    YES = "yes"
    """It is on record, or changes nothing any more."""
    FORGED = "forged"
    """It was made for no message that there is."""
    LATER = "later"
    """The message is being recorded at this moment; it is to be handed in again."""


_FIND = text("""
    SELECT d.id, e.task_code, replace(CAST(e.token AS text), '-', '') AS token, t.channel
    FROM push_delivery AS d
    JOIN push_execution AS e ON e.id = d.execution_id
    JOIN push_task AS t ON t.code = e.task_code
    WHERE d.id = ANY (CAST(:ids AS bigint[])) AND d.id BETWEEN :first AND :last
""")
_OPEN = "(state IN ('sending', 'sent', 'unknown') OR (state = 'pending' AND tried_at IS NOT NULL))"
# Waits for nobody: whoever records what was sent holds many rows, in an order of their own.
_WHICH = f"""
    SELECT id, execution_id, state FROM push_delivery
    WHERE id = ANY (CAST(:ids AS bigint[])) AND id BETWEEN :first AND :last AND {_OPEN}
"""  # noqa: S608
_LOCK = text(f"{_WHICH} FOR UPDATE SKIP LOCKED")
_LEFT = text(_WHICH)
_SETTLE = text("""
    UPDATE push_delivery AS d
    SET state = 'delivered', error_code = NULL, error_text = NULL, updated_at = :now, received_at = :now,
        sent_at = coalesce(d.sent_at, d.tried_at, :now), provider_id = coalesce(d.provider_id, m.name),
        receipt_due = NULL
    FROM unnest(CAST(:ids AS bigint[]), CAST(:names AS text[])) AS m (id, name)
    WHERE d.id = m.id AND d.id BETWEEN :first AND :last
""")


def take(engine: Engine, marks: Sequence[ReceiptMark], *, channels: Collection[str], now: datetime) -> list[Taken]:
    """Put acknowledgements on record.

    What was ``delivered`` or has failed stays as it is: a link that comes again changes nothing.

    :param channels: whose messages have links. Whatever is shown of another's, it is no acknowledgement: the token of
        its executions may have been seen elsewhere, as it was in the Message-IDs of mails.
    :param now: the present moment.
    :returns: what became of each.
    """
    with transaction(engine) as connection:
        rows = connection.execute(_FIND, spans.values([mark.delivery for mark in marks])).all()
    known = {row.id: row for row in rows}
    good: dict[str, dict[int, str]] = defaultdict(dict)
    answers: dict[ReceiptMark, Taken] = {}
    for mark in marks:
        row = known.get(mark.delivery)
        if row is None or row.channel not in channels or not mark.is_of(row.token):
            answers[mark] = Taken.FORGED
        else:
            answers[mark] = Taken.YES
            good[row.task_code][mark.delivery] = message_id(row.token, mark.delivery)
    late: set[int] = set()
    for code in sorted(good):  # in this order, so that no two processes wait for each other
        late |= _settle(engine, code, good[code], now)
    return [Taken.LATER if answers[mark] is Taken.YES and mark.delivery in late else answers[mark] for mark in marks]


def _settle(engine: Engine, code: str, names: dict[int, str], now: datetime) -> set[int]:
    """Settle deliveries of one push task; those that somebody else has in hand just now are left."""
    which = spans.values(list(names))
    with transaction(engine) as connection:
        if not connection.execute(_LEFT, which).first():  # for what comes again, nobody has to wait
            return set()
        moving.hold(connection, code)
        try:
            tasks.lock(connection, code)
        except UnknownTask:  # it is deleted meanwhile, and its deliveries with it
            return set()
        locked = connection.execute(_LOCK, which).all()
        if locked:
            some = [row.id for row in locked]
            given = {"names": [names[number] for number in some], "now": now}
            connection.execute(_SETTLE, {**spans.values(some), **given})
            moved: dict[int, Counter[tuple[DeliveryState, DeliveryState]]] = defaultdict(Counter)
            for row in locked:
                moved[row.execution_id][DeliveryState(row.state), DeliveryState.DELIVERED] += 1
            for execution in sorted(moved):
                closing.count_moved(connection, execution, moved[execution])
            tasks.settle(connection, code)
        return set(connection.execute(_LEFT, which).scalars())
