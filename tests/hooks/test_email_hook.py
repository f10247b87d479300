"""The hook against a real mail server: testing a connection, and the SMTP provider's own methods on it."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from airflow.models.connection import Connection as StoredConnection  # noqa: TID251  (what the UI's test is given)
from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowException

from push_provider.channels.email.smtp_config import Tls
from push_provider.exceptions import ConfigurationError, ProviderUnavailable
from push_provider.hooks.email import PushEmailHook

USER, PASSWORD = "shop@example.com", "fzqyxwvutsrqponm"
WRONG = "wrong-but-secret"


class Mailbox(Message):
    """Keeps what arrives, and answers MAIL and RCPT as it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.mails: list[Any] = []
        self.answers: dict[str, str] = {}
        self.resets = 0

    async def handle_MAIL(  # noqa: N802
        self, _server: SMTP, _session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return self.answers.get("MAIL", "250 OK")

    async def handle_RCPT(  # noqa: N802
        self, _server: SMTP, _session: Any, envelope: Any, address: str, _options: list[str]
    ) -> str:
        envelope.rcpt_tos.append(address)
        return self.answers.get("RCPT", "250 OK")

    async def handle_RSET(self, _server: SMTP, _session: Any, _envelope: Any) -> str:  # noqa: N802
        self.resets += 1
        return "250 OK"

    def handle_message(self, message: Any) -> None:
        self.mails.append(message)


class Server(Controller):
    """aiosmtpd with one account, on a port that the system chooses."""

    logins: list[bytes]

    def __init__(self, **options: Any) -> None:
        self.mailbox = Mailbox()
        self.logins = []
        options = {"authenticator": self._check, "auth_require_tls": False, **options}
        super().__init__(self.mailbox, hostname="127.0.0.1", **options)

    async def _create_server(self) -> asyncio.AbstractServer:
        server = await self.loop.create_server(self._factory_invoker, self.hostname, 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    def _check(self, server: SMTP, *args: Any) -> AuthResult:
        given = args[-1]
        assert isinstance(given, LoginPassword)
        self.logins.append(given.login)
        # Not handled: aiosmtpd itself answers 535.
        return AuthResult(success=tuple(given) == (USER.encode(), PASSWORD.encode()), handled=False)


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that knows one account."""
    controller = Server()
    controller.start()
    yield controller
    controller.stop()


@pytest.fixture
def hook(server: Server, monkeypatch: pytest.MonkeyPatch) -> Callable[..., PushEmailHook]:
    """Make a hook on a connection to that server."""

    def make(extra: dict[str, Any] | None = None, **fields: Any) -> PushEmailHook:
        account = {
            "conn_type": "push_email",
            "host": "127.0.0.1",
            "port": server.port,
            "login": USER,
            "password": PASSWORD,
            "extra": {"timeout": 5, **(extra or {})},
            **fields,
        }
        monkeypatch.setenv("AIRFLOW_CONN_ACCOUNT", json.dumps(account))
        return PushEmailHook("account")

    return make


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port on which nobody listens, and nobody else can meanwhile."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


def test_a_right_connection(server: Server, hook: Callable[..., PushEmailHook]) -> None:
    good, message = hook().test_connection()

    assert good
    assert message == (
        f"Connected to 127.0.0.1:{server.port} without TLS, logged in as {USER}. Mail is sent as {USER}."
    )
    assert server.logins == [USER.encode()]
    assert server.mailbox.resets == 1
    assert server.mailbox.mails == []


@pytest.mark.parametrize("method", ["PLAIN", "LOGIN"])
def test_each_login_method(method: str, server: Server, hook: Callable[..., PushEmailHook]) -> None:
    assert hook({"auth_method": method}).test_connection()[0]
    assert server.logins == [USER.encode()]


def test_without_password_there_is_no_login(server: Server, hook: Callable[..., PushEmailHook]) -> None:
    good, message = hook(password=None).test_connection()

    assert good
    assert "without login" in message
    assert server.logins == []


@pytest.mark.parametrize(
    ("fields", "extra", "words"),
    [
        ({"password": WRONG}, {}, ["refuses the login", "授权码|authorisation code"]),
        ({"password": WRONG}, {"auth_method": "LOGIN"}, ["refuses the login"]),
        ({}, {"auth_method": "CRAM-MD5"}, ["does not offer login by CRAM-MD5"]),
        ({}, {"enabled": False}, ["disabled", "enable it"]),
        ({"host": None}, {}, ["cannot be used", "'host'", "service"]),
        ({"conn_type": "smtp"}, {"disable_ssl": True}, ["STARTTLS"]),
    ],
)
def test_a_wrong_connection_says_which_step_failed(
    fields: dict[str, Any],
    extra: dict[str, Any],
    words: list[str],
    hook: Callable[..., PushEmailHook],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)

    good, message = hook(extra, **fields).test_connection()

    assert not good
    assert [word for word in words if not any(choice in message for choice in word.split("|"))] == []
    assert WRONG not in message + caplog.text
    assert PASSWORD not in message + caplog.text


def test_a_closed_port(closed_port: int, hook: Callable[..., PushEmailHook]) -> None:
    good, message = hook(port=closed_port).test_connection()

    assert not good
    assert f"127.0.0.1:{closed_port} cannot be reached" in message


def test_a_missing_connection_is_said() -> None:
    good, message = PushEmailHook("nonesuch").test_connection()

    assert not good
    assert "there is no connection 'nonesuch'" in message


@pytest.mark.parametrize(
    ("login", "step", "answer", "good", "words"),
    [
        (False, "MAIL", "530 5.7.0 Authentication required", False, ["refuses mail from", "530", "login and password"]),
        (False, "RCPT", "550 5.7.1 relaying denied", False, ["refuses mail from", "to the same: 550", "login and"]),
        (False, "RCPT", "550 relay not permitted", False, ["550 relay not permitted", "login and password"]),
        (True, "MAIL", "553 5.7.1 not your address", False, ["553 5.7.1", "from_email"]),
        (True, "MAIL", "451 4.3.0 trouble", False, ["for now: 451 4.3.0"]),
        (True, "RCPT", "450 4.2.0 greylisted", False, ["for now: 450 4.2.0"]),
        (True, "RCPT", "421 4.7.0 bye", False, ["for now: 421 4.7.0"]),
        # The sender need not be a mailbox: noreply@ often is none.
        (True, "RCPT", "550 5.1.1 unknown user", True, ["Mail is sent as", "no mailbox", "bounces"]),
    ],
)
def test_an_account_that_may_not_send_does_not_pass(
    login: bool,
    step: str,
    answer: str,
    good: bool,
    words: list[str],
    server: Server,
    hook: Callable[..., PushEmailHook],
) -> None:
    server.mailbox.answers = {step: answer}

    account = {} if login else {"login": None, "password": None}
    result, message = hook({"from_email": USER}, **account).test_connection()

    assert result is good
    assert [word for word in words if word not in message] == []
    assert server.mailbox.mails == []


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
@pytest.mark.parametrize("conn_type", ["push_email", "smtp"])
def test_a_submission_account_without_login_does_not_pass(conn_type: str, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(auth_required=True)
    server.start()
    try:
        extra = {"from_email": USER, "disable_ssl": True, "disable_tls": True, "ignore_tls": True}
        account = {"conn_type": conn_type, "host": "127.0.0.1", "port": server.port, "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_ACCOUNT", json.dumps(account))
        assert not PushEmailHook("account").test_connection()[0]
        monkeypatch.setenv("AIRFLOW_CONN_ACCOUNT", json.dumps({**account, "login": USER, "password": PASSWORD}))
        good, message = PushEmailHook("account").test_connection()
        assert good, message
    finally:
        server.stop()


@pytest.mark.parametrize("offered", [True, False])
def test_a_sender_outside_ascii(offered: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(enable_SMTPUTF8=offered)
    server.start()
    try:
        account = {
            "conn_type": "push_email",
            "host": "127.0.0.1",
            "port": server.port,
            "extra": {"from_email": "用户@straße.de"},
        }
        monkeypatch.setenv("AIRFLOW_CONN_ACCOUNT", json.dumps(account))
        good, message = PushEmailHook("account").test_connection()
    finally:
        server.stop()
    assert good is offered
    assert ("SMTPUTF8" in message) is not offered


@pytest.mark.filterwarnings("ignore:ProvidersManager.hooks is deprecated")
def test_the_test_button_of_airflow_s_form(server: Server, hook: Callable[..., PushEmailHook]) -> None:
    hook()

    good, message = StoredConnection(conn_id="account", conn_type="push_email").test_connection()

    assert good, message
    assert server.logins == [USER.encode()]


def test_airflow_gives_this_hook_for_the_type(hook: Callable[..., PushEmailHook]) -> None:
    hook()

    assert type(BaseHook.get_hook("account")) is PushEmailHook


# --- the SMTP provider's methods ------------------------------------------------------------------------


def test_send_email_smtp_uses_the_account(server: Server, hook: Callable[..., PushEmailHook]) -> None:
    with hook({"from_email": "sale@example.com"}) as open_hook:
        open_hook.send_email_smtp(to=["a@example.org", "b@example.org"], subject="Hello", html_content="<b>Hi</b>")

    (mail,) = server.mailbox.mails
    assert (mail["From"], mail["X-MailFrom"]) == ("sale@example.com", "sale@example.com")
    assert mail["X-RcptTo"] == "a@example.org, b@example.org"
    assert server.logins == [USER.encode()]


def test_get_conn_connects_once(server: Server, hook: Callable[..., PushEmailHook]) -> None:
    account = hook()

    assert account.get_conn() is account.get_conn() is account
    account.__exit__(None, None, None)

    assert server.logins == [USER.encode()]


def test_get_conn_raises_our_errors(hook: Callable[..., PushEmailHook], closed_port: int) -> None:
    with pytest.raises(ConfigurationError):
        hook(password=WRONG).get_conn()
    with pytest.raises(ProviderUnavailable):
        hook(port=closed_port).get_conn()


def test_the_parent_reads_the_resolved_account(hook: Callable[..., PushEmailHook]) -> None:
    account = hook({"timeout": 0.2, "from_email": "sale@example.com"}, host=None, port=None, login="me@qq.com")

    assert account.config.tls is Tls.IMPLICIT
    assert (account.host, account.port, account.use_ssl, account.smtp_starttls) == (
        "smtp.qq.com",
        465,
        True,
        False,
    )
    assert (account.smtp_user, account.smtp_password) == ("me@qq.com", PASSWORD)
    assert (account.from_email, account.timeout) == ("sale@example.com", 1)


@pytest.mark.parametrize(
    ("fields", "extra", "use_ssl", "starttls"),
    [
        ({"host": "mx.example", "port": 587}, {}, False, True),
        ({"host": "127.0.0.1", "port": 587}, {}, False, True),
        ({"host": "mx.example", "port": 25}, {"ignore_tls": True}, False, False),
    ],
)
def test_the_parent_s_tls(
    fields: dict[str, Any],
    extra: dict[str, Any],
    use_ssl: bool,
    starttls: bool,
    hook: Callable[..., PushEmailHook],
) -> None:
    account = hook(extra, **fields)

    assert (account.use_ssl, account.smtp_starttls) == (use_ssl, starttls)


def test_the_asynchronous_way_of_the_parent(server: Server, hook: Callable[..., PushEmailHook]) -> None:
    async def send() -> None:
        async with hook({"ignore_tls": True}) as account:
            await account.asend_email_smtp(to="a@example.org", subject="Hello", html_content="Hi")

    asyncio.run(send())

    assert [mail["X-RcptTo"] for mail in server.mailbox.mails] == ["a@example.org"]
    assert server.logins == [USER.encode()]


def test_sending_without_connecting_is_an_error(hook: Callable[..., PushEmailHook]) -> None:
    with pytest.raises(AirflowException, match="initialized"):
        hook().send_email_smtp(to="a@example.org", subject="Hello", html_content="Hi")
