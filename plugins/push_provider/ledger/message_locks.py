"""What a transaction that takes messages locks, and in which order, so that many are at work and none waits in a ring.

1. The **partitions** its messages come from: one that two read, because it has just gone from the one to the other, is
   taken by one after the other, and the second sees what the first has taken. Nothing but messages locks these.
2. The **push tasks** that it speaks of and that there are, in the order of their codes. Everybody else locks one task
   in a transaction, several in this order as well (``airflow push apply``), or several without waiting
   (``SKIP LOCKED``). An ``id`` is one of a task, so from here on nobody else takes a message under it.
3. The **counts of open tasks** of the applications whose tasks it defines, if they are near their limit. Who changes a
   task locks that first, too; who creates one, or many by REST, has none.
4. The codes of **new push tasks**, as it inserts them, in order. Whoever waits for an insert waits for somebody who is
   as far as this. A code that somebody else has inserted meanwhile is not locked here, but by the next transaction.
5. The **shards** of what has changed, in order, as the last thing.

Each of these waits only for who is at the same place, and in the same order, or further on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import Connection, text

from push_provider.ledger import definitions, tasks
from push_provider.ledger.orders import Bounds, Define, Order, Refused

if TYPE_CHECKING:
    from push_provider.ledger.tasks import TaskRow

_PARTITIONS = 100
"""Partitions whose messages one transaction takes: PostgreSQL has room for 6,400 locks, of everybody together, as it is
delivered (``max_locks_per_transaction``)."""
# In the order in which they stand there.
_LOCK = text("SELECT pg_advisory_xact_lock(key) FROM unnest(CAST(:keys AS bigint[])) AS key")


def parts(orders: Sequence[Order]) -> list[Sequence[Order]]:
    """Orders in parts, in their order, of so few partitions each as one transaction may lock."""
    found: list[Sequence[Order]] = []
    begun = 0
    places: set[tuple[str, int]] = set()
    for number, order in enumerate(orders):
        places.add((order.message.topic, order.message.partition))
        if len(places) > _PARTITIONS:
            found.append(orders[begun:number])
            begun, places = number, {(order.message.topic, order.message.partition)}
    return [*found, orders[begun:]]


def lock(connection: Connection, orders: Collection[Order]) -> Mapping[str, TaskRow]:
    """Lock the partitions that orders come from, and the push tasks that they speak of.

    :returns: those tasks that there are, without their recipients.
    """
    places = {(order.message.topic, order.message.partition) for order in orders}
    connection.execute(_LOCK, {"keys": sorted(_key(*place) for place in places)})
    codes = sorted({order.code for order in orders if not isinstance(order, Refused)})
    return tasks.locked_all(connection, codes) if codes else {}


def lock_counts(connection: Connection, orders: Collection[Order], bounds: Bounds) -> Mapping[str | None, int]:
    """Lock the counts of open tasks that those which orders define may reach the limit of.

    :returns: the limit of each application whose tasks they define; 0 if it is far.
    """
    limits: dict[str | None, int] = {}
    for order in orders:
        if isinstance(order, Define):
            app = order.task.app
            limits[app] = max(limits.get(app, 0), bounds.open_limit(app))
    definitions.lock_counts(connection, [app for app, limit in limits.items() if limit])
    return limits


def _key(topic: str, partition: int) -> int:
    """A number that no other partition has, nor anything else that is locked by one."""
    digest = hashlib.sha256(f"messages\n{topic}\n{partition}".encode()).digest()
    return int.from_bytes(digest[:8], signed=True)
