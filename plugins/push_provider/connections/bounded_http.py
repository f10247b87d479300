"""An HTTP session whose servers cannot keep it: each answer has an end in time and in bytes, packed or not.

requests' own limit is for each piece that arrives, and for none of their number: a server that says a byte now and then
holds its thread for ever, one that goes on fills the memory, and one that answers ``Location:`` sends a signed call on
to whomever it likes.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from typing import TYPE_CHECKING, Any

import certifi
import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError, ReadTimeoutError

from push_provider.connections.dial import dial

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

ANSWER_BYTES = 1 << 20
"""Octets of an answer with its head, as they arrive and, unpacked, once more; Aliyun's largest page has a tenth."""
_PIECE = 1 << 16


class AnswerTooLong(requests.RequestException):
    """An answer went on after :data:`ANSWER_BYTES`."""


class TlsFailed(NewConnectionError):
    """A server took the connection, and made no TLS of it."""


class AnswerLeadsElsewhere(requests.RequestException):
    """The answer is a redirect, which is not followed."""


def bounded_session(*, timeout: float, connections: int) -> requests.Session:
    """A session for calls of one service.

    :param timeout: seconds for connecting to one address, and for each answer as a whole; a call may give its own.
    :param connections: kept open at once.
    :returns: it raises what requests does, :class:`AnswerTooLong` and :class:`AnswerLeadsElsewhere`.
    """
    session = requests.Session()
    adapter = _Adapter(timeout, connections)  # one for both: each reads all certificates that are trusted
    for prefix in ("https://", "http://"):
        session.mount(prefix, adapter)
    return session


class _Adapter(HTTPAdapter):
    def __init__(self, timeout: float, connections: int) -> None:
        self._timeout = timeout
        self._trusted = ssl.create_default_context()
        self._trusted.load_verify_locations(certifi.where())
        super().__init__(pool_maxsize=connections)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._trusted, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, ssl_context=self._trusted, **options)
        if not proxy.lower().startswith("socks"):  # whose connections begin in another way
            manager.pool_classes_by_scheme = _POOLS
        return manager

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,  # noqa: ARG002  (an answer is read at once: who reads late, has no limit)
        timeout: Any = None,
        verify: bool | str = True,
        cert: Any = None,
        proxies: dict[str, str] | None = None,
    ) -> requests.Response:
        limit = self._timeout if timeout is None else timeout
        answer = super().send(request, stream=True, timeout=limit, verify=verify, cert=cert, proxies=proxies)
        try:
            if answer.is_redirect:
                raise AnswerLeadsElsewhere(f"HTTP status {answer.status_code}", request=request)
            body = _read(answer.raw, request)
        except BaseException:
            answer.raw.close()
            raise
        whole = urllib3.HTTPResponse(
            io.BytesIO(body),
            {name: value for name, value in answer.raw.headers.items() if name.lower() not in _OF_TRANSFER},
            answer.status_code,
            reason=answer.reason,
            preload_content=False,
        )
        return self.build_response(request, whole)


_OF_TRANSFER = frozenset(("content-encoding", "content-length", "transfer-encoding"))


def _read(raw: urllib3.HTTPResponse, request: requests.PreparedRequest) -> bytes:
    """The body, unpacked."""
    body = bytearray()
    try:
        for piece in raw.stream(_PIECE, decode_content=True):
            body += piece
            if len(body) > ANSWER_BYTES:
                raise AnswerTooLong("its answer has no end", request=request)
    except ReadTimeoutError as error:
        raise requests.ReadTimeout(error, request=request) from None
    except urllib3.exceptions.HTTPError as error:
        raise requests.ConnectionError(error, request=request) from error
    return bytes(body)


class _Bounded(io.RawIOBase):
    """What the server says, as long as its time and its octets last."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        # It keeps the socket open while the answer is read: http.client closes the connection before.
        self._raw = sock.makefile("rb", buffering=0)
        limit = sock.gettimeout()
        self._end = None if limit is None else time.monotonic() + limit
        self._left = ANSWER_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        if self._left <= 0:
            raise AnswerTooLong("its answer has no end")
        if self._end is not None:
            left = self._end - time.monotonic()
            if left <= 0:
                raise TimeoutError("its answer did not come in time")
            self._sock.settimeout(left)
        count = self._raw.readinto(buffer)
        self._left -= count or 0
        return int(count) if count is not None else None

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp.close()
        self.fp = io.BufferedReader(_Bounded(sock))


class _Dialling(HTTPConnection):
    """How a connection begins, and in what its answers are read."""

    response_class = _Answer

    def _new_conn(self) -> socket.socket:
        seconds = self.timeout if isinstance(self.timeout, int | float) else None
        try:
            sock = dial(self._dns_host, self.port, lambda: seconds)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        except TimeoutError as error:
            raise ConnectTimeoutError(self, f"Connection to {self.host} timed out") from error
        except OSError as error:
            raise NewConnectionError(self, f"Failed to establish a new connection: {error}") from error
        for option in self.socket_options or ():
            sock.setsockopt(*option)
        return sock


class _Http(_Dialling):
    pass


class _Https(_Dialling, HTTPSConnection):
    def connect(self) -> None:
        # urllib3 takes what goes wrong here for an answer that did not come, though nothing was asked.
        try:
            super().connect()
        except ssl.SSLCertVerificationError:
            raise
        except TimeoutError as error:
            raise ConnectTimeoutError(self, f"No TLS with {self.host} in time") from error
        except OSError as error:
            raise TlsFailed(self, f"No TLS with {self.host}: {error}") from error


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _Https


_POOLS = {"http": _HttpPool, "https": _HttpsPool}
