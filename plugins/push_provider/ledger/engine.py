"""How the ledger's database is reached, and how its faults become errors of ours."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    URL,
    BigInteger,
    ColumnElement,
    Connection,
    Engine,
    Text,
    bindparam,
    cast,
    create_engine,
    event,
    make_url,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import ArgumentError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from push_provider import settings, written
from push_provider.databases import is_away, is_forsaken, reason, sqlstate
from push_provider.exceptions import ConfigurationError, LedgerUnavailable

if TYPE_CHECKING:
    from sqlalchemy.engine import ExceptionContext

AS_WRITTEN = {"json_serializer": written.dumps, "json_deserializer": written.loads}
"""Options of an engine that leaves the numbers of JSON as they were written."""

_ALIVE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 2, "tcp_user_timeout": 20_000}
"""A server whose machine is gone says nothing: who waits for its answer is told within 20 seconds (libpq, 34.1.2)."""


@cache
def _engine(url: str) -> Engine:
    try:
        place, options = _options(make_url(url))
        engine = create_engine(
            place,
            # Opened when they are needed, and kept: a task needs one or two, an API server with many callers all. A
            # new connection costs PostgreSQL a process, ten times as much as the question.
            pool_size=10,
            max_overflow=10,
            pool_pre_ping=True,
            pool_recycle=1800,
            # Parameters are addresses, and what is sent: they stay out of errors, and so of logs.
            hide_parameters=True,
            connect_args={"connect_timeout": 10, "application_name": "airflow-push", **_ALIVE, **options},
            **AS_WRITTEN,
        )
        # Half a password would be taken for the host, and stand in the text of every failed connection.
        readable = "@" not in (engine.url.host or "")
    except (ArgumentError, ValueError):
        readable = False
    if not readable:
        # The URL and the parser's words hold the password, or parts of it: neither is shown.
        raise ConfigurationError(
            "[push] sql_alchemy_conn is no URL. It takes postgresql://user:password@host:port/database; in "
            "user and password write @ as %40, : as %3A, / as %2F and % as %25."
        )
    event.listen(engine, "handle_error", _forsake)
    # A child must not speak on its parent's connections: it forgets them, without closing them.
    os.register_at_fork(after_in_child=lambda: engine.dispose(close=False))
    return engine


def _forsake(context: ExceptionContext) -> None:
    """Give up connections that are of no more use: new ones lead to the server that is in the place of the former."""
    if is_forsaken(context.original_exception):
        context.is_disconnect = True


def _options(url: URL) -> tuple[URL, dict[str, Any]]:
    """What of a URL is for the driver itself, and the rest of it."""
    if url.query.get("prepare_threshold") != "none":
        return url, {}
    # Statements are prepared on a connection, which an older PgBouncer hands to others between two transactions.
    return url.difference_update_query(["prepare_threshold"]), {"prepare_threshold": None}


def get_engine() -> Engine:
    """The engine of ``[push] sql_alchemy_conn``, one a process.

    :raises ConfigurationError: the option is missing or names no PostgreSQL database.
    """
    return _engine(settings.sql_alchemy_conn())


@contextmanager
def explained() -> Iterator[None]:
    """Turn the database's faults into errors that say what to do.

    :raises LedgerUnavailable: the database cannot be reached, or its tables are missing or old.
    :raises BaseException: a signal's handler has raised it in the middle of a call, and the driver stumbled over that.
    """
    handled = sys.exception()
    try:
        yield
    except PoolTimeout as error:
        raise LedgerUnavailable("Every connection of this process to the ledger's database is in use") from error
    except Exception as error:
        if interruption := _interruption(error, handled):
            raise interruption from None
        _leave_out_rows(error)
        if is_away(error):
            raise LedgerUnavailable(f"The ledger's database cannot be used: {reason(error)}") from error
        # 42P01 undefined_table, 42703 undefined_column (PostgreSQL, appendix A)
        if isinstance(error, ProgrammingError) and sqlstate(error) in ("42P01", "42703"):
            words = "The ledger's tables are missing or old; run 'airflow push migrate'"
            raise LedgerUnavailable(words, passes=False) from error
        raise


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """One transaction: committed at the end of the block, rolled back by an error."""
    with explained(), engine.begin() as connection:
        yield connection


_IN_NO_HURRY = text("SET LOCAL synchronous_commit TO off")


def in_no_hurry(connection: Connection) -> None:
    """Have the commit of a transaction not wait for the disk, nor others for it there.

    For what a crash of the server may forget, as all of it is done again or nobody misses it; what was committed before
    is never lost without what followed (PostgreSQL's manual, 28.4).
    """
    connection.execute(_IN_NO_HURRY)


def array_of(texts: Collection[str]) -> ColumnElement[Any]:
    """Texts as one parameter, however many there are."""
    return cast(bindparam(None, list(texts), ARRAY(Text)), ARRAY(Text))


def array_of_ids(ids: Collection[int]) -> ColumnElement[Any]:
    """The same of the ids of rows."""
    return cast(bindparam(None, list(ids), ARRAY(BigInteger)), ARRAY(BigInteger))


def storable(words: str) -> str:
    """Words of others, as PostgreSQL can keep them."""
    # PostgreSQL's text holds neither NUL nor lone surrogates, and a provider may send either.
    return words.replace("\0", "").encode("utf-8", "replace").decode()


def _interruption(error: BaseException, handled: BaseException | None) -> BaseException | None:
    """What broke off a call of which the driver then says that its connection is busy.

    Airflow's execution timeout is raised by a signal's handler, wherever the process happens to be; SQLAlchemy tidies
    up after it on a connection that waits for an answer, and it is that error which arrives.

    :param handled: was handled before the call, and has not to do with it.
    """
    one: BaseException | None = error
    while one is not None and one is not handled:
        if not isinstance(one, Exception):
            return one
        one = one.__cause__ or one.__context__
    return None


def _leave_out_rows(error: BaseException) -> None:
    """Leave of the database's words the first line, which says what is wrong; those that follow show the row."""
    for one in (error, getattr(error, "orig", None)):
        if one is not None and (hasattr(one, "orig") or hasattr(one, "diag")):  # SQLAlchemy's, and the driver's
            one.args = tuple(arg.partition("\n")[0] if isinstance(arg, str) else arg for arg in one.args)
