"""The running platform, as ``./scripts/run`` starts it, once for all end-to-end tests."""

from __future__ import annotations

import collections
import contextlib
import json
import os
import re
import shlex
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import partial
from pathlib import Path
from typing import IO, Any

import psutil
import psycopg
import pytest
from airflow_commands import AirflowCommands
from outages import Switch
from ports import free_ports

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 240.0
"""Seconds for which something is waited for; how long it takes on a busy machine is not what is tested."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything below this folder needs the platform."""
    here = [item for item in items if Path(__file__).parent in item.path.parents]
    for item in here:
        item.add_marker(pytest.mark.e2e)
    # The README begins with an empty mailbox, which keeps the newest 10,000 mails; other tests send more.
    here.sort(key=lambda item: item.path.name != "test_readme.py")
    rest = iter(here)
    ours = set(here)
    items[:] = [next(rest) if item in ours else item for item in items]


class Platform:
    """The platform's addresses and environment, and what a test does with them.

    :param url: Airflow's UI and API.
    :param mailbox: the sandbox's page.
    :param home: AIRFLOW_HOME.
    :param kafka: the sandbox's broker.
    :param pid: the process that runs all others.
    :param said: the lines that it printed.
    :param centrifugo: the sandbox's.
    """

    def __init__(
        self, url: str, mailbox: str, home: Path, kafka: str, pid: int, said: list[str], *, centrifugo: str
    ) -> None:
        self.centrifugo = centrifugo
        self.pid = pid
        self.said = said
        self.url = url
        self.mailbox = mailbox
        self.kafka = kafka
        self.home = home
        lines = (home / "environment").read_text().splitlines()
        settings = {key: shlex.split(value)[0] for key, _, value in (line.partition("=") for line in lines)}
        self.env = {**os.environ, **settings}
        self._commands: AirflowCommands | None = None

    def close(self) -> None:
        """End what it has started itself."""
        if self._commands is not None:
            self._commands.close()

    # --- Airflow ------------------------------------------------------------------------------------

    def airflow(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run an ``airflow`` command in the platform's environment."""
        if self._commands is None:
            self._commands = AirflowCommands(self.env, ROOT)
        return self._commands.run(*arguments)

    def push(self, *arguments: str) -> list[dict[str, str]]:
        """Run an ``airflow push`` command that must succeed, and read its JSON."""
        result = self.airflow("push", *arguments, "--output", "json")
        assert result.returncode == 0, result.stdout + result.stderr
        rows: list[dict[str, str]] = json.loads(result.stdout)
        return rows

    def call(self, path: str, body: Any = None, method: str | None = None) -> tuple[int, Any]:
        """GET, or POST with a body, on Airflow's API."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")

    def trigger(self, code: str, conf: dict[str, Any] | None = None, **body: Any) -> tuple[int, Any]:
        """POST a DAG run of a push task."""
        return self.call(f"/api/v2/dags/push__{code}/dagRuns", {"logical_date": None, "conf": conf or {}, **body})

    def runs(self, code: str) -> list[dict[str, Any]]:
        """All DAG runs of a push task, oldest first."""
        runs: list[dict[str, Any]] = []
        while True:
            path = f"/api/v2/dags/push__{code}/dagRuns?limit=100&offset={len(runs)}&order_by=id"
            status, page = self.call(path)
            if status == 404:  # the DAG is not there yet
                return []
            runs += page["dag_runs"]
            if len(runs) >= page["total_entries"] or not page["dag_runs"]:
                return runs

    def await_runs(self, code: str, count: int, timeout: float = PATIENCE) -> list[str]:
        """Wait until ``count`` runs of a push task have ended, and return their states."""

        def ended() -> list[str] | None:
            states = [run["state"] for run in self.runs(code) if run["state"] in ("success", "failed")]
            return states if len(states) >= count else None

        return self.eventually(ended, f"{count} runs of {code} that have ended", timeout)

    def await_dag(self, code: str, **expected: Any) -> dict[str, Any]:
        """Wait until Airflow shows the task's DAG, with these values."""

        def visible() -> dict[str, Any] | None:
            status, dag = self.call(f"/api/v2/dags/push__{code}/details")
            return dag if status == 200 and all(dag[key] == value for key, value in expected.items()) else None

        return self.eventually(visible, f"DAG push__{code} with {expected}")

    def task_log(self, code: str, run_id: str, attempt: int = 1) -> str:
        """The log of the task of a run, as text."""
        run = urllib.parse.quote(run_id, safe="")
        path = f"/api/v2/dags/push__{code}/dagRuns/{run}/taskInstances/send/logs/{attempt}?full_content=true"
        return json.dumps(self.call(path)[1], ensure_ascii=False)

    @staticmethod
    def run_path(code: str, run_id: str) -> str:
        """Where Airflow's API has a run of a push task."""
        return f"/api/v2/dags/push__{code}/dagRuns/{urllib.parse.quote(run_id, safe='')}"

    def clear(self, code: str, run_id: str) -> tuple[int, Any]:
        """Clear the task of a run, as a person does in Airflow's UI."""
        body = {"dry_run": False, "dag_run_id": run_id, "only_failed": False, "reset_dag_runs": True}
        return self.call(f"/api/v2/dags/push__{code}/clearTaskInstances", body)

    def process_of(self, part: str) -> psutil.Process | None:
        """The process of a part (``scheduler``, ``dag-processor``, ``triggerer``, ``api-server``), if it runs."""
        for process in psutil.Process(self.pid).children():
            with contextlib.suppress(OSError, psutil.Error):
                if Path(f"/proc/{process.pid}/fd/1").readlink().name == f"{part}.log":
                    return process
        return None

    def backend(self) -> psutil.Process | None:
        """One of PostgreSQL's processes that serve somebody."""
        postmaster = self.process_of("postgres")
        for process in postmaster.children() if postmaster else []:
            with contextlib.suppress(psutil.Error):  # it has just ended
                if re.match("postgres: postgres (airflow|push)", " ".join(process.cmdline())):
                    return process
        return None

    def is_healthy(self) -> bool | None:
        """Whether Airflow says that all of its parts are there; None if not."""
        try:
            status, health = self.call("/api/v2/monitor/health")
        except (OSError, ValueError):
            return None
        parts = ("metadatabase", "scheduler", "dag_processor", "triggerer")
        return (status == 200 and all(health[part]["status"] == "healthy" for part in parts)) or None

    # --- push tasks ---------------------------------------------------------------------------------

    def apply(self, *tasks: dict[str, Any]) -> None:
        """Create or update push tasks in the ledger, as ``airflow push apply`` does."""
        from datetime import UTC, datetime

        from sqlalchemy import create_engine

        from push_provider.channels.reading import parse
        from push_provider.ledger import definitions

        engine = create_engine(self.env["AIRFLOW__PUSH__SQL_ALCHEMY_CONN"])
        for task in tasks:
            wanted = parse({"channel": "email", **task})
            definitions.apply(engine, wanted, now=datetime.now(UTC), default_timezone="UTC")
        engine.dispose()

    def ledger(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of the ledger."""
        return self._query(self.env["AIRFLOW__PUSH__SQL_ALCHEMY_CONN"], query, values)

    def metadata(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of Airflow's metadata."""
        return self._query(self.env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"], query, values)

    @contextlib.contextmanager
    def without_ledger(self) -> Iterator[None]:
        """Let nobody into the ledger's database until the block ends."""
        parts = ("PUSH", "DATABASE")
        ledger, admin = (self.env[f"AIRFLOW__{part}__SQL_ALCHEMY_CONN"].replace("+psycopg", "") for part in parts)
        switch = Switch(admin, str(psycopg.conninfo.conninfo_to_dict(ledger)["dbname"]))
        try:
            switch.off()
            yield
        finally:
            switch.on()

    @staticmethod
    def _query(url: str, query: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        with psycopg.connect(url.replace("+psycopg", "")) as connection:
            return connection.execute(query, values).fetchall()  # type: ignore[call-overload,no-any-return]

    # --- the mailbox --------------------------------------------------------------------------------

    def mails(self, **filters: str) -> list[dict[str, Any]]:
        """The mails in the mailbox that match (``to``, ``subject``), newest first."""
        found: list[dict[str, Any]] = []
        while True:
            query = urllib.parse.urlencode({"limit": 1000, "offset": len(found), **filters})
            with urllib.request.urlopen(f"{self.mailbox}/api/mails?{query}", timeout=120) as answer:
                page = json.load(answer)
            found += page["items"]
            if len(found) >= page["total_entries"] or not page["items"]:
                return found

    def received(self, **filters: str) -> collections.Counter[str]:
        """How many of the mails that match each recipient has."""
        return collections.Counter(mail["rcpt_to"][0] for mail in self.mails(**filters))

    def sms(self, **filters: str) -> list[dict[str, Any]]:
        """The newest thousand SMS on the sandbox's page that match (``to``, ``q``), newest first."""
        query = urllib.parse.urlencode({"limit": 1000, **filters})
        with urllib.request.urlopen(f"{self.mailbox}/api/sms?{query}", timeout=120) as answer:
            found: list[dict[str, Any]] = json.load(answer)["items"]
        return found

    def sms_control(self, what: str, body: Any = None, method: str | None = None) -> Any:
        """Ask the sandbox's SMS gateway for its ``calls``, or tell it its ``faults``."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.mailbox}/control/sms/{what}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)

    def await_mail(self, to: str, timeout: float = PATIENCE) -> EmailMessage:
        """Wait for a mail to ``to``, and return it as it arrived."""
        return self.source(self.eventually(lambda: next(iter(self.mails(to=to)), None), f"a mail to {to}", timeout))

    def source(self, mail: dict[str, Any]) -> EmailMessage:
        """A mail of the mailbox as it arrived."""
        with urllib.request.urlopen(f"{self.mailbox}/api/mails/{mail['id']}/source", timeout=120) as answer:
            message = message_from_bytes(answer.read(), policy=policy.default)
        assert isinstance(message, EmailMessage)
        return message

    @staticmethod
    def eventually(find: Callable[[], Any], what: str, timeout: float = PATIENCE) -> Any:
        """Ask until there is an answer.

        :raises AssertionError: there was none within ``timeout`` seconds.
        """
        begun = time.monotonic()
        while True:
            answer = find()
            if answer is not None:
                return answer
            waited = time.monotonic() - begun
            assert waited < timeout, f"waited {timeout:.0f} s in vain for {what}"
            # What takes longer has more of the processor if it is not asked for all the time.
            time.sleep(0.1 if waited < 2 else 0.3)


_CALM = {"AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.3"}
"""Several platforms at a time, which wait for most of it, would take a third of the machine to look for work."""
_OTHERWISE = """
import json, sys
from sandbox import platform
make, instead = platform.environment, json.loads(sys.argv.pop())
platform.environment = lambda *arguments: {**make(*arguments), **instead}
sys.exit(platform.main())
"""


@contextlib.contextmanager
def running(home: Path, settings: Mapping[str, str], instead: Mapping[str, str] = {}) -> Iterator[Platform]:
    """The whole platform with its sandbox, on ports of its own.

    :param home: AIRFLOW_HOME.
    :param settings: environment variables beside those of this process.
    :param instead: settings of Airflow in place of those that the platform has for itself.
    """
    api, smtp, http, sms, kafka, centrifugo = free_ports(6)
    env = {
        **os.environ,
        "AIRFLOW_HOME": str(home),
        "PUSH_PORT": str(api),
        "PUSH_SANDBOX_SMTP_PORT": str(smtp),
        "PUSH_SANDBOX_HTTP_PORT": str(http),
        "PUSH_SANDBOX_SMS_PORT": str(sms),
        "PUSH_SANDBOX_KAFKA_PORT": str(kafka),
        "PUSH_SANDBOX_CENTRIFUGO_PORT": str(centrifugo),
        **settings,
    }
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-m", "sandbox.platform"]
    if instead:
        command = [sys.executable, "-c", _OTHERWISE, json.dumps(instead)]
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True) as process:
        try:
            said: list[str] = []
            ready = threading.Event()

            def listen(lines: IO[str]) -> None:
                for line in lines:
                    print(line, end="")
                    said.append(line)
                    if line.startswith("Push is ready: "):
                        ready.set()

            assert process.stdout is not None
            threading.Thread(target=listen, args=[process.stdout], daemon=True).start()
            while not ready.wait(0.1):
                assert process.poll() is None, "the platform did not start"
            url, mailbox = f"http://127.0.0.1:{api}", f"http://127.0.0.1:{http}"
            local = "127.0.0.1"
            one = Platform(
                url, mailbox, home, f"{local}:{kafka}", process.pid, said, centrifugo=f"{local}:{centrifugo}"
            )
            with contextlib.closing(one):
                yield one
        finally:
            process.terminate()
            process.wait(180)


@pytest.fixture(scope="package")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The platform that most tests share. It ends with the folder's last test: it is never idle."""
    with running(tmp_path_factory.mktemp("platform") / "home", {}, _CALM) as one:
        yield one


@pytest.fixture
def platform_with(tmp_path: Path) -> Callable[[Mapping[str, str]], AbstractContextManager[Platform]]:
    """Starts another platform, with environment variables of its own."""
    return partial(running, tmp_path / "home")
