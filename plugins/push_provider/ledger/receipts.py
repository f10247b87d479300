"""Receipts in the ledger: whose is due, and what it changes.

``claim_due`` takes deliveries whose receipt is due and puts the next time on record, so that a process that dies costs
one turn; ``settle`` writes what was learnt. What was sent becomes ``delivered`` or ``failed``; what nobody could tell
becomes what it is.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection, Engine, text

from push_provider.channels.base import Fate, Question, Receipt
from push_provider.exceptions import UnknownTask
from push_provider.ledger import closing, moving, spans, tasks
from push_provider.ledger.engine import transaction
from push_provider.ledger.tables import DeliveryState

WAITS = (60, 120, 300, 900, 1800, 3600, 2 * 3600, 4 * 3600, 8 * 3600, 12 * 3600)
"""Seconds from one time of asking to the next; the last one holds for all further times."""
_LONGER = timedelta(days=7)
"""How much longer what nobody can tell is asked for where the account could not be asked: somebody may mend that.
Together with the usual three days it is well within the 30 for which Aliyun knows a message
(https://help.aliyun.com/document_detail/419277.html)."""


class Due(NamedTuple):
    """A delivery whose receipt is due."""

    task: str
    execution: int
    channel: str
    config: str | None
    """Connection id that it was sent through; None: the channel's default one, whichever that was."""
    unknown: bool
    """Nobody could tell whether it was accepted."""
    under_way: bool
    """Its execution has not ended, and may have another try."""
    question: Question


class Settled(NamedTuple):
    """How many deliveries a settlement changed to what."""

    delivered: int = 0
    failed: int = 0
    sent: int = 0
    """Accepted after all, of those that nobody could tell."""
    given_up: int = 0
    """Asked for no more, and what they were."""


_CLAIM_DUE = text("""
    WITH due AS (
        SELECT d.id, d.execution_id FROM push_delivery AS d
        WHERE d.receipt_due <= :now AND d.state IN ('sent', 'unknown')
        ORDER BY d.receipt_due LIMIT :limit FOR UPDATE SKIP LOCKED)
    UPDATE push_delivery AS d
    SET receipt_checks = least(d.receipt_checks + 1, 32000),
        receipt_due = CASE WHEN e.id IS NOT NULL THEN CAST(:now AS timestamptz) + make_interval(
            secs => (CAST(:waits AS integer[]))[least(d.receipt_checks + 1, cardinality(CAST(:waits AS integer[])))]
        ) END
    FROM due LEFT JOIN (push_execution AS e JOIN push_snapshot AS s ON s.id = e.snapshot_id) ON e.id = due.execution_id
    WHERE d.id = due.id
    RETURNING e.task_code, e.id AS execution, s.task ->> 'channel' AS channel,
              coalesce(d.config, s.task ->> 'config') AS config,
              replace(CAST(e.token AS text), '-', '') AS token,
              d.id, d.recipient, d.provider_id, d.tried_at, d.state = 'unknown' AS unknown,
              e.finished_at IS NULL AS under_way
""")
"""Of what has left the ledger, and waits for its partition to be dropped, nobody asks; and nobody finds it again."""


def claim_due(engine: Engine, limit: int, *, now: datetime) -> list[Due]:
    """Take up to ``limit`` deliveries whose receipt is due, the longest waiting first.

    :param now: the present moment.
    """
    while True:
        with transaction(engine) as connection:
            rows = connection.execute(_CLAIM_DUE, {"limit": limit, "now": now, "waits": list(WAITS)}).all()
        found = [
            Due(
                row.task_code,
                row.execution,
                row.channel,
                row.config,
                row.unknown,
                row.under_way,
                Question(row.id, row.recipient, row.token, row.provider_id, row.tried_at),
            )
            for row in rows
            if row.execution is not None
        ]
        if found or not rows:
            return found


_SETTLE = text("""
    WITH r AS (
        SELECT * FROM unnest(CAST(:ids AS bigint[]), CAST(:tries AS timestamptz[]), CAST(:states AS text[]),
            CAST(:codes AS text[]), CAST(:reasons AS text[]), CAST(:times AS timestamptz[]),
            CAST(:finals AS boolean[])) AS r (id, tried_at, state, code, reason, received_at, final)),
    old AS (
        SELECT d.id, d.state FROM push_delivery AS d JOIN r ON d.id = r.id
        WHERE d.id BETWEEN :first AND :last AND d.state IN ('sent', 'unknown') AND d.tried_at = r.tried_at
            AND (r.state <> 'unknown' OR d.state = 'unknown')
        ORDER BY d.id FOR UPDATE OF d)
    UPDATE push_delivery AS d
    SET state = r.state, updated_at = :now, received_at = r.received_at,
        error_code = CASE WHEN r.state = 'unknown' THEN d.error_code ELSE r.code END,
        error_text = CASE WHEN r.state = 'unknown' THEN d.error_text ELSE r.reason END,
        sent_at = CASE WHEN r.state IN ('sent', 'delivered') THEN coalesce(d.sent_at, d.tried_at) ELSE d.sent_at END,
        receipt_due = CASE WHEN r.final THEN NULL ELSE d.receipt_due END
    FROM old JOIN r ON r.id = old.id
    WHERE d.id = old.id AND d.id BETWEEN :first AND :last
    RETURNING d.id, d.execution_id, old.state AS before, d.state
""")
"""A receipt whose delivery is in another state by now, or was claimed again, changes nothing."""


class _Change(NamedTuple):
    due: Due
    state: str
    code: str | None
    reason: str | None
    received_at: datetime | None
    final: bool


def settle(
    engine: Engine, due: Sequence[Due], receipts: Sequence[Receipt], *, now: datetime, patience: timedelta
) -> Settled:
    """Write what was learnt of deliveries that :func:`claim_due` gave.

    A delivery that is being sent again meanwhile is left alone. One in doubt does not fail while its execution is under
    way: the next try may send it again.

    :param receipts: at most one for each; one without a receipt is asked for again at its next time.
    :param patience: how long after a message was sent receipts are asked for. Then one that was accepted stays
        ``sent``, and one that the provider knows nothing of has ``failed``: it was never accepted. One in doubt that
        the provider could not be asked about is asked for some days longer, and then stays ``unknown``.
    :returns: what changed.
    """
    known = {receipt.id: receipt for receipt in receipts}
    by_task: dict[str, list[_Change]] = defaultdict(list)
    for one in due:
        if change := _change(one, known.get(one.question.id), now - one.question.tried_at - patience):
            by_task[one.task].append(change)
    total = Settled()
    # In the order of their codes, so that no two processes wait for each other.
    for code in sorted(by_task):
        changes = by_task[code]
        with transaction(engine) as connection:
            moving.hold(connection, code)
            try:
                tasks.lock(connection, code)
            except UnknownTask:  # deleted meanwhile, with all of its deliveries
                continue
            settled, moved = _write(connection, changes, now)
            total = Settled(*map(sum, zip(total, settled, strict=True)))
            for execution in sorted(moved):
                closing.count_moved(connection, execution, moved[execution])
            tasks.settle(connection, code)
    return total


def _change(due: Due, receipt: Receipt | None, over: timedelta) -> _Change | None:
    """What becomes of a delivery; None: nothing yet.

    :param receipt: None if the provider could not be asked.
    :param over: for how long its time has been over.
    """
    late = over >= timedelta()
    if receipt is None:
        if due.unknown:
            return _Change(due, "unknown", None, None, None, final=True) if over >= _LONGER else None
        words = "The provider could not be asked whether it arrived"
        return _Change(due, "sent", "no-receipt", words, None, final=True) if late else None
    match receipt.fate:
        case Fate.DELIVERED:
            return _Change(due, "delivered", None, None, receipt.received_at, final=True)
        case Fate.FAILED | Fate.ABSENT if due.unknown and due.under_way:
            return None
        case Fate.FAILED:
            return _Change(due, "failed", receipt.code, receipt.text, receipt.received_at, final=True)
        case Fate.ABSENT if due.unknown:
            words = "The provider has no record of it: it was never accepted. Clear the run to send it again"
            return _Change(due, "failed", "no-record", words, None, final=True) if late else None
        case _ if late:
            words = "The provider never said whether it arrived"
            return _Change(due, "sent", "no-receipt", words, None, final=True)
        case Fate.WAITING if due.unknown:
            return _Change(due, "sent", None, None, None, final=False)
    return None


def _write(
    connection: Connection, changes: Sequence[_Change], now: datetime
) -> tuple[Settled, Mapping[int, Counter[tuple[DeliveryState, DeliveryState]]]]:
    """What changed, and how many deliveries of each execution went from which state to which."""
    rows = connection.execute(
        _SETTLE,
        {
            "now": now,
            **spans.values([change.due.question.id for change in changes]),
            "tries": [change.due.question.tried_at for change in changes],
            "states": [change.state for change in changes],
            "codes": [change.code for change in changes],
            "reasons": [change.reason for change in changes],
            "times": [change.received_at for change in changes],
            "finals": [change.final for change in changes],
        },
    )
    final = {change.due.question.id for change in changes if change.final}
    written = []
    moved: dict[int, Counter[tuple[DeliveryState, DeliveryState]]] = defaultdict(Counter)
    for row in rows:
        written.append((row.id, row.state))
        if row.before != row.state:
            moved[row.execution_id][DeliveryState(row.before), DeliveryState(row.state)] += 1
    settled = Settled(
        delivered=sum(state == "delivered" for _, state in written),
        failed=sum(state == "failed" for _, state in written),
        sent=sum(state == "sent" and number not in final for number, state in written),
        given_up=sum(state in ("sent", "unknown") and number in final for number, state in written),
    )
    return settled, moved
