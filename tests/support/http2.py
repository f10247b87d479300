"""A server of HTTP/2 over TLS that answers everything with one body, when it is told to."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded


class Http2:
    """What a test asks of it.

    :param answer: body of every answer.
    """

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.address = ""
        self.connections = 0
        self.most = 0
        """Calls that waited for their answers at the same time, at most."""
        self.waiting = 0
        self.all_at_once = 1
        """Calls that wait before any of them is answered."""
        self.open: set[_Connection] = set()


class _Connection(asyncio.Protocol):
    def __init__(self, server: Http2) -> None:
        self._server = server
        self._open: list[int] = []
        self._closed = asyncio.Event()
        self._http = H2Connection(H2Configuration(client_side=False))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.connections += 1
        self._server.open.add(self)
        self._http.initiate_connection()
        transport.write(self._http.data_to_send())

    def connection_lost(self, _: Exception | None) -> None:
        self._server.open.discard(self)
        self._closed.set()

    async def close(self) -> None:
        """Cut it."""
        self._transport.abort()
        await self._closed.wait()

    def data_received(self, data: bytes) -> None:
        for event in self._http.receive_data(data):
            if isinstance(event, RequestReceived):
                self._server.waiting += 1
                self._server.most = max(self._server.most, self._server.waiting)
            elif isinstance(event, DataReceived):
                self._http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, StreamEnded):
                self._open.append(event.stream_id)
        if len(self._open) >= self._server.all_at_once:
            self._answer()
        self._transport.write(self._http.data_to_send())

    def _answer(self) -> None:
        for stream in self._open:
            self._server.waiting -= 1
            self._http.send_headers(stream, [(":status", "200"), ("content-type", "application/json")])
            self._http.send_data(stream, self._server.answer, end_stream=True)
        self._open = []


@contextmanager
def http2(folder: Path, answer: bytes) -> Iterator[Http2]:
    """Run one on a free port of 127.0.0.1, in a thread of its own.

    :param folder: where its certificate is put, ``cert.pem``, which its clients have to trust.
    """
    server = Http2(answer)
    certificate, key = _certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["h2"])
    loop = asyncio.new_event_loop()
    listening = loop.run_until_complete(loop.create_server(lambda: _Connection(server), "127.0.0.1", 0, ssl=context))
    server.address = f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(_close(listening, server), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _close(listening: asyncio.Server, server: Http2) -> None:
    listening.close()
    for connection in [*server.open]:
        await connection.close()


def _certificate(folder: Path) -> tuple[Path, Path]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate, secret = folder / "cert.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate, secret
