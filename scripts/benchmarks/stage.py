"""A platform of the benchmark's own, on free ports and in a folder that is thrown away, sending into a sink."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.sink import Sink, sink

if TYPE_CHECKING:
    from push_provider.contract import PushTask

ROOT = Path(__file__).resolve().parents[2]


def say(text: str) -> None:
    """Progress, apart from the figures."""
    print(text, file=sys.stderr, flush=True)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Stage:
    """The running platform and its sink; with a ``token`` where its users log in."""

    def __init__(self, url: str, home: Path, server: Sink) -> None:
        self.url = url
        self.home = home
        self.sink = server
        self.token: str | None = None
        self.env = {**os.environ, **_environment(home)}
        os.environ.update(_environment(home))

    def airflow(self, *arguments: str) -> str:
        """Run an ``airflow`` command in the platform's environment and return what it prints."""
        command = [str(Path(sys.executable).with_name("airflow")), *arguments]
        result = subprocess.run(command, env=self.env, capture_output=True, text=True, check=False)
        if result.returncode:
            raise SystemExit(f"airflow {' '.join(arguments)} failed:\n{result.stdout}{result.stderr}")
        return result.stdout

    def call(self, path: str, body: Any = None) -> tuple[int, Any]:
        """GET, or POST with a body, on Airflow's API; the status and the answer."""
        data = None if body is None else json.dumps(body).encode()
        login = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json", **login})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(errors="replace")

    def trigger(self, code: str, recipient: str) -> tuple[int, Any]:
        """Trigger a push task over Airflow's own REST API."""
        body = {"logical_date": None, "conf": {"recipients": [recipient]}}
        return self.call(f"/api/v2/dags/push__{code}/dagRuns", body)

    def apply(self, **fields: Any) -> float:
        """Create a push task; the moment after its commit."""
        from push_provider.ledger import definitions
        from push_provider.ledger.engine import get_engine

        definitions.apply(get_engine(), _task(**fields), now=datetime.now(UTC), default_timezone="UTC")
        return time.time()

    def fill(self, count: int) -> None:
        """Create ``count`` push tasks and wait until Airflow knows them all as DAGs."""
        from sqlalchemy import text

        from push_provider.ledger import definitions, shards
        from push_provider.ledger.engine import get_engine

        say(f"Creating {count:,} push tasks …")
        given: dict[str, Any] = {"now": datetime.now(UTC), "default_timezone": "UTC"}
        codes = [f"fill-{number:05d}" for number in range(count)]
        for first in range(0, count, 1000):
            with get_engine().begin() as connection:
                for number, code in enumerate(codes[first : first + 1000], first):
                    name = f"Fill {number}"
                    task = _task(code=code, name=name, schedule={"kind": "manual"}, execution={"type": "loop"})
                    definitions.put(connection, task, **given)
                connection.execute(text("ANALYZE push_task"))  # else each is looked for from end to end
        # All at once: a shard is parsed once, and not for each of them.
        with get_engine().begin() as connection:
            shards.all_changed(connection, codes)
        begun = told = time.time()
        say("Waiting until all are DAGs …")
        while (known := self.dag_count()) < count:
            if time.time() - begun > max(1800, count / 10):
                raise SystemExit(f"Only {known} DAGs after {time.time() - begun:.0f} s")
            if time.time() - told > 60:
                told = time.time()
                say(f"  {known:,} after {told - begun:.0f} s")
            time.sleep(2)
        say(f"All are DAGs after {time.time() - begun:.0f} s")
        time.sleep(10)

    def dag_count(self) -> int:
        """How many DAGs Airflow has."""
        ((count,),) = self.query("SELECT count(*) FROM dag WHERE NOT is_stale", metadata=True)
        return int(count)

    def query(self, query: str, *values: Any, metadata: bool = False) -> list[Any]:
        """Ask the ledger, or Airflow's metadata database."""
        import psycopg

        name = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN" if metadata else "AIRFLOW__PUSH__SQL_ALCHEMY_CONN"
        with psycopg.connect(self.env[name].replace("+psycopg", "")) as connection:
            return connection.execute(query, values).fetchall()

    def wait_for_dag(self, code: str, timeout: float = 120.0) -> float:
        """The moment when Airflow's API shows a push task's DAG."""
        deadline = time.time() + timeout
        while time.time() < deadline:
            if self.call(f"/api/v2/dags/push__{code}")[0] == 200:
                return time.time()
            time.sleep(0.02)
        raise SystemExit(f"push__{code} was no DAG after {timeout:.0f} s")


def _task(**fields: Any) -> PushTask:
    from push_provider.channels.reading import parse

    bench = {"channel": "email", "subject": "Bench", "content_type": "text", "content": "Bench {{ to }}"}
    return parse({**bench, **fields})


def _environment(home: Path) -> dict[str, str]:
    import shlex

    lines = (home / "environment").read_text().splitlines()
    return {key: shlex.split(value)[0] for key, _, value in (line.partition("=") for line in lines)}


@contextmanager
def stage(settings: Mapping[str, str] | None = None) -> Iterator[Stage]:
    """Run a platform for a measurement; it ends with the block.

    :param settings: of Airflow, as environment variables, on top of those of the development start.
    """
    from sandbox.platform import running

    os.chdir(ROOT)
    with tempfile.TemporaryDirectory(prefix="push-bench-") as folder, sink() as server:
        home = Path(folder) / "home"
        os.environ["PUSH_PORT"] = str(free_port())
        os.environ["AIRFLOW_HOME"] = str(home)
        say("Starting the platform …")
        with running(ROOT, home, sandbox=False, say=False, settings=settings) as platform:
            place = Stage(platform.url, home, server)
            place.airflow(
                "connections", "add", "push_email_default", "--conn-type", "push_email",
                "--conn-host", "127.0.0.1", "--conn-port", str(server.port), "--conn-login", "push@bench.example",
                "--conn-extra", '{"ignore_tls": true}',
            )  # fmt: skip
            yield place
