"""Answers that are made while they are read, on real sockets: readers who hang up, do not read, or read too slowly."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from ports import free_port
from starlette.applications import Starlette
from starlette.routing import Route

from push_provider.api import downloads
from push_provider.api.downloads import Download
from push_provider.api.places import Places
from push_provider.api.problems import Problem

if TYPE_CHECKING:
    from api_server import Answer, ApiServer

PIECE = b"x" * 200_000


class Pieces:
    """A source that counts, and can be made to wait in a read until it is cancelled."""

    def __init__(self, pieces: int, *, waits: bool = False) -> None:
        self.pieces = pieces
        self.read_so_far = 0
        self.closed = threading.Event()
        self.cancelled = threading.Event()
        self._waits = waits

    def read(self) -> bytes | None:
        if self._waits:
            self.cancelled.wait(60)
        if self.read_so_far == self.pieces:
            return None
        self.read_so_far += 1
        return PIECE

    def cancel(self) -> None:
        self.cancelled.set()

    def close(self) -> None:
        self.closed.set()


@pytest.fixture
def serving(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The port of a server that answers every request by this source."""
    monkeypatch.setattr(downloads, "GRACE", 0.5)
    with contextlib.ExitStack() as stack:

        def start(source: Pieces) -> int:
            async def answer(_: Any) -> Download:
                return Download(source, nullcontext(), media_type="text/csv", headers={})

            port = free_port()
            app = Starlette(routes=[Route("/", answer)])
            server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="critical", lifespan="off"))
            thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
            thread.start()

            def end() -> None:
                server.should_exit = server.force_exit = True
                thread.join(10)

            stack.callback(end)
            while not server.started:
                time.sleep(0.01)
            return port

        yield start


def ask(port: int, path: str = "/", **headers: str) -> socket.socket:
    """Send a request, and read nothing."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    sock.connect(("127.0.0.1", port))
    lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in headers.items())]
    sock.sendall("\r\n".join([*lines, "", ""]).encode())
    return sock


def test_a_download_is_whole_and_then_closed(serving: Any) -> None:
    source = Pieces(40)
    connection = http.client.HTTPConnection("127.0.0.1", serving(source), timeout=30)
    connection.request("GET", "/")
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, PIECE * 40)
    connection.close()
    assert source.closed.wait(5)


def test_a_reader_who_does_not_read_has_an_end(serving: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "SLOWEST", 1_000_000)
    source = Pieces(1000)
    with ask(serving(source)) as sock:
        assert source.closed.wait(10)
        assert source.read_so_far < 100
        received = 0
        with contextlib.suppress(ConnectionError):
            while data := sock.recv(1 << 16):
                received += len(data)
                assert not data.endswith(b"0\r\n\r\n"), "it looks as if it were whole"
        assert received < 100 * len(PIECE)


def test_a_reader_who_drips_has_an_end(serving: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "SLOWEST", 1_000_000)
    source = Pieces(1000)
    with ask(serving(source)) as sock:
        deadline = time.monotonic() + 30
        while not source.closed.wait(0.02):
            assert time.monotonic() < deadline
            with contextlib.suppress(ConnectionError):
                sock.recv(100)
    assert source.read_so_far < 100


def test_a_reader_who_is_slow_and_goes_on_gets_all(serving: Any) -> None:
    source = Pieces(40)
    port = serving(source)
    received = 0
    with ask(port) as sock:
        begun = time.monotonic()
        while received < 40 * len(PIECE):
            received += len(sock.recv(100_000))
            time.sleep(0.0005)
        assert source.closed.wait(5)
        assert time.monotonic() - begun > downloads.GRACE


@pytest.mark.parametrize("waits", [False, True], ids=["between two reads", "while it is read from"])
def test_what_is_read_from_is_closed_when_the_reader_hangs_up(
    waits: bool, serving: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "GRACE", 60.0)
    source = Pieces(1000, waits=waits)
    sock = ask(serving(source))
    time.sleep(0.3)
    sock.close()
    assert source.closed.wait(30)
    assert source.cancelled.is_set() or not waits


def test_places_are_for_all_and_for_each() -> None:
    places = Places("exports", "too-many", total=3, each=2)
    with places.place("ann"), places.place("bob"):
        with places.place("ann"), pytest.raises(Problem, match="3 exports are running"), places.place("bob"):
            pass
        with places.place("bob"), pytest.raises(Problem, match="2 of your exports are running") as refused:
            places.place("bob").__enter__()
        assert (refused.value.status, refused.value.code) == (429, "too-many")
        assert refused.value.headers["Retry-After"] == "5"
    with places.place("ann"), places.place("ann"):
        pass
    assert not places._taken


# --- on the ledger ----------------------------------------------------------------------------------------


def reading(server: ApiServer) -> int:
    """Transactions of the API server in which it waits for somebody: each would keep a snapshot open."""
    query = """
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'airflow-push' AND state = 'idle in transaction'
          AND query LIKE '%push_delivery%'
    """
    return int(server.rows(query)[0][0])


@pytest.mark.slow
def test_exports_that_nobody_reads_block_nobody_else_and_end_with_their_reader(server: ApiServer) -> None:
    code = server.create(known=True)
    server.rows(
        """WITH planned AS (
            INSERT INTO push_snapshot (digest, task, templates) VALUES ('', '{}', '{}') RETURNING id)
        INSERT INTO push_execution (task_code, number, source, snapshot_id) SELECT :code, 1, 'rest', id FROM planned""",
        code=code,
    )
    server.rows(
        """INSERT INTO push_delivery (execution_id, recipient, state)
        SELECT e.id, n || '@example.com', 'sent' FROM push_execution e, generate_series(1, 60000) AS n
        WHERE e.task_code = :code""",
        code=code,
    )
    path = f"/push/v1/deliveries?task={code}"

    def export(role: str) -> socket.socket:
        begun = ask(server.port, path, Accept="text/csv", Authorization=f"Bearer {server.token(role)}")
        assert begun.recv(12) == b"HTTP/1.1 200"  # it has its place; and no more of it is read
        return begun

    def another() -> Answer:
        return server.push("GET", "/deliveries", task=code, role="op", headers={"Accept": "text/csv"})

    with export("op") as one:
        refused = another()
        assert (refused.status, refused.json["code"]) == (429, "too-many-exports")
        begun = time.monotonic()
        while reading(server):  # for a moment, while it fills what the socket takes
            assert time.monotonic() - begun < downloads.GRACE / 2, "an export waits in a transaction"
            time.sleep(0.05)
        with export("user"):
            whole = server.push("GET", "/deliveries", task=code, headers={"Accept": "text/csv"})
            assert (whole.status, whole.data.count(b"@example.com")) == (200, 60000)
        one.close()
        begun = time.monotonic()
        while (again := another()).status == 429:
            assert time.monotonic() - begun < downloads.GRACE / 2, "an export outlives its reader"
            time.sleep(0.05)
        assert again.status == 200
    server.rows("DELETE FROM push_execution WHERE task_code = :code", code=code)
