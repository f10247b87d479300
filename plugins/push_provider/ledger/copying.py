"""PostgreSQL's ``COPY``: many rows in one go."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import OperationalError

if TYPE_CHECKING:
    from sqlalchemy import Connection


def copy(connection: Connection, statement: str, rows: Iterable[tuple[Any, ...]]) -> int:
    """Write rows; returns how many.

    :param statement: ``COPY … FROM STDIN``.
    :raises OperationalError: SQLAlchemy's, which knows no ``COPY``: to the caller a lost connection is the same here as
        in any statement.
    """
    import psycopg

    driver = connection.connection.driver_connection
    assert driver is not None
    count = 0
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as into:
            for row in rows:
                into.write_row(row)
                count += 1
    except psycopg.OperationalError as error:
        raise OperationalError(statement, None, error) from error
    return count
