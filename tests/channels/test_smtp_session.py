"""Connecting: every way a server can refuse, and what the error says."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import socket
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from smtp_server import At, Do, Server

from push_provider.channels.email.smtp_config import SmtpConfig, Tls
from push_provider.channels.email.smtp_session import connect
from push_provider.exceptions import ConfigurationError, ProviderUnavailable, PushError

Serve = Callable[..., Server]
Account = Callable[..., SmtpConfig]
SECRET = "geheim-4711"
ENCODED = base64.b64encode(SECRET.encode()).decode()
AUTH = ("PIPELINING", "AUTH PLAIN LOGIN CRAM-MD5")


def at(step: str, answer: Any) -> Callable[[At], Any]:
    return lambda here: answer if here.step == step else None


@pytest.mark.parametrize(
    ("step", "answer", "error"),
    [
        ("connect", "421 too many connections", ProviderUnavailable),
        ("connect", "450 later", ProviderUnavailable),
        ("connect", "554 not for you", ConfigurationError),
        ("connect", Do.CLOSE, ProviderUnavailable),
        ("connect", Do.HANG, ProviderUnavailable),
        ("connect", b"\x00\xff\x80 junk\r\n", ProviderUnavailable),
        ("connect", b"2" * 9000, ProviderUnavailable),
        ("ehlo", "421 going down", ProviderUnavailable),
        ("ehlo", "451 later", ProviderUnavailable),
        ("ehlo", Do.CLOSE, ProviderUnavailable),
        ("ehlo", Do.HANG, ProviderUnavailable),
        ("starttls", "454 not now", ProviderUnavailable),
        ("starttls", "502 no", ConfigurationError),
        ("starttls", Do.CLOSE, ProviderUnavailable),
        ("starttls", Do.HANG, ProviderUnavailable),
        ("auth", "454 4.7.0 not now", ProviderUnavailable),
        ("auth", "421 4.7.0 not now", ProviderUnavailable),
        ("auth", "535 5.7.8 wrong", ConfigurationError),
        ("auth", "530 5.7.0 first TLS", ConfigurationError),
        ("auth", "550 account locked", ConfigurationError),
        ("auth", Do.CLOSE, ProviderUnavailable),
        ("auth", Do.HANG, ProviderUnavailable),
    ],
)
def test_refusals(
    step: str, answer: Any, error: type[PushError], serve: Serve, account: Account, certificate: Path
) -> None:
    tls = step == "starttls"
    extensions = ("STARTTLS",) if tls else ("AUTH PLAIN",)
    server = serve(at(step, answer), extensions=extensions, certificate=certificate)
    config = account(
        server,
        tls=Tls.REQUIRED if tls else Tls.NONE,
        user="ann",
        password=SECRET,
        timeout=0.2 if answer is Do.HANG else 20,
        verify=False,
    )
    with pytest.raises(error, match="push_email_test") as caught:
        connect(config)
    shown = "".join(traceback.format_exception(caught.value))
    assert SECRET not in shown
    assert ENCODED not in shown


def test_nobody_listens(account: Account) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ProviderUnavailable, match="cannot be reached"):
        connect(account(port))


@pytest.mark.parametrize("values", [{"host": "a" * 70 + ".example"}, {"port": 70000}, {"host": "a\0b"}])
def test_impossible_addresses(values: dict[str, Any], account: Account) -> None:
    with pytest.raises(PushError, match="push_email_test"):
        connect(account(25, **values))


def test_the_remedy_and_a_server_that_repeats_the_password(serve: Serve, account: Account) -> None:
    said = f"535 wrong: {SECRET} {ENCODED} {plain('ann@qq.com', SECRET)}"
    server = serve(at("auth", said), extensions=AUTH)
    with pytest.raises(ConfigurationError, match="authorisation code") as caught:
        connect(account(server, user="ann@qq.com", password=SECRET, auth_method="PLAIN"))
    assert "535 wrong: *** *** ***" in str(caught.value)
    assert "'ann@qq.com'" in str(caught.value)
    assert SECRET not in repr(account(server, password=SECRET))


def plain(user: str, password: str) -> str:
    return base64.b64encode(f"\0{user}\0{password}".encode()).decode()


@pytest.mark.parametrize(
    ("extensions", "method", "sent"),
    [
        (("AUTH PLAIN LOGIN",), None, f"AUTH PLAIN {plain('ann', SECRET)}"),
        (("AUTH PLAIN LOGIN",), "plain", f"AUTH PLAIN {plain('ann', SECRET)}"),
        (("AUTH LOGIN",), None, "AUTH LOGIN"),
        (("AUTH PLAIN LOGIN",), "LOGIN", "AUTH LOGIN"),
        (("AUTH PLAIN LOGIN CRAM-MD5",), None, "AUTH CRAM-MD5"),
    ],
)
def test_method(extensions: tuple[str, ...], method: str | None, sent: str, serve: Serve, account: Account) -> None:
    server = serve(extensions=extensions)
    connect(account(server, user="ann", password=SECRET, auth_method=method)).close()
    assert (1, sent) in server.commands


@pytest.mark.parametrize("method", ["LOGIN", "CRAM-MD5", "PLAIN"])
@pytest.mark.parametrize(("user", "secret"), [("ann", SECRET), ("用户@例子.cn", "Passwörd-密码🔑")])
def test_challenges(user: str, secret: str, method: str, account: Account) -> None:
    """The answers to a server's challenges, line by line; all in UTF-8 (RFC 4616, 2)."""
    replies = {
        "LOGIN": ["334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6", "235 ok"],
        "CRAM-MD5": ["334 " + base64.b64encode(b"<1@test>").decode(), "235 ok"],
        "PLAIN": ["235 ok"],
    }[method]
    digest = hmac.new(secret.encode(), b"<1@test>", hashlib.md5).hexdigest()
    expected = {
        "LOGIN": ["AUTH LOGIN", base64.b64encode(user.encode()).decode(), base64.b64encode(secret.encode()).decode()],
        "CRAM-MD5": ["AUTH CRAM-MD5", base64.b64encode(f"{user} {digest}".encode()).decode()],
        "PLAIN": [f"AUTH PLAIN {plain(user, secret)}"],
    }[method]
    with raw_server(["220 hi", f"250-x\r\n250 AUTH {method}", *replies]) as (port, lines):
        connect(account(port, user=user, password=secret)).close()
    assert lines[1:] == expected


def test_a_server_that_asks_for_what_it_has_been_told(account: Account) -> None:
    with raw_server(["220 hi", "250-x\r\n250 AUTH PLAIN", "334 ", "235 ok"]) as (port, lines):
        connect(account(port, user="ann", password=SECRET)).close()
    assert lines[1:] == [f"AUTH PLAIN {plain('ann', SECRET)}", plain("ann", SECRET)]


@pytest.mark.parametrize("method", ["PLAIN", "LOGIN"])
def test_a_server_that_never_stops_asking(method: str, account: Account) -> None:
    replies = ["220 hi", f"250-x\r\n250 AUTH {method}", *["334 dXNlcg=="] * 9]
    with raw_server(replies) as (port, lines), pytest.raises(ProviderUnavailable, match="334"):
        connect(account(port, user="ann", password=SECRET))
    assert len(lines) < 6


def test_xoauth2(account: Account) -> None:
    error = base64.b64encode(b'{"status":"400"}').decode()
    with (
        raw_server(["220 hi", "250-x\r\n250 AUTH PLAIN XOAUTH2", f"334 {error}", "535 expired"]) as (
            port,
            lines,
        ),
        pytest.raises(ConfigurationError, match="535 expired"),
    ):
        connect(account(port, user="ann", password="unused", access_token="tok-99"))
    given = base64.b64encode(b"user=ann\x01auth=Bearer tok-99\x01\x01").decode()
    assert lines[1:] == [f"AUTH XOAUTH2 {given}", ""]


@contextlib.contextmanager
def raw_server(replies: list[str]) -> Any:
    """Answer line after line with the next reply; gives the port and the lines that came."""
    lines: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            sock, _ = listener.accept()
            with sock, sock.makefile("rb") as file:
                for reply in replies:
                    sock.sendall(reply.encode() + b"\r\n")
                    line = file.readline()
                    if not line:
                        return
                    lines.append(line.decode().rstrip("\r\n"))

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1], lines
        thread.join(10)


def test_a_refused_password_is_tried_once(serve: Serve, account: Account) -> None:
    server = serve(at("auth", "535 wrong"), extensions=("AUTH PLAIN LOGIN",))
    with pytest.raises(ConfigurationError):
        connect(account(server, user="ann", password=SECRET))
    assert len([line for _, line in server.commands if line.startswith("AUTH")]) == 1


def test_a_refused_method_gives_way_to_the_next(serve: Serve, account: Account) -> None:
    def script(here: At) -> str | None:
        return "504 5.5.4 not that" if here.step == "auth" and "PLAIN" in here.argument else None

    server = serve(script, extensions=("AUTH PLAIN LOGIN",))
    connect(account(server, user="ann", password=SECRET)).close()
    assert [line for _, line in server.commands if line.startswith("AUTH")][-1] == "AUTH LOGIN"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"auth_method": "LOGIN"}, "does not offer login by LOGIN; it offers PLAIN"),
        ({"auth_method": "NTLM"}, "does not offer login by NTLM"),
        ({"access_token": "tok"}, "does not offer login by XOAUTH2"),
        ({"password": "码\ud800"}, "character that cannot be sent"),
        ({"password": "码\0"}, "character that cannot be sent"),
    ],
)
def test_logins_that_cannot_be(values: dict[str, Any], words: str, serve: Serve, account: Account) -> None:
    server = serve(extensions=("AUTH PLAIN",))
    with pytest.raises(ConfigurationError, match=words) as caught:
        connect(account(server, **{"user": "ann", "password": SECRET, **values}))
    assert "码" not in "".join(traceback.format_exception(caught.value))


# --- TLS --------------------------------------------------------------------------------------------------


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("tls", list(Tls))
@pytest.mark.parametrize("offered", [True, False])
def test_modes(tls: Tls, offered: bool, serve: Serve, account: Account, certificate: Path) -> None:
    implicit = tls is Tls.IMPLICIT
    server = serve(extensions=("STARTTLS",) if offered else (), certificate=certificate, implicit=implicit)
    if tls is Tls.REQUIRED and not offered:
        with pytest.raises(ConfigurationError, match="does not offer STARTTLS"):
            connect(account(server, tls=tls))
        return
    client = connect(account(server, tls=tls))
    protected = hasattr(client.sock, "version")
    client.close()
    assert protected is (implicit or (offered and tls is not Tls.NONE))


@pytest.mark.parametrize("tls", [Tls.IMPLICIT, Tls.REQUIRED, Tls.OPPORTUNISTIC])
def test_a_certificate_nobody_vouches_for(tls: Tls, serve: Serve, account: Account, certificate: Path) -> None:
    def server() -> Server:
        return serve(extensions=("STARTTLS",), certificate=certificate, implicit=tls is Tls.IMPLICIT)

    with pytest.raises(ConfigurationError, match="certificate that is not trusted"):
        connect(account(server(), tls=tls))
    connect(account(server(), tls=tls, verify=False)).close()


@pytest.mark.usefixtures("trusted")
def test_a_certificate_for_another_name(serve: Serve, account: Account, certificate: Path) -> None:
    server = serve(certificate=certificate, implicit=True)
    with pytest.raises(ConfigurationError, match="certificate that is not trusted"):
        connect(account(server, tls=Tls.IMPLICIT, host="localhost"))


def test_unknown_ciphers(serve: Serve, account: Account) -> None:
    with pytest.raises(ConfigurationError, match="none of the ciphers 'NONSENSE'"):
        connect(account(serve(), tls=Tls.OPPORTUNISTIC, ciphers="NONSENSE"))


def test_tls_to_a_port_that_speaks_none(serve: Serve, account: Account) -> None:
    with pytest.raises(ConfigurationError, match="port and TLS mode"):
        connect(account(serve(), tls=Tls.IMPLICIT))
