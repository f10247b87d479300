"""Bring the ledger's tables to this version, and say which version they are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from push_provider.databases import reason
from push_provider.exceptions import LedgerUnavailable
from push_provider.ledger.engine import explained

if TYPE_CHECKING:
    from alembic.config import Config

_MIGRATION_LOCK = 0x7075_7368  # "push": one migration at a time, whoever starts it
_EXTENSION = "pg_trgm"


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def migrate(engine: Engine) -> tuple[str | None, str]:
    """Bring the tables to the newest version; two at once wait for each other.

    :returns: the version before and after.
    :raises LedgerUnavailable: the database cannot be reached, its tables are newer than this package, or the role may
        not create the extension that searches need.
    """
    from alembic import command
    from alembic.runtime.migration import MigrationContext
    from alembic.util import CommandError

    config = _config()
    with explained(), engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
        options = {"version_table": "push_alembic_version"}
        before = MigrationContext.configure(connection, opts=options).get_current_revision()
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise LedgerUnavailable(
                f"The ledger's tables are at version {before}, newer than this package; update the package"
            ) from error
        except DBAPIError as error:
            words = reason(error)
            if _EXTENSION not in words:
                raise
            raise LedgerUnavailable(
                f"{words}. Searches need this extension, which is part of PostgreSQL (postgresql-contrib). Have an "
                f"administrator run 'CREATE EXTENSION {_EXTENSION}' in the ledger's database, and migrate again"
            ) from None
        after = MigrationContext.configure(connection, opts=options).get_current_revision()
    if after is None:
        raise RuntimeError("alembic applied no revision")
    return before, after
