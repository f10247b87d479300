"""Ids of messages that were taken: how long they are known.

``messages`` writes them down with what they became.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Engine, text

from push_provider.ledger.engine import transaction

if TYPE_CHECKING:
    from datetime import datetime

_FORGET = text("""
    DELETE FROM push_message WHERE ctid = ANY (ARRAY (
        SELECT ctid FROM push_message WHERE taken_at < :before
        ORDER BY taken_at LIMIT :limit FOR UPDATE SKIP LOCKED))
""")


def forget(engine: Engine, limit: int, *, before: datetime) -> int:
    """Forget up to ``limit`` messages that were taken before a moment, oldest first; returns how many.

    One of them that comes again is a new one.
    """
    with transaction(engine) as connection:
        return connection.execute(_FORGET, {"before": before, "limit": limit}).rowcount
