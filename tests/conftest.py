"""Fixtures for all tests: a real PostgreSQL for the session, a fresh ledger for a test."""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

# With --import-mode=importlib the modules beside the tests are not importable otherwise.
sys.path.insert(0, str(Path(__file__).parent / "support"))

# Each checkout has a folder of its own for temporary files. The one that all runs of pytest share is closed to others
# whenever one begins, and a server that root's tests start as another user just then finds no way to its data.
_temporary = Path(tempfile.gettempdir(), f"push-tests-{hashlib.sha256(__file__.encode()).hexdigest()[:12]}")
_temporary.mkdir(exist_ok=True)
os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_temporary))

# Airflow reads its home once, at import: tests must not touch the developer's.
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="push-tests-")
atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW__CORE__UNIT_TEST_MODE"] = "False"

from hypothesis import HealthCheck, settings

from push_provider.ledger.engine import get_engine
from push_provider.ledger.schema import migrate
from sandbox.postgres import PostgresServer

if TYPE_CHECKING:
    from live import Live
    from other_dags import Supervisor
    from phones import Phones
    from sqlalchemy import Engine
    from xdist.scheduler import LoadScopeScheduling

    from sandbox.sms_gateway import SmsGateway
    from sandbox.sms_store import Sms

# The gate tries the same examples each time, so that what it says is about the change; people's runs try new ones.
# How long an example takes says something about the machine alone.
settings.register_profile("people", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("gate", settings.get_profile("people"), derandomize=True)
settings.load_profile("gate" if os.environ.get("CI") else "people")


# --- three workers ------------------------------------------------------------------------------------------------


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Give each worker a file at a time, and a folder whose tests share a running platform as a whole."""
    from xdist.scheduler import LoadScopeScheduling

    # Each has a platform of its own, or an API server, so that other workers can run them meanwhile.
    shared = ("tests/e2e/page/", "tests/e2e/trouble/", "tests/e2e/", "tests/api/")
    own = ("tests/api/test_api_roles_fab.py",)

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return file if file in own else next((folder for folder in shared if file.startswith(folder)), file)

    return ByFile(config, log)


def pytest_configure(config: pytest.Config) -> None:
    """Files go to workers in the order in which they stand, not the fullest first: the longest are not the fullest."""
    config.option.loadscopereorder = False


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first, so that no worker waits for the other at the end."""
    items.sort(key=lambda item: not item.nodeid.startswith("tests/e2e/"))


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A PostgreSQL server of this session's own."""
    import psycopg

    with PostgresServer(tmp_path_factory.mktemp("postgres") / "data") as server:
        # Nobody needs these data after a loss of power, and every test makes a database.
        with psycopg.connect(host=str(server.socket), user="postgres", dbname="postgres", autocommit=True) as admin:
            admin.execute("ALTER SYSTEM SET fsync = off")
            admin.execute("SELECT pg_reload_conf()")
        yield server


@pytest.fixture(scope="session")
def _migrated(postgres: PostgresServer) -> str:
    """Name of a template database with the newest tables."""
    from sqlalchemy import create_engine

    postgres.create_database("push_template")
    engine = create_engine(postgres.url("push_template"))
    migrate(engine)
    engine.dispose()
    return "push_template"


@pytest.fixture
def ledger(postgres: PostgresServer, _migrated: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """A migrated, empty ledger, which is also the one that ``[push] sql_alchemy_conn`` names."""
    import psycopg

    name = f"push_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(host=str(postgres.socket), user="postgres", dbname="postgres", autocommit=True) as admin:
        # Its files are copied, not written block by block through the WAL: a third of the processor's time (measured:
        # 36 ms in place of 116), which nearly every test of the ledger pays.
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {_migrated} STRATEGY FILE_COPY")
    monkeypatch.setenv("AIRFLOW__PUSH__SQL_ALCHEMY_CONN", postgres.url(name))
    engine = get_engine()
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def metadata(postgres: PostgresServer) -> Iterator[Engine]:
    """An empty metadata database of Airflow's, with all tables that its models describe."""
    from airflow.models import import_all_models
    from airflow.models.base import Base
    from sqlalchemy import create_engine

    name = f"metadata_{uuid.uuid4().hex[:12]}"
    postgres.create_database(name)
    engine = create_engine(postgres.url(name))
    import_all_models()
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> Supervisor:
    """Airflow's side of a task of another DAG, in whose process the test then is."""
    from airflow.sdk.execution_time import task_runner
    from other_dags import Supervisor

    supervisor = Supervisor()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
    monkeypatch.setenv("AIRFLOW_CTX_TASK_ID", "tell")
    return supervisor


@pytest.fixture
def notice(ledger: Engine, supervisor: Supervisor) -> None:
    """A push task of this name, for others to begin executions of."""
    from other_dags import apply

    apply(ledger, "notice")


@pytest.fixture
def include(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An include folder of this test's own, with an empty templates folder."""
    folder = tmp_path / "include"
    (folder / "templates").mkdir(parents=True)
    monkeypatch.setenv("AIRFLOW__PUSH__INCLUDE_DIR", str(folder))
    return folder


class Aliyun:
    """The sandbox's SMS gateway, served over HTTP, and what a test asks of it.

    :param gateway: the gateway itself.
    :param address: host and port.
    """

    KEY, SECRET = "LTAI5tOfTheTests", "a-secret-of-the-tests"
    TEMPLATE = "SMS_100000001"
    """Takes ``name`` and ``order``."""

    def __init__(self, gateway: SmsGateway, address: str) -> None:
        self.gateway = gateway
        self.address = address

    def fields(self, **extra: Any) -> dict[str, Any]:
        """A connection of type ``push_aliyun_sms`` to this gateway; ``login``, ``password`` … or names of the extra."""
        standard = {name: extra.pop(name) for name in ("conn_type", "login", "password", "port") if name in extra}
        return {
            "conn_type": "push_aliyun_sms",
            "login": self.KEY,
            "password": self.SECRET,
            **standard,
            "extra": {
                "sign_name": "推送平台",
                "template_code": self.TEMPLATE,
                "endpoint": f"http://{self.address}",
                "timeout": 20,  # longer than a busy machine takes; a test of what never comes says less
                **extra,
            },
        }

    def connect(self, monkeypatch: pytest.MonkeyPatch, **extra: Any) -> None:
        """Make it the default SMS configuration."""
        monkeypatch.setenv("AIRFLOW_CONN_PUSH_ALIYUN_SMS_DEFAULT", json.dumps(self.fields(**extra)))

    def fail(self, kind: str, **fields: Any) -> None:
        """Let the next calls that send fail; see :class:`~sandbox.sms_faults.Fault`."""
        from sandbox.sms_faults import Fault

        self.gateway.faults.add(Fault.from_json({"kind": kind, **fields}))

    @property
    def sent(self) -> list[Sms]:
        """All SMS that were accepted, oldest first."""
        return self.gateway.store.find(limit=100_000)[0][::-1]

    @property
    def calls(self) -> dict[str, int]:
        """How many calls there were of each action that sends."""
        return {action: count for action, count in self.gateway.counts.items() if action.startswith("Send")}


@pytest.fixture
def aliyun(tmp_path: Path) -> Iterator[Aliyun]:
    """Aliyun's SMS service, as the sandbox has it."""
    from sandbox.sms_gateway import SmsGateway
    from sandbox.sms_http import in_thread
    from sandbox.sms_store import SmsStore

    with SmsStore(tmp_path / "sms") as store:
        gateway = SmsGateway(store, {Aliyun.KEY: Aliyun.SECRET})
        with in_thread(gateway) as address:
            yield Aliyun(gateway, address)


@pytest.fixture
def live() -> Iterator[Live]:
    """Centrifugo, as the sandbox has it."""
    from live import Live

    from sandbox.centrifugo import Centrifugo, in_thread

    server = Centrifugo()
    with in_thread(server) as address:
        yield Live(address, server)


@pytest.fixture
def phones() -> Iterator[Phones]:
    """Aliyun's Mobile Push, as the sandbox has it."""
    from phones import Phones

    from sandbox.app_aliyun import app_gateway
    from sandbox.app_store import AppStore
    from sandbox.sms_http import in_thread

    store = AppStore(keep=100_000)
    gateway = app_gateway(store, {Phones.KEY: Phones.SECRET})
    with in_thread(gateway) as address:
        yield Phones(store, gateway, address)
