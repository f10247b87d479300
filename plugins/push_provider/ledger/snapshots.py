"""What executions were planned with, their task and its templates: each once, however many executions have it.

A retry tomorrow sends what was meant today, whatever has become of the task and its files since.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Engine, select, text
from sqlalchemy.dialects.postgresql import insert as upsert

from push_provider import written
from push_provider.ledger import walks
from push_provider.ledger.engine import transaction
from push_provider.ledger.tables import push_snapshot

_WHAT = "snapshots"


def keep(connection: Connection, task: Mapping[str, Any], templates: Mapping[str, str]) -> int:
    """Keep a task and its templates, unless they are; nobody forgets them before the transaction ends.

    :param task: its spec, without recipients.
    :param templates: the sources by name.
    :returns: the snapshot's id.
    """
    digest = _digest(task, templates)
    found = select(push_snapshot.c.id).where(push_snapshot.c.digest == digest)
    # It is seldom new, and may have an attachment of a megabyte: it is asked for before it is handed over.
    known = connection.execute(found.with_for_update(read=True, key_share=True)).scalar()
    if known is not None:
        return int(known)
    values = {"digest": digest, "task": dict(task), "templates": dict(templates)}
    made = upsert(push_snapshot).values(**values)
    made = made.on_conflict_do_update(index_elements=[push_snapshot.c.digest], set_={"digest": digest})
    return int(connection.execute(made.returning(push_snapshot.c.id)).scalar_one())


def _digest(task: Mapping[str, Any], templates: Mapping[str, str]) -> bytes:
    digest = hashlib.sha256(written.dumps(task, sort_keys=True).encode())
    for name, source in sorted(templates.items()):
        for part in (name, source):
            raw = part.encode()
            digest.update(b"\n%d\n" % len(raw))
            digest.update(raw)
    return digest.digest()


_UNUSED = text("""
    WITH part AS (SELECT id FROM push_snapshot WHERE id > :after ORDER BY id LIMIT :limit),
    unused AS (
        SELECT s.id FROM push_snapshot AS s JOIN part AS p ON p.id = s.id
        WHERE NOT EXISTS (SELECT FROM push_execution AS e WHERE e.snapshot_id = s.id)
        FOR UPDATE OF s SKIP LOCKED)
    SELECT (SELECT count(*) FROM part) AS seen, (SELECT max(id) FROM part) AS last,
        ARRAY (SELECT id FROM unused) AS unused
""")
# By a statement of its own: of what is locked, an execution that began just before has been committed by now.
_FORGET = text("""
    DELETE FROM push_snapshot AS s WHERE id = ANY(:ids)
        AND NOT EXISTS (SELECT FROM push_execution AS e WHERE e.snapshot_id = s.id)
""")


def forget(engine: Engine, limit: int) -> int:
    """Go through up to ``limit`` snapshots, and forget those that no execution has.

    :returns: how many were gone through; 0 when all have been, and the next call begins anew, or others are at it.
    """
    with transaction(engine) as connection:
        after = walks.locked(connection, _WHAT)
        if after is None:
            return 0
        row = connection.execute(_UNUSED, {"after": after, "limit": limit}).one()
        connection.execute(_FORGET, {"ids": row.unused})
        walks.go_on(connection, _WHAT, row.last or 0)
    return int(row.seen)
