"""Airflow's API server with the push API in it, on databases of its own, and a DAG processor; nothing executes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# With --import-mode=importlib the modules beside the tests are not importable otherwise.
sys.path.insert(0, str(Path(__file__).parent))

from api_server import ApiServer, simple_auth

if TYPE_CHECKING:
    from sandbox.postgres import PostgresServer


@pytest.fixture(scope="session")
def server(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """The server with Airflow's SimpleAuthManager, and a user for each of its roles."""
    home = tmp_path_factory.mktemp("api") / "home"
    with ApiServer.running(postgres, home, "simple", simple_auth(home)) as server:
        yield server
