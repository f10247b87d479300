"""A second server, a process of its own, that answers the requests whose bodies or answers are long.

Reading and checking what is in them is seconds of computing, and in one process of Python nobody else computes
meanwhile: neither Airflow's own pages, nor the heartbeats of its tasks, nor a small request of ours. The first server
asks who is there, reads the body, and passes both on; the second one is the same app again, asks for itself, and lets
every other process of the machine go first. While there is none, the first server answers everything, in turns.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import Request, Response

from push_provider.api.downloads import Download
from push_provider.api.hangups import until_gone
from push_provider.api.problems import Problem
from push_provider.rendering.processes import Gone

if TYPE_CHECKING:
    import httpx

log = logging.getLogger(__name__)

NICE = 10
"""How far the second server lets other processes go first."""
_START = 120.0
"""Seconds in which it must be ready; on an idle machine it takes four."""
_AGAIN = 30.0
"""Seconds after which one that has ended is started again."""
_PIECE = 64 * 1024
"""Bytes of a long answer that are passed on at a time, at most."""
_OF_ONE_HOP = frozenset(
    b"connection keep-alive proxy-connection te trailer transfer-encoding upgrade expect "
    b"content-length x-forwarded-for x-forwarded-proto".split()
)
"""Fields that speak of one connection alone (RFC 9110, 7.6.1), or that the first server says itself."""


class PassedOn(Exception):
    """The second server has answered.

    :param response: its answer.
    """

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


class SecondServer:
    """The process, as the first server sees it. It ends with it, however that ends."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._process: subprocess.Popen[str] | None = None
        self._client: httpx.AsyncClient | None = None
        self._begun = -_AGAIN
        self._guard = threading.Lock()

    @property
    def pid(self) -> int | None:
        """Of the process, if there is one."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> None:
        """Start it, if it does not run; it is ready some seconds later. Takes a moment: call it in a thread."""
        with self._guard:
            if self.pid is not None or time.monotonic() < self._begun + _AGAIN:
                return
            self._begun = time.monotonic()
            self._clean()
            # Short, for a socket's path has 107 bytes, and nobody else's: mkdtemp's mode is 0700.
            self._folder = Path(tempfile.mkdtemp(prefix="push-"))
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "push_provider.api.second_server"],
                    stdin=subprocess.PIPE,
                    text=True,
                    process_group=0,  # Ctrl-C is the first server's, which ends this one in order
                )
                assert self._process.stdin is not None
                # By a pipe, and not the environment: it holds a secret.
                self._process.stdin.write(json.dumps({"socket": str(self._socket), "secret": _secret()}) + "\n")
                self._process.stdin.flush()
            except OSError as error:
                log.warning("No process can be started that answers long requests: %s", error.strerror)

    @property
    def ready(self) -> bool:
        """Whether it takes requests."""
        if self.pid is None:
            return False
        if self._socket.exists():
            return True
        if time.monotonic() > self._begun + _START:
            self._process.kill()  # type: ignore[union-attr]
        return False

    async def close(self) -> None:
        """End it."""
        if self._client is not None:
            await self._client.aclose()
        process = self._process
        if process is not None and process.stdin is not None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(process.wait, 5)
            process.kill()
            process.wait()
            process.stdin.close()
        self._clean()

    async def answer(self, request: Request, body: bytes) -> Response | None:
        """Have a request answered.

        :param body: as it was read.
        :returns: the answer; None if the server has not got it, and nothing was done.
        :raises Gone: the caller has hung up, and the second server was told.
        :raises Problem: 503, it has ended in the middle of it.
        """
        if not self.ready:
            await asyncio.to_thread(self.start)
            return None
        asked = asyncio.ensure_future(self._ask(request, body))
        gone = asyncio.ensure_future(until_gone(request.receive))
        either: set[asyncio.Future[Any]] = {asked, gone}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not asked.done():
                raise Gone
            return await asked
        finally:
            gone.cancel()
            asked.cancel()

    def download(self, request: Request) -> Download | None:
        """Have a request without a body answered, piece by piece.

        :returns: the answer; None if the server takes none, and nothing was done.
        """
        if not self.ready:
            return None
        connection = _Connection(self._socket)
        try:
            connection.connect()
        except OSError:
            return None
        # Its place is the second server's matter.
        answer = _Answer(connection, _target(request), _headers(request))
        download = Download(answer, contextlib.nullcontext(), media_type="", headers={})
        answer.of = download
        return download

    async def _ask(self, request: Request, body: bytes) -> Response | None:
        import httpx

        headers = [*_headers(request), (b"content-length", b"%d" % len(body))]
        address = httpx.URL("http://second").copy_with(raw_path=_target(request))
        try:
            answer = await self._http().request(request.method, address, content=body, headers=headers)
        except httpx.ConnectError:
            return None  # it is ending, or has just ended
        except httpx.TransportError as error:
            raise _ended(error) from None
        given = Response(answer.content, answer.status_code)
        length = (b"content-length", b"%d" % len(answer.content))
        given.raw_headers = [length, *_passed(answer.headers.raw)]
        return given

    def _http(self) -> httpx.AsyncClient:
        if self._client is None:
            import httpx

            # An answer takes as long as it takes: the app's own limits are what ends it. A connection for each
            # request: one that was kept may be closed just when the next request is sent.
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
            self._client = httpx.AsyncClient(
                transport=httpx.AsyncHTTPTransport(uds=str(self._socket), limits=limits),
                timeout=httpx.Timeout(None),
                trust_env=False,
            )
        return self._client

    @property
    def _socket(self) -> Path:
        assert self._folder is not None
        return self._folder / "s"

    def _clean(self) -> None:
        self._client = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


async def answer(request: Request, body: bytes) -> Response | None:
    """The answer of the app's second server to a request; what is raised is of :meth:`SecondServer.answer`.

    :returns: None if there is none, or it does not take requests yet.
    """
    second: SecondServer | None = getattr(request.app.state, "second_server", None)
    return await second.answer(request, body) if second else None


def download(request: Request) -> Download | None:
    """The same of a request without a body whose answer is long."""
    second: SecondServer | None = getattr(request.app.state, "second_server", None)
    return second.download(request) if second else None


class _Connection(http.client.HTTPConnection):
    """A connection to the second server, for a thread."""

    def __init__(self, place: Path) -> None:
        super().__init__("second")
        self._place = place

    def connect(self) -> None:
        """Connect to its socket."""
        if self.sock is None:
            self.sock = socket.socket(socket.AF_UNIX)
            try:
                self.sock.connect(str(self._place))
            except OSError:
                self.close()
                raise


class _Answer:
    """The second server's answer, as the source of a download.

    :param of: the download, whose status and fields are those of the answer.
    """

    of: Download

    def __init__(self, connection: _Connection, target: bytes, headers: list[tuple[bytes, bytes]]) -> None:
        self._connection = connection
        self._target = target
        self._headers = headers
        self._body: http.client.HTTPResponse | None = None

    def read(self) -> bytes | None:
        """The next piece; with the first one the answer's status and fields."""
        try:
            if self._body is None:
                self._connection.putrequest("GET", self._target.decode("ascii"), skip_host=True)
                for name, value in self._headers:
                    self._connection.putheader(name.decode("latin-1"), value)
                self._connection.endheaders()
                self._body = self._connection.getresponse()
                self.of.status_code = self._body.status
                told = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in self._body.getheaders()]
                self.of.raw_headers = _passed(told)
            return self._body.read1(_PIECE) or None
        except (OSError, http.client.HTTPException) as error:
            raise _ended(error) from None

    def cancel(self) -> None:
        """Let a read that is under way end."""
        if self._connection.sock is not None:
            with contextlib.suppress(OSError):
                self._connection.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Hang up, which the second server notices."""
        if self._body is not None:
            self._body.close()
        self._connection.close()


def _target(request: Request) -> bytes:
    """Path and query as they came."""
    scope = request.scope
    path: bytes = (scope.get("raw_path") or scope["path"].encode()).partition(b"?")[0]
    return path + (b"?" + scope["query_string"] if scope["query_string"] else b"")


def _headers(request: Request) -> list[tuple[bytes, bytes]]:
    """The request's fields, and who has sent it."""
    passed = _passed(request.scope["headers"])
    passed.append((b"x-forwarded-proto", request.scope["scheme"].encode()))
    if client := request.scope.get("client"):
        passed.append((b"x-forwarded-for", str(client[0]).encode()))
    return passed


def _passed(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [(name.lower(), value) for name, value in headers if name.lower() not in _OF_ONE_HOP]


def _ended(error: Exception) -> Problem:
    log.error("The process that answers long requests has ended in the middle of one: %r", error)
    return Problem(
        503,
        "unavailable",
        "The process that worked on this request has ended, and it may have been carried out or not. Look, or send it "
        "again under the same Idempotency-Key.",
        retry_after=2,
    )


def _secret() -> str | None:
    """What this process signs and reads tokens with; where none is configured, it has made one up."""
    from airflow.configuration import conf

    return conf.get("api_auth", "jwt_secret", fallback=None) or None


# --- in the process itself ------------------------------------------------------------------------------


def main() -> None:
    """Answer on the socket that standard input names, until standard input ends."""
    told = json.loads(sys.stdin.readline())

    def end_with_the_first() -> None:
        while sys.stdin.readline():
            continue
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=end_with_the_first, daemon=True).start()
    place = Path(told["socket"])
    try:
        _serve(place, told["secret"])
    finally:
        shutil.rmtree(place.parent, ignore_errors=True)  # the first server may have had no time for it


def _serve(place: Path, secret: str | None) -> None:
    import uvicorn
    from airflow.api_fastapi.app import API_ROOT_PATH, init_auth_manager, lifespan
    from airflow.configuration import conf
    from airflow.providers_manager import ProvidersManager
    from fastapi import FastAPI

    from push_provider.api.app import create_app

    ProvidersManager().initialize_providers_configuration()  # type: ignore[no-untyped-call]
    if secret:
        conf.set("api_auth", "jwt_secret", secret)
    app = FastAPI(root_path=API_ROOT_PATH.removesuffix("/"), lifespan=lifespan)
    app.mount("/push", create_app(second=True))
    init_auth_manager(app)
    os.nice(NICE)  # from now on: it is quickly there
    uvicorn.run(
        app,
        uds=str(place),
        proxy_headers=True,
        forwarded_allow_ips="*",  # nobody but the first server reaches the socket
        access_log=False,  # Airflow's own, in front of the first server, has it
        log_config=None,
        timeout_graceful_shutdown=4,
    )


if __name__ == "__main__":
    main()
