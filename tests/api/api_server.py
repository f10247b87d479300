"""An API server as a subprocess, and short words for what is asked of it over HTTP."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import subprocess
import sys
import time
import urllib.parse
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ports import free_port
from sqlalchemy import Engine, create_engine, text

from sandbox.parts import Program, stop
from sandbox.platform import environment

if TYPE_CHECKING:
    from sandbox.postgres import PostgresServer

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 5.0
"""Seconds for which the server waits for the DAG of a new task; a busy machine needs longer to make it."""
SILENCE = 600
"""Seconds without an answer after which a test fails; a thousand tasks take seconds, and minutes on a busy machine."""
STRANGERS = [f"stranger{number}" for number in range(12)]
"""Users of the role Op with whose budgets and limits nothing else is done."""
_numbers = itertools.count()


class Answer(NamedTuple):
    """What the server answered."""

    status: int
    headers: Mapping[str, str]
    data: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.data)

    @property
    def fields(self) -> list[str]:
        """The fields that a problem names."""
        return [error["field"] for error in self.json["errors"]]


APP_RULES = {
    "role:User": ["user", "shop"],
    "role:op": ["op", "shop"],
    "role:EDITOR": ["editor", "shop"],
    "role:clerk": ["clerk"],
    "user:admin": ["*"],
}


def simple_auth(home: Path) -> dict[str, str]:
    """Settings of the SimpleAuthManager with a user for each role, and strangers; their passwords are their names."""
    roles = {role: role for role in ("viewer", "user", "op", "admin")} | dict.fromkeys(STRANGERS, "op")
    passwords = home.parent / "passwords.json"
    passwords.write_text(json.dumps({role: role for role in roles}))
    return {
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{name}:{role}" for name, role in roles.items()),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
    }


class ApiServer:
    """The running server.

    :param url: its address.
    :param env: Airflow's settings.
    :param ledger: the ledger that it writes to.
    :param metadata: Airflow's own database.
    """

    def __init__(self, port: int, env: dict[str, str], ledger: Engine, metadata: Engine) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.env = env
        self.ledger = ledger
        self.metadata = metadata
        self._tokens: dict[str, str] = {}

    @classmethod
    @contextmanager
    def running(
        cls,
        postgres: PostgresServer,
        home: Path,
        name: str,
        settings: Mapping[str, str],
        *,
        bin_dir: Path | None = None,
        prepare: Callable[[dict[str, str]], None] | None = None,
        migrate: bool = True,
    ) -> Iterator[ApiServer]:
        """Run a server and a DAG processor, on fresh databases.

        :param name: part of the databases' names.
        :param settings: of Airflow, on top of those of the development platform.
        :param bin_dir: where another ``airflow`` is than this Python's.
        :param prepare: what else is done before the start; it is given the environment.
        :param migrate: make the tables; false: ``prepare`` does.
        """
        airflow = str((bin_dir or Path(sys.executable).parent) / "airflow")
        port = free_port()
        env = {**os.environ, **environment(ROOT, home, postgres, port)}
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        metadata, ledger = f"airflow_{name}", f"push_{name}"
        env |= {
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": postgres.url(metadata),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": postgres.url(metadata).replace("+psycopg:", "+psycopg_async:"),
            "AIRFLOW__PUSH__SQL_ALCHEMY_CONN": postgres.url(ledger),
            "AIRFLOW__PUSH__APP_RULES": json.dumps(APP_RULES),
            **settings,
        }
        home.mkdir(parents=True, exist_ok=True)

        def run(*arguments: str) -> None:
            result = subprocess.run(
                [airflow, *arguments], env=env, capture_output=True, text=True, check=False, cwd=ROOT, timeout=300
            )
            assert result.returncode == 0, f"airflow {arguments}: {result.stdout}{result.stderr}"

        for database in (metadata, ledger):
            postgres.create_database(database)
        if migrate:
            run("db", "migrate")
            run("push", "migrate")
        if prepare:
            prepare(env)
        programs: list[Program] = []
        engines = create_engine(postgres.url(ledger)), create_engine(postgres.url(metadata))
        with ExitStack() as parts:
            for engine in engines:
                parts.callback(engine.dispose)
            parts.callback(stop, programs)
            names = ("api-server", "dag-processor")
            programs += [Program(name, [airflow, name], env, home / "logs" / f"{name}.log") for name in names]
            server = cls(port, env, *engines)
            deadline = time.monotonic() + 240
            while not server.is_up():
                for program in programs:
                    program.check()
                assert time.monotonic() < deadline, f"the API server is not up; see {home / 'logs'}"
                time.sleep(0.2)
            yield server
            for program in programs:
                program.check()  # else what fails for want of one of them does not say so

    def is_up(self) -> bool:
        try:
            return self.call("GET", "/api/v2/monitor/health", role=None).status == 200
        except OSError:
            return False

    def token(self, role: str) -> str:
        """The bearer token of a role's user."""
        if role not in self._tokens:
            body = {"username": role, "password": role}
            answer = self.call("POST", "/auth/token", body, role=None)
            assert answer.status == 201, answer
            self._tokens[role] = answer.json["access_token"]
        return self._tokens[role]

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        role: str | None = "admin",
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        **query: Any,
    ) -> Answer:
        """One request.

        :param body: sent as JSON.
        :param data: sent as it is, instead.
        :param role: None for nobody.
        """
        if query:
            path += f"?{urllib.parse.urlencode(query)}"
        if data is None and body is not None:
            data = json.dumps(body).encode()
        sent = {"Content-Type": "application/json"} if data is not None else {}
        if role is not None:
            sent["Authorization"] = f"Bearer {self.token(role)}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SILENCE)
        try:
            connection.request(method, path, data, {**sent, **(headers or {})})
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.headers), answer.read())
        finally:
            connection.close()

    def push(self, method: str, path: str, body: Any = None, **options: Any) -> Answer:
        """One request to the push API; again, as the answer asks, while the DAG of a new task is not there."""
        deadline = time.monotonic() + 180
        while True:
            began = time.monotonic()
            answer = self.call(method, f"/push/v1{path}", body, **options)
            if answer.status != 503 or answer.json["code"] != "dag-not-ready" or time.monotonic() > deadline:
                return answer
            assert time.monotonic() - began >= PATIENCE, "the server has not waited itself"

    def create(self, *, known: bool = False, **fields: Any) -> str:
        """Create a push task of the test's own that only runs when triggered; its code.

        :param known: wait until Airflow knows its DAG.
        """
        answer = self.push("POST", "/tasks", task(**fields))
        assert answer.status == 201, answer
        code = str(answer.json["code"])
        if known:
            self.await_dag(code)
        return code

    def reject(self, value: Any, code: str | None = None, **columns: Any) -> int:
        """Put a message into the ledger that could not be used; its id.

        :param value: JSON, or bytes as they came.
        :param code: the push task that it speaks of, if that can be told.
        """
        data = value if isinstance(value, bytes | None) else json.dumps(value).encode()
        row = {"position": uuid.uuid4(), "topic": "orders", "partition": 0, "offset": 7, "reason": "no", **columns}
        row |= {"task_code": code, "value": data}
        names = ", ".join(f'"{name}"' for name in row)
        values = ", ".join(f":{name}" for name in row)
        (found,) = self.rows(f"INSERT INTO push_rejected ({names}) VALUES ({values}) RETURNING id", **row)
        return int(found.id)

    def suppress(self, code: str, channel: str = "app", **columns: Any) -> int:
        """Have a push task find out that an address is gone; the suppression's id."""
        row = {"channel": channel, "address": uuid.uuid4().hex, "code": "UNREGISTERED", "task_code": code, **columns}
        values = ", ".join(f":{name}" for name in row)
        (found,) = self.rows(f"INSERT INTO push_suppression ({', '.join(row)}) VALUES ({values}) RETURNING id", **row)
        return int(found.id)

    def await_dag(self, code: str) -> None:
        deadline = time.monotonic() + 180
        while self.call("GET", f"/api/v2/dags/push__{code}").status != 200:
            assert time.monotonic() < deadline, f"push__{code} is no DAG"
            time.sleep(0.1)

    def forget(self, tasks: Sequence[Mapping[str, Any]]) -> None:
        """Take push tasks out of the ledger again, so that the DAG processor need not make a DAG of each."""
        self.rows("DELETE FROM push_task WHERE code = ANY(:codes)", codes=[task["code"] for task in tasks])
        self.settle()

    def settle(self) -> None:
        """Wait until the DAG processor is through with all changes of tasks."""
        deadline = time.monotonic() + 360
        while self.rows("SELECT 1 FROM push_shard WHERE revision <> built_revision"):
            assert time.monotonic() < deadline, "the DAG processor is not through"
            time.sleep(0.2)

    def log(self, event: str, code: str | None = None) -> list[Any]:
        """Rows of Airflow's audit log."""
        query = "SELECT event, owner, dag_id, run_id, extra FROM log WHERE event = :event"
        with self.metadata.connect() as connection:
            rows = connection.execute(text(query + " ORDER BY id"), {"event": event}).all()
        return [row for row in rows if code is None or row.dag_id == f"push__{code}"]

    def rows(self, query: str, **values: Any) -> list[Any]:
        """Rows of the ledger."""
        with self.ledger.begin() as connection:
            result = connection.execute(text(query), values)
            return list(result.all()) if result.returns_rows else []


def task(**fields: Any) -> dict[str, Any]:
    """A push task that only runs when triggered."""
    return {
        "code": f"t{next(_numbers)}-{os.getpid()}",
        "name": "API",
        "channel": "email",
        "schedule": {"kind": "manual"},
        "execution": {"type": "loop", "max_executions": None},
        "subject": "Hello",
        "content": "Good day, {{ to }}",
        "recipients": ["a@example.com", "b@example.com"],
        **fields,
    }
