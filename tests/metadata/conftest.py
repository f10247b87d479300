"""An empty metadata database of Airflow's."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Engine, create_engine

if TYPE_CHECKING:
    from sandbox.postgres import PostgresServer


@pytest.fixture(scope="module")
def metadata(postgres: PostgresServer) -> Iterator[Engine]:
    """It has all tables that Airflow's models describe."""
    from airflow.models import import_all_models
    from airflow.models.base import Base

    name = f"metadata_{uuid.uuid4().hex[:12]}"
    postgres.create_database(name)
    engine = create_engine(postgres.url(name))
    import_all_models()
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()
