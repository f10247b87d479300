"""Alembic's entry: runs the migrations on the connection that ``ledger.schema`` hands over."""

from __future__ import annotations

from alembic import context

from push_provider.ledger.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table="push_alembic_version",
)
with context.begin_transaction():
    context.run_migrations()
