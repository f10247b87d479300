"""The whole platform on one machine, for development: what ``./scripts/run`` starts.

PostgreSQL, Airflow's API server, scheduler, DAG processor and triggerer, and the sandbox, as children of one
process that starts them in order, starts again what ends, and ends them all. Everything listens on loopback, and
everybody is an admin: a development start. Its environment is written to ``$AIRFLOW_HOME/environment`` for
``./scripts/airflow``.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import shlex
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from push_provider.exceptions import ConfigurationError, ProviderUnavailable, PushError
from sandbox import cluster, signals
from sandbox.parts import Parts, Program, stop
from sandbox.postgres import ROLE, PostgresServer
from sandbox.prepare import FOLDER
from sandbox.sessions import Sessions

_LOOPBACK = "127.0.0.1"
_READY_SECONDS = 300.0
_LOOK_SECONDS = 0.2
_JOBS = ("SchedulerJob", "DagProcessorJob", "TriggererJob")
_BUNDLES = [
    {
        "name": "dags-folder",
        "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
        "kwargs": {"refresh_interval": 30},
    },
    {"name": "push", "classpath": "push_provider.bundle.PushTaskBundle", "kwargs": {"refresh_interval": 3600}},
]


def environment(root: Path, home: Path, postgres: PostgresServer, port: int) -> dict[str, str]:
    """Airflow's settings for this platform, as environment variables.

    :param root: the checkout.
    :param home: AIRFLOW_HOME.
    :param port: of the API server.
    """
    url = f"http://{_LOOPBACK}:{port}"
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(root / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(root / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "push_provider.executor.WarmLocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "16",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        # Airflow drops a change of a DAG that comes within 30 s of the last one, and parses the file again only when
        # it changes again: a task that is applied twice, or finishes soon, would keep its old schedule.
        "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "0",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": postgres.url("airflow"),
        # psycopg speaks both ways; Airflow would otherwise ask for asyncpg as well.
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": postgres.url("airflow").replace("+psycopg:", "+psycopg_async:"),
        # A request of Airflow's API may hold two connections, and 40 run at a time: with the default of 15 some twenty
        # triggers at once wait for each other until they time out.
        "AIRFLOW__DATABASE__SQL_ALCHEMY_POOL_SIZE": "40",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_MAX_OVERFLOW": "60",
        "AIRFLOW__API__HOST": _LOOPBACK,
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__WORKERS": "1",
        # The scheduler looks for work ten times a second instead of once: most of a push's latency.
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.1",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "90",
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(_BUNDLES),
        "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "0",
        # A changed file is parsed at once; all others need not be parsed again and again.
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
        # For so many minutes a task that begins waits for a ledger that is away, as one that sends does.
        "AIRFLOW__WORKERS__MISSING_DAG_RETRIES": "10",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AIRFLOW__PUSH__SQL_ALCHEMY_CONN": postgres.url("push"),
        "AIRFLOW__PUSH__INCLUDE_DIR": str(root / "include"),
    }


def _free(port: int, variable: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_LOOPBACK, port))
        except OSError as error:
            raise ConfigurationError(
                f"Port {port} is in use. End what listens there, or choose another: {variable}=… ./scripts/run"
            ) from error


def _port(variable: str, default: int) -> int:
    text = os.environ.get(variable, str(default))
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise ConfigurationError(f"{variable} is {text!r}; it takes a port number")
    return int(text)


def _each_another(ports: Mapping[str, int]) -> None:
    """Refuse one port for two parts: it is free for each of them until the other one has it.

    :param ports: by the variable that says which.
    :raises ConfigurationError: two of them are the same.
    """
    first: dict[int, str] = {}
    for variable, port in ports.items():
        if (other := first.setdefault(port, variable)) != variable:
            raise ConfigurationError(f"{other} and {variable} are both {port}. Choose another port for one of them")


def _tell(text: str, stream: TextIO) -> None:
    """Print; where nobody can read it any more, go on in silence.

    A terminal may be closed, and who reads from a pipe may have ended, while all else works.
    """
    try:
        print(text, file=stream, flush=True)
    except OSError:
        # What it still holds would be tried once more at the very end, and make that a failure.
        with contextlib.suppress(OSError), Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), stream.fileno())


def _health(url: str) -> dict[str, Any] | None:
    """What the API server says of all parts; None while it does not answer."""
    try:
        with urllib.request.urlopen(f"{url}/api/v2/monitor/health", timeout=5) as answer:
            health: dict[str, Any] = json.load(answer)
    except (OSError, ValueError):
        return None
    return health


def _is_healthy(health: dict[str, Any] | None) -> bool:
    parts = ("metadatabase", "scheduler", "dag_processor", "triggerer")
    return health is not None and all(health[part]["status"] == "healthy" for part in parts)


def _await(ready: Callable[[], bool], programs: Sequence[Program], deadline: float, logs: Path) -> None:
    while not ready():
        for program in programs:
            program.check()
        if time.monotonic() > deadline:
            raise ProviderUnavailable(f"Airflow was not healthy after {_READY_SECONDS:.0f} s; its logs: {logs}")
        time.sleep(0.2)


def _settle_job(postgres: PostgresServer, kind: str) -> bool:
    """Note in Airflow's database that a part's process is gone, which Airflow itself would wait for; false: it cannot.

    A scheduler takes up its predecessor's tasks, and a triggerer its triggers, when that one's heartbeat is half a
    minute old; and a scheduler looks for such tasks when it starts, and then every five minutes.
    """
    import psycopg

    try:
        with psycopg.connect(host=str(postgres.socket), user=ROLE, dbname="airflow", connect_timeout=5) as connection:
            connection.execute(
                "UPDATE job SET state = 'failed', end_date = now() WHERE job_type = %s AND state = 'running'", [kind]
            )
    except psycopg.OperationalError:
        return False
    return True


class Platform(NamedTuple):
    """The running platform.

    :param url: of Airflow's UI.
    :param parts: all its processes.
    """

    url: str
    parts: Parts

    def keep(self) -> None:
        """Start again what ends, until a signal ends all.

        :raises ProviderUnavailable: a part ended again and again.
        """
        while not signals.ending.wanted:
            self.parts.keep(time.monotonic())
            time.sleep(_LOOK_SECONDS)


@contextmanager
def running(
    root: Path, home: Path, *, sandbox: bool = True, say: bool = True, settings: Mapping[str, str] | None = None
) -> Iterator[Platform]:
    """Run the platform; the block runs when a push can be made, and all ends with it.

    What ends within the block is started again by :meth:`Platform.keep` alone.

    :param root: the checkout.
    :param home: AIRFLOW_HOME; what a first start made there, a second one goes on with.
    :param sandbox: with a mail server and an SMS gateway that keep all they get, with Kafka and Centrifugo, and the
        example tasks.
    :param settings: of Airflow, as environment variables, on top of those of :func:`environment`.
    :raises PushError: a port is in use, or a part did not start; the text says which and why.
    """

    def note(text: str) -> None:
        if say:
            _tell(text, sys.stdout)

    port = _port("PUSH_PORT", 8080)
    smtp, http = _port("PUSH_SANDBOX_SMTP_PORT", 1025), _port("PUSH_SANDBOX_HTTP_PORT", 8025)
    sms = _port("PUSH_SANDBOX_SMS_PORT", 8026)
    kafka = _port("PUSH_SANDBOX_KAFKA_PORT", 9092)
    centrifugo = _port("PUSH_SANDBOX_CENTRIFUGO_PORT", 8027)
    workers, redis = cluster.workers("PUSH_CELERY_WORKERS", 0), _port("PUSH_SANDBOX_REDIS_PORT", 8028)
    taken = {"PUSH_PORT": port}
    if sandbox:
        taken |= {
            "PUSH_SANDBOX_SMTP_PORT": smtp,
            "PUSH_SANDBOX_HTTP_PORT": http,
            "PUSH_SANDBOX_SMS_PORT": sms,
            "PUSH_SANDBOX_KAFKA_PORT": kafka,
            "PUSH_SANDBOX_CENTRIFUGO_PORT": centrifugo,
        }
    if workers:
        taken["PUSH_SANDBOX_REDIS_PORT"] = redis
    _each_another(taken)
    logs = home / "logs" / "platform"
    with ExitStack() as stack:
        sessions = stack.enter_context(Sessions(home, logs))
        sessions.end_stale(note)  # before their ports are looked at
        for variable, number in taken.items():
            _free(number, variable)
        note("Starting PostgreSQL …")
        postgres = PostgresServer(home / "postgres")
        stack.callback(postgres.stop)
        postgres.start()
        postgres.create_database("airflow")
        postgres.create_database("push")
        own = cluster.settings(redis) if workers else {}
        settings = {**environment(root, home, postgres, port), **own, **(settings or {})}
        env = {**os.environ, **settings, **sessions.mark}
        _write_environment(home, settings)
        url = settings["AIRFLOW__API__BASE_URL"]
        python = sys.executable
        airflow = str(Path(python).with_name("airflow"))

        programs: list[Program] = []
        stack.callback(lambda: stop(programs))
        parts = Parts(note)
        parts.add(postgres, now=time.monotonic())

        def start(name: str, *command: str, prepare: Callable[[], bool] = lambda: True, loses: str = "") -> None:
            with signals.ending.held():  # what is started is also ended
                programs.append(Program(name, command, env, logs / f"{name}.log", sessions.note))
            parts.add(programs[-1], now=time.monotonic(), prepare=prepare, ground=postgres.life, loses=loses)

        def settle(kind: str) -> Callable[[], bool]:
            return lambda: _settle_job(postgres, kind)

        if sandbox:
            folder = str(home.joinpath(*FOLDER))
            ports = {
                "--smtp-port": smtp,
                "--http-port": http,
                "--sms-port": sms,
                "--kafka-port": kafka,
                "--centrifugo-port": centrifugo,
            }
            options = [word for option, number in ports.items() for word in (option, str(number))]
            loses = (
                "Its Kafka and its Centrifugo keep messages in memory: those they had are lost. Mails and SMS are kept."
            )
            start("sandbox", python, "-m", "sandbox", *options, "--folder", folder, loses=loses)
        _prepare(home, env, python, airflow, (smtp, sms, kafka, centrifugo) if sandbox else (), root, note)
        if workers:
            start("redis", *cluster.redis_command(home, redis))
            _await(lambda: cluster.answers(redis), programs, time.monotonic() + _READY_SECONDS, logs)
        note("Starting Airflow …")
        for kind in _JOBS:  # of an earlier platform that was killed
            _settle_job(postgres, kind)
        start("api-server", airflow, "api-server", prepare=postgres.answers)
        start("dag-processor", airflow, "dag-processor", prepare=settle("DagProcessorJob"))
        start("triggerer", airflow, "triggerer", "--skip-serve-logs", prepare=settle("TriggererJob"))
        deadline = time.monotonic() + _READY_SECONDS
        # A task that begins before the API server answers waits for it in steps that grow to a minute.
        _await(lambda: _health(url) is not None, programs, deadline, logs)
        start(
            "scheduler",
            airflow,
            "scheduler",
            "--skip-serve-logs",
            prepare=lambda: _health(url) is not None and _settle_job(postgres, "SchedulerJob"),
        )
        for name, command in cluster.worker_commands(airflow, workers):
            start(name, *command, prepare=lambda: cluster.answers(redis))
        _await(lambda: _is_healthy(_health(url)), programs, deadline, logs)
        if workers:
            note(f"Tasks run in {workers} Celery workers (Redis: {_LOOPBACK}:{redis})")
        if sandbox:
            note(f"Mailbox: http://{_LOOPBACK}:{http}/ (all mail of the sandbox; nothing leaves this machine)")
            note(f"Kafka: {_LOOPBACK}:{kafka} (topic task.push.info; in memory, ends with this)")
            note(f"Centrifugo: {_LOOPBACK}:{centrifugo} (for WebSocket messages; in memory, too)")
        note("A development start: loopback only, no login, everybody is an admin.")
        note(f"Push is ready: {url}")
        yield Platform(url, parts)


def _prepare(
    home: Path,
    env: Mapping[str, str],
    python: str,
    airflow: str,
    ports: Sequence[int],
    root: Path,
    note: Callable[[str], None],
) -> None:
    """Migrate both databases and fill them, unless an earlier start did all that as this checkout does it.

    :param ports: of the sandbox's mail server, SMS gateway, Kafka and Centrifugo; empty: there is no sandbox.
    """
    from push_provider import __version__
    from sandbox.sms_signature import access_key

    # The SMS connection follows the gateway's key too; of the secret only so much that a change is noticed.
    key_id, secret = access_key()
    key = f"{key_id}/{hashlib.sha256(secret.encode()).hexdigest()[:8]}"
    listening = ",".join(map(str, ports))
    wanted = f"{__version__} {_airflow_version()} ports={listening} key={key} recipe={_recipe(root)}\n"
    marker = home / "prepared"
    if marker.exists() and marker.read_text() == wanted:
        return
    note("Preparing the databases …")
    for command in (
        [airflow, "db", "migrate"],
        [airflow, "push", "migrate"],
        [
            python,
            "-m",
            "sandbox.prepare",
            *([*map(str, ports), str(root / "include" / "tasks")] if ports else []),
        ],
    ):
        result = subprocess.run(command, env=dict(env), capture_output=True, text=True, check=False)
        if result.returncode:
            raise ProviderUnavailable(f"{' '.join(command)} failed:\n{(result.stdout + result.stderr)[-3000:]}")
    marker.write_text(wanted)


def _recipe(root: Path) -> str:
    """A checksum of what says how the databases are prepared: it changes with a new migration, for one.

    :param root: the checkout.
    """
    ledger, sandbox = root / "plugins" / "push_provider" / "ledger", root / "sandbox"
    code = [ledger / "schema.py", *(ledger / "migrations").rglob("*.py")]
    code += [sandbox / "prepare.py", *sandbox.glob("*_account.py")]
    digest = hashlib.sha256()
    for path in sorted(code):
        digest.update(f"{path.relative_to(root)} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    for path in sorted((root / "include" / "tasks").glob("*.yaml")):  # one that is there is not applied again
        digest.update(f"{path.name}\n".encode())
    return digest.hexdigest()[:16]


def _airflow_version() -> str:
    from importlib.metadata import version

    return version("apache-airflow")


def _write_environment(home: Path, settings: Mapping[str, str]) -> None:
    target = home / "environment"
    target.touch(mode=0o600)
    target.write_text("".join(f"{key}={shlex.quote(value)}\n" for key, value in settings.items()))


def main() -> int:
    """Run the platform until Ctrl-C, SIGTERM or SIGHUP; 0 then, 1 if a part does not run, 2 if it cannot start."""
    parser = argparse.ArgumentParser(prog="./scripts/run", description="Run the push platform for development.")
    parser.add_argument("--no-sandbox", action="store_true", help="without mailbox, SMS gateway and example tasks")
    arguments = parser.parse_args()

    signals.heed()
    root = Path.cwd()
    home = Path(os.environ.get("AIRFLOW_HOME") or root / ".airflow").resolve()
    try:
        with running(root, home, sandbox=not arguments.no_sandbox) as platform:
            platform.keep()
    except signals.Ended:
        return 0
    except ConfigurationError as error:
        _tell(str(error), sys.stderr)
        return 2
    except PushError as error:
        _tell(str(error), sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
