"""What the REST API answered, so that a repeated request with the same Idempotency-Key gets the same answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Engine, Text, delete, func, literal_column, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from push_provider.exceptions import KeyReused
from push_provider.ledger.engine import transaction
from push_provider.ledger.tables import ANSWER_TASK, push_answer

KEPT_HOURS = 24
"""How long an answer is kept; whoever repeats a request after that begins anew."""

_FORGET_OLD = text("""
    DELETE FROM push_answer WHERE ctid = ANY (ARRAY (
        SELECT ctid FROM push_answer WHERE created_at <= now() - make_interval(hours => :hours)
        ORDER BY created_at LIMIT :limit FOR UPDATE SKIP LOCKED))
""").bindparams(hours=KEPT_HOURS)


class Ask(NamedTuple):
    """A request that may come again.

    :param caller: who asks; keys of two callers have nothing to do with each other.
    :param call: what is asked: method and path.
    :param key: the caller's Idempotency-Key.
    :param fingerprint: SHA-256 of the body, in hex.
    """

    caller: str
    call: str
    key: str
    fingerprint: str


def find(connection: Connection, ask: Ask) -> Mapping[str, Any] | None:
    """The answer that this request got before, if it did.

    :raises KeyReused: the key came before with another body.
    """
    row = connection.execute(
        select(push_answer.c.fingerprint, push_answer.c.answer).where(_same(ask), _is_kept())
    ).first()
    if row is None:
        return None
    if row.fingerprint != ask.fingerprint:
        raise KeyReused(
            f"Idempotency-Key {ask.key!r} came before with another body. Take a new key for a new request, or "
            "repeat the first one unchanged."
        )
    answer: Mapping[str, Any] = row.answer
    return answer


def reserve(connection: Connection, ask: Ask) -> Mapping[str, Any] | None:
    """Take the key for this transaction, or give the answer that it has; then :func:`keep` the answer.

    The same request at the same moment waits here until the first one's transaction ends.

    :raises KeyReused: the key came before with another body.
    """
    connection.execute(delete(push_answer).where(_same(ask), ~_is_kept()))
    taken = connection.execute(
        upsert(push_answer).values(**ask._asdict()).on_conflict_do_nothing().returning(push_answer.c.key)
    ).first()
    if taken is None:
        return find(connection, ask)
    return None


def keep(connection: Connection, ask: Ask, answer: Mapping[str, Any]) -> None:
    """Keep the answer of a request whose key was reserved in this transaction."""
    connection.execute(update(push_answer).where(_same(ask)).values(answer=dict(answer)))


def forget(connection: Connection, code: str) -> None:
    """Forget the answers that speak of a push task which is deleted: another of its code is another task."""
    of_task: ColumnElement[str] = literal_column(ANSWER_TASK, Text)  # word for word as its index has it
    connection.execute(delete(push_answer).where(of_task == code))


def forget_old(engine: Engine, limit: int) -> int:
    """Forget up to ``limit`` answers that are not kept any longer, oldest first; returns how many."""
    with transaction(engine) as connection:
        return connection.execute(_FORGET_OLD, {"limit": limit}).rowcount


def _same(ask: Ask) -> Any:
    return (push_answer.c.caller == ask.caller) & (push_answer.c.call == ask.call) & (push_answer.c.key == ask.key)


def _is_kept() -> Any:
    return push_answer.c.created_at > func.now() - func.make_interval(0, 0, 0, 0, KEPT_HOURS)
