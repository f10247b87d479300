"""The ledger's database goes away while it is used: for a while, or with the answer to a commit."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

if TYPE_CHECKING:
    import pytest

    from sandbox.postgres import PostgresServer

_COMMIT = b"Q\0\0\0\x0bCOMMIT\0"
"""As the driver asks for it (PostgreSQL's protocol, a simple query)."""


class Switch:
    """Takes a database away, and gives it back.

    :param admin: where another database of its server is, as libpq has it.
    :param name: of the database.
    """

    def __init__(self, admin: str, name: str) -> None:
        self._admin = admin
        self._name = name

    def off(self) -> None:
        """Refuse all connections, and end those that there are, in the middle of whatever they do."""
        self._allow("false")
        self._ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [self._name])

    def on(self) -> None:
        """Take connections again."""
        self._allow("true")

    def _allow(self, what: str) -> None:
        self._ask(f'ALTER DATABASE "{self._name}" ALLOW_CONNECTIONS {what}')

    def _ask(self, query: Any, values: Any = None) -> None:
        with psycopg.connect(self._admin, autocommit=True) as admin:
            admin.execute(query, values)


class Cutter:
    """Stands between the driver and the server, and cuts a connection after a commit, whose answer never arrives.

    :param number: which commit of all connections is the first to be cut, from 1.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.commits = 0
        self._lock = threading.Lock()

    def is_cut(self) -> bool:
        """Count a commit, and say whether its answer gets lost."""
        with self._lock:
            self.commits += 1
            return self.commits == self.number


@contextmanager
def away_at_first(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Let the ledger that ``[push] sql_alchemy_conn`` names be away until somebody has tried to reach it.

    :yields: the tries.
    """
    name = "AIRFLOW__PUSH__SQL_ALCHEMY_CONN"
    url, tries = os.environ[name], list[str]()

    def refuse() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                tries.append("refused")
                monkeypatch.setenv(name, url)
                client.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=refuse, daemon=True).start()
        monkeypatch.setenv(name, f"postgresql+psycopg://nobody@127.0.0.1:{listener.getsockname()[1]}/none")
        yield tries
        listener.shutdown(socket.SHUT_RDWR)


@contextmanager
def cutting(folder: Path, postgres: PostgresServer, cutter: Cutter) -> Iterator[Path]:
    """The folder of a socket that leads to the server through ``cutter``."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / ".s.PGSQL.5432"))
        listener.listen()
        threading.Thread(target=_serve, args=(listener, str(postgres.socket), cutter), daemon=True).start()
        yield folder


def _serve(listener: socket.socket, server: str, cutter: Cutter) -> None:
    with contextlib.suppress(OSError):
        while True:
            client, _ = listener.accept()
            upstream = socket.socket(socket.AF_UNIX)
            upstream.connect(f"{server}/.s.PGSQL.5432")
            cut = threading.Event()
            threading.Thread(target=_ask, args=(client, upstream, cutter, cut), daemon=True).start()
            threading.Thread(target=_answer, args=(client, upstream, cut), daemon=True).start()


def _ask(client: socket.socket, upstream: socket.socket, cutter: Cutter, cut: threading.Event) -> None:
    with contextlib.suppress(OSError):
        while asked := client.recv(65536):
            if asked.endswith(_COMMIT) and cutter.is_cut():
                cut.set()
            upstream.sendall(asked)
    upstream.close()


def _answer(client: socket.socket, upstream: socket.socket, cut: threading.Event) -> None:
    with contextlib.suppress(OSError):
        while (answer := upstream.recv(65536)) and not cut.is_set():
            client.sendall(answer)
    for one in (client, upstream):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()
