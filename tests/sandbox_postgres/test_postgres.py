"""The PostgreSQL of the sandbox: started, found again, ended, and taken over from a starter that was killed."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest
from sqlalchemy import create_engine, text

from push_provider.exceptions import ConfigurationError, ProviderUnavailable
from sandbox.postgres import PostgresServer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def initialised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder as a first start makes it; initdb takes a second, so tests copy it."""
    folder = tmp_path_factory.mktemp("initialised") / "data"
    with PostgresServer(folder):
        pass
    return folder


@pytest.fixture
def folder(tmp_path: Path, initialised: Path) -> Path:
    """A data folder of this test's own that was in use before."""
    subprocess.run(["cp", "-a", initialised, tmp_path / "data"], check=True)
    return tmp_path / "data"


def servers(folder: Path) -> list[psutil.Process]:
    """PostgreSQL's processes on a folder that are alive."""
    return [
        process
        for process in psutil.process_iter(["cmdline", "name", "status"])
        if process.info["name"] == "postgres"
        and str(folder) in (process.info["cmdline"] or [])
        and process.info["status"] != psutil.STATUS_ZOMBIE
    ]


@contextmanager
def starter(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """The shell's way to run a server, as a job in its background too; ready when the block begins."""
    program = [sys.executable, "-m", "sandbox.postgres", str(folder), "push"]
    command = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith("PostgreSQL is ready: "):
                    break
            yield process
        finally:
            process.kill()


def test_a_first_start_makes_all_and_a_stop_leaves_no_process_and_no_socket(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "data"
    server = PostgresServer(folder)
    with server:
        (postmaster,) = servers(folder)
        children = postmaster.children(recursive=True)
        assert server.create_database("push")
        with create_engine(server.url("push")).connect() as connection:
            assert connection.execute(text("SHOW listen_addresses")).scalar() == ""
            assert connection.execute(text("SHOW timezone")).scalar() == "UTC"
            engine = connection.engine
        engine.dispose()
        assert server.socket.stat().st_mode & 0o777 == 0o700
        assert not list(tmp_path.glob("new/*.new"))
    assert servers(folder) == []
    assert not any(child.is_running() for child in children)
    assert not server.socket.exists()
    server.stop()  # twice harms nobody


def test_a_database_is_created_once(postgres: PostgresServer) -> None:
    name = f'Odd "name" {uuid.uuid4().hex}'
    assert [postgres.create_database(name) for _ in range(2)] == [True, False]
    engine = create_engine(postgres.url(name))
    with engine.connect() as connection:
        assert connection.execute(text("SELECT current_database()")).scalar() == name
    engine.dispose()


def test_a_restart_keeps_the_data(folder: Path) -> None:
    server = PostgresServer(folder)
    for keeps in (False, True):
        with server:
            assert server.create_database("push") is not keeps
            with psycopg.connect(host=str(server.socket), user="postgres", dbname="push") as connection:
                connection.execute("CREATE TABLE IF NOT EXISTS note (text text)")
                assert connection.execute("SELECT count(*) FROM note").fetchone() == (int(keeps),)
                connection.execute("INSERT INTO note VALUES ('kept')")


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
def test_the_shells_way_ends_in_order(folder: Path, name: signal.Signals) -> None:
    with starter(folder) as process:
        assert len(servers(folder)) == 1
        process.send_signal(name)
        assert process.wait(30) == 0
    assert servers(folder) == []
    assert not PostgresServer(folder).socket.exists()


def test_the_server_of_a_starter_that_was_killed_is_ended_at_the_next_start(folder: Path) -> None:
    with starter(folder) as process:
        (stale,) = servers(folder)
        process.kill()
        process.wait()
        assert stale.is_running()
        with PostgresServer(folder) as server:
            assert stale not in servers(folder)
            assert len(servers(folder)) == 1
            assert server.create_database("push") is False  # what the stale one wrote is there
    assert servers(folder) == []


def test_a_server_that_was_killed_is_started_again(folder: Path) -> None:
    with PostgresServer(folder) as server:
        server.create_database("push")
        (postmaster,) = servers(folder)
        with psycopg.connect(host=str(server.socket), user="postgres", dbname="push", autocommit=True) as busy:
            busy.execute("CREATE TABLE note AS SELECT 'kept' AS text")
            backend = psutil.Process(busy.info.backend_pid)
            backend.suspend()  # so it notices nothing, and holds the shared memory
            assert server.poll() is None
            postmaster.kill()
            assert server.wait() == server.poll() == -signal.SIGKILL
            assert not server.answers()
            server.restart()
            assert not backend.is_running()
        assert server.poll() is None
        with psycopg.connect(host=str(server.socket), user="postgres", dbname="push") as connection:
            assert connection.execute("SELECT text FROM note").fetchone() == ("kept",)
    assert servers(folder) == []


def test_each_crash_begins_another_life(folder: Path) -> None:
    with PostgresServer(folder) as server:
        lives = [server.life()]
        for end in ("backend", "server", "backend"):
            with psycopg.connect(host=str(server.socket), user="postgres", dbname="postgres") as busy:
                if end == "backend":
                    psutil.Process(busy.info.backend_pid).kill()
                    with pytest.raises(psycopg.OperationalError):
                        busy.execute("SELECT pg_sleep(10)")
                else:
                    (postmaster,) = servers(folder)
                    postmaster.kill()
                    server.wait()
                    server.restart()
            deadline = time.monotonic() + 60
            # The server may still answer while it has not noticed.
            while not server.answers() or server.life() == lives[-1]:
                assert server.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.01)
            assert server.life() == server.life()
            lives.append(server.life())
        assert len(set(lives)) == len(lives)


def test_what_a_killed_server_left_does_not_keep_the_next_starter_out(folder: Path) -> None:
    with starter(folder) as process:
        (stale,) = servers(folder)
        socket = PostgresServer(folder).socket
        with psycopg.connect(host=str(socket), user="postgres", dbname="push") as busy:
            backend = psutil.Process(busy.info.backend_pid)
            backend.suspend()
            process.kill()
            stale.kill()
            stale.wait()
            with PostgresServer(folder) as server:
                assert server.create_database("push") is False
            assert not backend.is_running()


def test_a_server_that_cannot_start_again_says_why(folder: Path) -> None:
    with PostgresServer(folder) as server:
        (postmaster,) = servers(folder)
        postmaster.kill()
        server.wait()
        (folder / "global" / "pg_control").unlink()
        with pytest.raises(ProviderUnavailable, match=r"(?s)did not start.*pg_control"):
            server.restart()
        assert server.poll()


def test_the_server_of_a_living_starter_is_left_alone(folder: Path) -> None:
    with PostgresServer(folder) as server:
        (running,) = servers(folder)
        with pytest.raises(ConfigurationError, match="Another process runs"), PostgresServer(folder):
            pytest.fail("two servers on one folder")
        assert servers(folder) == [running]
        assert server.socket.exists()
        assert server.create_database("push")


def test_a_first_start_that_was_killed_is_made_up_for(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    half = tmp_path / "data.new"
    half.mkdir(mode=0o700)
    (half / "PG_VERSION").write_text("18\n")  # what initdb writes first
    with PostgresServer(folder) as server:
        assert server.create_database("push")
    assert not half.exists()


def test_a_start_that_is_interrupted_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    server = PostgresServer(folder)
    monkeypatch.setattr(psycopg, "connect", interrupt)
    with pytest.raises(KeyboardInterrupt):
        server.start()
    assert servers(folder) == []
    assert not server.socket.exists()


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda folder: (folder / "PG_VERSION").write_text("9.6\n"), "version"),
        (lambda folder: (folder / "global" / "pg_control").unlink(), "pg_control"),
        (lambda folder: (folder / "PG_VERSION").unlink(), "PG_VERSION"),
        (lambda folder: (folder / "postgresql.conf").write_text("nonsense = 1\n"), "nonsense"),
    ],
)
def test_a_broken_data_folder_is_a_clear_error(folder: Path, harm: object, says: str) -> None:
    harm(folder)  # type: ignore[operator]
    server = PostgresServer(folder)
    with pytest.raises(ProviderUnavailable, match=f"(?s)did not start.*{says}") as caught:
        server.start()
    assert str(server.log) in str(caught.value)
    assert servers(folder) == []
    assert not server.socket.exists()


def test_a_missing_wheel_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match="pip install"):
        PostgresServer(tmp_path / "data").start()
    assert not (tmp_path / "data").exists()


def test_the_socket_is_short_and_always_the_same(tmp_path: Path) -> None:
    deep = tmp_path / ("long" * 50) / "data"
    socket = PostgresServer(deep).socket
    assert socket == PostgresServer(deep).socket
    assert socket.parent == Path(tempfile.gettempdir())
    assert len(str(socket / ".s.PGSQL.5432")) < 108
    assert hashlib.sha256(str(deep).encode()).hexdigest().startswith(socket.name[-12:])
    assert not socket.exists()


@pytest.mark.parametrize("arguments", [[], ["folder"]])
def test_wrong_arguments_show_the_usage(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "sandbox.postgres", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr.startswith("usage: ")


def test_the_shells_way_says_why_it_cannot_start(folder: Path) -> None:
    shutil.rmtree(folder / "global")
    command = [sys.executable, "-m", "sandbox.postgres", str(folder), "push"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    assert result.returncode == 1
    assert "PostgreSQL did not start" in result.stderr
