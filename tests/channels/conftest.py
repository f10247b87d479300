"""Fixtures of the channel tests: mail accounts, contents, a certificate authority and the scripted server."""

from __future__ import annotations

import datetime
import ipaddress
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from push_provider.channels.email.smtp_config import SmtpConfig, Tls

# With --import-mode=importlib the modules beside the tests are not importable otherwise.
sys.path.insert(0, str(Path(__file__).parent))

from smtp_server import Server


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Start a scripted server; it ends with the test."""
    with ExitStack() as stack:
        yield lambda *args, **kwargs: stack.enter_context(Server(*args, **kwargs))


@pytest.fixture
def account() -> Callable[..., SmtpConfig]:
    """A mail account on a server of this test."""

    def make(server: Any, **values: Any) -> SmtpConfig:
        given = {
            "connection": "push_email_test",
            "host": "127.0.0.1",
            "port": server if isinstance(server, int) else server.port,
            "tls": Tls.NONE,
            "from_email": "shop@example.com",
            "timeout": 5.0,
        }
        return SmtpConfig(**{**given, **values})

    return make


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1, with its key in the same file; it is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return path
