"""What the ledger's tests share: one migrated database for all of them, and a task of each test's own in it."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Engine, create_engine

# With --import-mode=importlib the modules beside the tests are not importable otherwise.
sys.path.insert(0, str(Path(__file__).parent))

from ledger_desk import Desk

from push_provider.ledger.engine import AS_WRITTEN

if TYPE_CHECKING:
    from push_provider.ledger.plans import Plan
    from sandbox.postgres import PostgresServer


@pytest.fixture(scope="session")
def shared(postgres: PostgresServer, _migrated: str) -> Iterator[Engine]:
    """A migrated database for the whole session; its pool has room for the tests' many threads."""
    import psycopg

    with psycopg.connect(host=str(postgres.socket), user="postgres", dbname="postgres", autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE push_shared TEMPLATE {_migrated}")
    engine = create_engine(postgres.url("push_shared"), pool_size=4, max_overflow=60, **AS_WRITTEN)
    yield engine
    engine.dispose()


@pytest.fixture
def desk(shared: Engine) -> Desk:
    return Desk(shared)


@pytest.fixture
def other_process(shared: Engine, tmp_path: Path) -> Callable[[Desk, Plan, str], AbstractContextManager[Any]]:
    """Runs ``block`` in a process of its own, within ``sending``; it is there once it has printed its first line."""

    @contextmanager
    def start(desk: Desk, plan: Plan, block: str) -> Iterator[subprocess.Popen[str]]:
        script = tmp_path / "sender.py"
        script.write_text(
            "import sys\n"
            "from sqlalchemy import create_engine\n"
            "from push_provider.channels.base import Outcome, Result\n"
            "from push_provider.ledger import sending\n"
            f"engine = create_engine({shared.url.render_as_string(hide_password=False)!r})\n"
            f"code, execution = {desk.code!r}, {plan.id}\n"
            "with sending.held(engine, code, execution, on_unknown='resend') as lease:\n"
            + textwrap.indent(textwrap.dedent(block), "    ")
            + "\n    print('ready', flush=True)\n    sys.stdin.read()\n"
        )
        with subprocess.Popen(
            [sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline() == "ready\n"
                yield process
            finally:
                process.kill()

    return start
