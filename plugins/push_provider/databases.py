"""What a database's error says, be it the ledger's or Airflow's."""

from __future__ import annotations

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout


def is_away(error: BaseException) -> bool:
    """Whether an error says that a database, this or Airflow's, cannot be used just now, whatever it was asked."""
    # COPY speaks to the driver itself, so that its errors come as they are.
    import psycopg

    if isinstance(error, PoolTimeout | InterfaceError | psycopg.InterfaceError):
        return True
    if is_forsaken(error):
        return True
    # Class 54 is about what was asked: a row or a value beyond PostgreSQL's limits (appendix A).
    return isinstance(error, OperationalError | psycopg.OperationalError) and not sqlstate(error).startswith("54")


def is_forsaken(error: BaseException) -> bool:
    """Whether an error says that a connection is of no more use, though the driver does not tell.

    The server takes no changes any more, because another one has taken its place (25006), or has ended a transaction
    that said nothing for too long (25P03) or took too long (25P04); PostgreSQL, appendix A.
    """
    return sqlstate(error) in ("25006", "25P03", "25P04")


def is_deadlock(error: BaseException | None) -> bool:
    """Whether an error says that PostgreSQL broke a transaction off because it and another waited for each other.

    The same again may succeed (40P01; PostgreSQL, appendix A).
    """
    return error is not None and sqlstate(error) == "40P01"


def sqlstate(error: BaseException) -> str:
    """PostgreSQL's code of what is wrong (appendix A); empty if it has none."""
    return str(getattr(getattr(error, "orig", error), "sqlstate", None) or "")


def reason(error: BaseException) -> str:
    """What a database said, in a line: the driver's first, which names host and cause.

    The statement and its parameters are not in it: they have no place in logs.
    """
    words = str(getattr(error, "orig", error) or "").strip()
    return words.splitlines()[0] if words else "no answer"
