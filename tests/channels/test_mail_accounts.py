"""From a connection to a mail account: services, precedence, lenient reading, errors and secrets."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import Connection
from raw_http import endless, serving

from push_provider.channels.email import account
from push_provider.channels.email.account import email_config, get_email_connection
from push_provider.channels.email.services import service_names
from push_provider.channels.email.smtp_config import SmtpConfig, Tls
from push_provider.exceptions import ConfigurationError, ProviderUnavailable

PASSWORD = "fzqyxwvutsrqponm"
TOKEN = "ya29.token-of-nobody"


def push_email(extra: dict[str, Any] | str | None = None, **fields: Any) -> Connection:
    """A push_email connection as Airflow hands it over."""
    values = {"login": "shop@example.com", "password": PASSWORD, **fields}
    text = extra if isinstance(extra, str) else json.dumps(extra or {})
    return Connection(conn_id="account", **{"conn_type": "push_email", **values}, extra=text)


def smtp(extra: dict[str, Any] | None = None, **fields: Any) -> Connection:
    """A connection of the SMTP provider's type."""
    values = {"login": "shop@example.com", "password": PASSWORD, "host": "mail.example.com", **fields}
    return Connection(conn_id="account", **{"conn_type": "smtp", **values}, extra=json.dumps(extra or {}))


def server(config: SmtpConfig) -> tuple[str, int, str]:
    """Where, and how protected."""
    return config.host, config.port, config.tls.value


# --- every service: with a password, as people use them -------------------------------------------------

SERVICES: list[tuple[str, list[str], list[str], str, int, str, str | None]] = [
    # key, other ways to write key and aliases, domains -> host, port, TLS, login method
    ("1und1", ["1UND1", " 1 und 1 "], [], "smtp.1und1.de", 465, "implicit", "LOGIN"),
    ("AOL", ["aol", "A O L"], ["aol.com"], "smtp.aol.com", 587, "required", None),
    ("DebugMail", ["debug mail"], [], "debugmail.io", 25, "required", None),
    ("DynectEmail", ["DYNECT EMAIL", "dynect"], [], "smtp.dynect.net", 25, "required", None),
    ("FastMail", ["fast mail"], ["fastmail.fm"], "mail.messagingengine.com", 465, "implicit", None),
    ("GandiMail", ["GANDIMAIL", "gandi", "gandi mail"], [], "mail.gandi.net", 587, "required", None),
    (
        "Gmail",
        ["gMAIL", "google mail"],
        ["gmail.com", "googlemail.com"],
        "smtp.gmail.com",
        465,
        "implicit",
        None,
    ),
    ("Godaddy", ["go daddy"], [], "smtpout.secureserver.net", 25, "required", None),
    ("GodaddyAsia", ["godaddy asia"], [], "smtp.asia.secureserver.net", 25, "required", None),
    ("GodaddyEurope", ["GoDaddy Europe"], [], "smtp.europe.secureserver.net", 25, "required", None),
    ("hot.ee", ["HOT.EE"], ["hot.ee"], "mail.hot.ee", 587, "required", None),
    (
        "Hotmail",
        ["hot mail", "outlook", "OUTLOOK.com", "hotmail.COM"],
        ["hotmail.com", "outlook.com"],
        "smtp.live.com",
        587,
        "required",
        None,
    ),
    ("iCloud", ["ICLOUD", "me", "mac"], ["me.com", "mac.com"], "smtp.mail.me.com", 587, "required", None),
    ("mail.ee", ["Mail.EE"], ["mail.ee"], "smtp.mail.ee", 587, "required", None),
    ("Mail.ru", ["mail.RU"], ["mail.ru"], "smtp.mail.ru", 465, "implicit", None),
    ("Maildev", ["MAIL DEV"], [], "localhost", 1025, "none", None),
    ("Mailgun", ["mail gun"], [], "smtp.mailgun.org", 465, "implicit", None),
    ("Mailjet", ["mailJET"], [], "in.mailjet.com", 587, "required", None),
    ("Mailosaur", ["mailosaur "], [], "mailosaur.io", 25, "required", None),
    ("Mandrill", ["mandrill"], [], "smtp.mandrillapp.com", 587, "required", None),
    ("Naver", ["NAVER"], [], "smtp.naver.com", 587, "required", None),
    (
        "OpenMailBox",
        ["open mail box", "omb"],
        ["openmailbox.org"],
        "smtp.openmailbox.org",
        465,
        "implicit",
        None,
    ),
    ("Outlook365", ["outlook 365"], [], "smtp.office365.com", 587, "required", None),
    ("Postmark", ["postmark", "postmark app"], [], "smtp.postmarkapp.com", 2525, "required", None),
    ("QQ", ["qq", " q q"], ["qq.com"], "smtp.qq.com", 465, "implicit", None),
    ("QQex", ["qqEX", "qq enterprise"], ["exmail.qq.com"], "smtp.exmail.qq.com", 465, "implicit", None),
    ("SendCloud", ["send cloud"], [], "smtpcloud.sohu.com", 25, "required", None),
    ("SendGrid", ["send grid"], [], "smtp.sendgrid.net", 587, "required", None),
    ("SendinBlue", ["sendinblue"], [], "smtp-relay.sendinblue.com", 587, "required", None),
    ("SES", ["ses"], [], "email-smtp.us-east-1.amazonaws.com", 465, "implicit", None),
    ("SES-US-EAST-1", ["ses-us-east-1"], [], "email-smtp.us-east-1.amazonaws.com", 465, "implicit", None),
    ("SES-US-WEST-2", ["ses-us-west-2"], [], "email-smtp.us-west-2.amazonaws.com", 465, "implicit", None),
    ("SES-EU-WEST-1", ["ses-eu-west-1"], [], "email-smtp.eu-west-1.amazonaws.com", 465, "implicit", None),
    (
        "Sparkpost",
        ["SPARKPOST", "spark post mail"],
        ["sparkpost.com"],
        "smtp.sparkpostmail.com",
        587,
        "required",
        None,
    ),
    ("Tipimail", ["tipi mail"], [], "smtp.tipimail.com", 587, "required", None),
    ("Yahoo", ["yahoo"], ["yahoo.com"], "smtp.mail.yahoo.com", 465, "implicit", None),
    ("Yandex", ["yandex"], ["yandex.ru"], "smtp.yandex.ru", 465, "implicit", None),
    ("Zoho", ["ZOHO"], [], "smtp.zoho.com", 465, "implicit", "LOGIN"),
    ("126", ["1 2 6"], [], "smtp.126.com", 465, "implicit", None),
    ("163", [" 163"], [], "smtp.163.com", 465, "implicit", None),
    ("qiye.aliyun", ["QIYE.aliyun"], [], "smtp.mxhichina.com", 465, "implicit", None),
    ("One", ["ONE"], [], "send.one.com", 465, "implicit", None),
    ("DREAMHOST-SUB-0", ["dreamhost-sub-0"], [], "smtp.dreamhost.com", 465, "implicit", None),
    ("DREAMHOST-SUB-3", ["dreamhost-sub-3"], [], "sub3.mail.dreamhost.com", 465, "implicit", None),
    ("DREAMHOST-SUB-4", ["dreamhost-sub-4"], [], "sub4.mail.dreamhost.com", 465, "implicit", None),
    ("DREAMHOST-SUB-5", ["dreamhost-sub-5"], [], "sub5.mail.dreamhost.com", 465, "implicit", None),
    ("DREAMHOST-MASTER", ["DreamHost-Master"], [], "homie.mail.dreamhost.com", 465, "implicit", None),
]


def test_the_table_has_every_service() -> None:
    assert [row[0] for row in SERVICES] == service_names()


@pytest.mark.parametrize(
    ("name", "host", "port", "tls", "method"),
    [(name, *row[3:]) for row in SERVICES for name in (row[0], *row[1], *row[2])],
)
def test_a_service_fills_in_the_server(name: str, host: str, port: int, tls: str, method: str | None) -> None:
    config = email_config(push_email({"service": name}))

    assert server(config) == (host, port, tls)
    assert config.auth_method == method
    assert config.ciphers is None  # Hotmail's SSLv3 would end every TLS 1.2 handshake
    assert (config.user, config.password, config.verify) == ("shop@example.com", PASSWORD, True)


@pytest.mark.parametrize(
    ("domain", "host", "port", "tls"), [(domain, *row[3:6]) for row in SERVICES for domain in row[2]]
)
def test_the_login_s_domain_finds_the_service(domain: str, host: str, port: int, tls: str) -> None:
    config = email_config(push_email({"service": ""}, login=f"Shop@{domain.upper()}", host="", port=None))

    assert server(config) == (host, port, tls)
    assert config.from_email == f"Shop@{domain}"


# --- precedence -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "extra", "expected"),
    [
        # What is given wins over the service.
        ({"host": "relay.example.com"}, {"service": "QQ"}, ("relay.example.com", 465, "implicit")),
        ({"host": "maildev"}, {"service": "Maildev"}, ("maildev", 1025, "none")),
        ({"host": "in.hot.ee"}, {"service": "hot.ee"}, ("in.hot.ee", 587, "required")),
        ({"port": 994}, {"service": "163"}, ("smtp.163.com", 994, "implicit")),
        ({"port": 2587}, {"service": "SendGrid"}, ("smtp.sendgrid.net", 2587, "required")),
        ({}, {"service": "QQ", "ignore_tls": True}, ("smtp.qq.com", 465, "implicit")),
        ({}, {"service": "AOL", "ignore_tls": True}, ("smtp.aol.com", 587, "none")),
        ({}, {"service": "Maildev", "ignore_tls": False}, ("localhost", 1025, "opportunistic")),
        # A port settles TLS where no other can be meant ...
        ({"port": 587}, {"service": "QQ"}, ("smtp.qq.com", 587, "required")),
        ({"port": 25}, {"service": "Gmail"}, ("smtp.gmail.com", 25, "required")),
        ({"port": 465}, {"service": "SendGrid"}, ("smtp.sendgrid.net", 465, "implicit")),
        ({"port": 465}, {"service": "Outlook365"}, ("smtp.office365.com", 465, "implicit")),
        ({"port": 465}, {"service": "hot.ee"}, ("mail.hot.ee", 465, "implicit")),
        # ... and a service's port goes with its own setting only.
        ({}, {"service": "QQ", "secure": False}, ("smtp.qq.com", 587, "required")),
        ({}, {"service": "QQ", "secure": True}, ("smtp.qq.com", 465, "implicit")),
        ({}, {"service": "SendGrid", "secure": True}, ("smtp.sendgrid.net", 465, "implicit")),
        ({}, {"service": "Postmark", "secure": False}, ("smtp.postmarkapp.com", 2525, "required")),
        ({}, {"service": "mail.ee", "secure": True}, ("smtp.mail.ee", 465, "implicit")),
        # Both given: so be it.
        ({"port": 465}, {"service": "QQ", "secure": False}, ("smtp.qq.com", 465, "required")),
        ({"port": 587}, {"service": "QQ", "secure": True}, ("smtp.qq.com", 587, "implicit")),
        # A named service wins over the login's domain, a host leaves the domain alone.
        ({"login": "me@qq.com"}, {"service": "Gmail"}, ("smtp.gmail.com", 465, "implicit")),
        ({"login": "me@qq.com", "host": "mx.example"}, {}, ("mx.example", 587, "required")),
        ({"login": "me@qq.com", "port": 587}, {}, ("smtp.qq.com", 587, "required")),
        # No service.
        ({"host": "mx.example"}, {}, ("mx.example", 587, "required")),
        ({"host": "mx.example"}, {"secure": True}, ("mx.example", 465, "implicit")),
        ({"host": "mx.example"}, {"secure": False}, ("mx.example", 587, "required")),
        ({"host": "mx.example", "port": 465}, {}, ("mx.example", 465, "implicit")),
        ({"host": "mx.example", "port": 2525}, {}, ("mx.example", 2525, "required")),
        ({"host": "mx.example", "port": 1025}, {"ignore_tls": True}, ("mx.example", 1025, "none")),
        ({"host": "mx.example"}, {"secure": True, "ignore_tls": True}, ("mx.example", 465, "implicit")),
        # A password is sent to another machine under TLS only; without one, TLS is a matter of the server.
        ({"host": "mx.example", "password": None}, {}, ("mx.example", 587, "opportunistic")),
        ({"host": "mx.example", "password": ""}, {}, ("mx.example", 587, "opportunistic")),
        ({"host": "localhost"}, {}, ("localhost", 587, "opportunistic")),
        ({"host": "mail.localhost."}, {}, ("mail.localhost.", 587, "opportunistic")),
        ({"host": "127.8.9.1"}, {}, ("127.8.9.1", 587, "opportunistic")),
        ({"host": "[::1]"}, {}, ("::1", 587, "opportunistic")),
        ({"host": "10.0.0.7"}, {}, ("10.0.0.7", 587, "required")),
        ({"host": "notlocalhost"}, {}, ("notlocalhost", 587, "required")),
        ({"host": "localhost.example"}, {}, ("localhost.example", 587, "required")),
    ],
)
def test_what_wins(fields: dict[str, Any], extra: dict[str, Any], expected: tuple[str, int, str]) -> None:
    assert server(email_config(push_email(extra, **fields))) == expected


@pytest.mark.parametrize("make", [push_email, smtp])
def test_a_host_outside_ascii_is_the_one_that_dns_has(make: Any) -> None:
    """Not strasse.de, which Python's sockets would look up (IDNA 2003), and give the password to."""
    assert email_config(make({}, host="mail.straße.de")).host == "mail.xn--strae-oqa.de"


# --- lenient reading ------------------------------------------------------------------------------------


@pytest.mark.parametrize("nothing", [None, "", "  "])
def test_an_empty_field_is_not_given(nothing: str | None) -> None:
    names = (
        "service",
        "secure",
        "ignore_tls",
        "auth_method",
        "from_email",
        "from_name",
        "max_connections",
        "messages_per_connection",
        "timeout",
        "enabled",
        "is_default",
        "rate_limit",
        "ssl_context",
        "ciphers",
        "auth_type",
    )

    config = email_config(push_email(dict.fromkeys(names, nothing), login="me@qq.com", host=nothing))

    assert config == SmtpConfig(
        connection="account",
        host="smtp.qq.com",
        port=465,
        tls=Tls.IMPLICIT,
        user="me@qq.com",
        password=PASSWORD,
        from_email="me@qq.com",
        max_connections=4,
        timeout=30.0,
        content_timeout=600.0,
    )


@pytest.mark.parametrize(
    ("extra", "attribute", "value"),
    [
        ({"secure": "true"}, "tls", Tls.IMPLICIT),
        ({"secure": " TRUE "}, "tls", Tls.IMPLICIT),
        ({"secure": "1"}, "tls", Tls.IMPLICIT),
        ({"secure": 1}, "tls", Tls.IMPLICIT),
        ({"secure": "yes"}, "tls", Tls.IMPLICIT),
        ({"secure": "false", "ignore_tls": "on"}, "tls", Tls.NONE),
        ({"secure": 0}, "tls", Tls.REQUIRED),
        ({"ignore_tls": "False"}, "tls", Tls.REQUIRED),
        ({"service": 163}, "tls", Tls.IMPLICIT),
        ({"auth_method": "plain"}, "auth_method", "PLAIN"),
        ({"auth_method": "cram_md5"}, "auth_method", "CRAM-MD5"),
        ({"service": "Zoho", "auth_method": "PLAIN"}, "auth_method", "PLAIN"),
        ({"max_connections": "8"}, "max_connections", 8),
        ({"max_connections": 2.0}, "max_connections", 2),
        ({"messages_per_connection": "100"}, "messages_per_connection", 100),
        ({"timeout": "12.5"}, "timeout", 12.5),
        ({"timeout": 5}, "timeout", 5.0),
        ({"timeout": 5}, "content_timeout", None),
        ({}, "content_timeout", 600.0),
        ({"timeout": 30}, "content_timeout", 600.0),
        ({"enabled": "true"}, "host", "mx.example"),
        ({"from_name": " 小店 "}, "from_name", "小店"),
        ({"from_name": "小\u3000店"}, "from_name", "小\u3000店"),
        ({"from_email": "Sale@Example.COM"}, "from_email", "Sale@example.com"),
        ({"from_email": "Sale <sale@example.com>"}, "from_email", "sale@example.com"),
        ({"from_email": "Sale <sale@example.com>"}, "from_name", "Sale"),
        ({"from_email": "Sale <sale@example.com>", "from_name": "Shop"}, "from_name", "Shop"),
        ({"from_email": '"Sale" <sale@example.com>'}, "from_name", "Sale"),
        ({"from_email": "<sale@example.com>"}, "from_email", "sale@example.com"),
        ({"from_email": "me@例子.cn"}, "from_email", "me@xn--fsqu00a.cn"),
        ({"ssl_context": "none"}, "verify", False),
        ({"ssl_context": "default"}, "verify", True),
        ({"ciphers": "DEFAULT:@SECLEVEL=1"}, "ciphers", "DEFAULT:@SECLEVEL=1"),
        ({"unknown": {"nested": 1}}, "port", 587),
    ],
)
def test_values_are_read_as_meant(extra: dict[str, Any], attribute: str, value: object) -> None:
    config = email_config(push_email(extra, host="mx.example"))

    assert getattr(config, attribute) == value
    assert type(getattr(config, attribute)) is type(value)


@pytest.mark.parametrize(("port", "expected"), [("2465", 2465), (" 25 ", 25), (0, 587), ("0", 587), (None, 587)])
def test_a_port_as_text_is_a_number(port: Any, expected: int) -> None:
    assert email_config(push_email(host="mx.example", port=port)).port == expected


@pytest.mark.parametrize(
    ("login", "password", "user"),
    [
        ("shop@example.com", None, None),
        (None, None, None),
        ("relay", PASSWORD, "relay"),
        (" relay ", "x", "relay"),
    ],
)
def test_login_needs_a_password(login: str | None, password: str | None, user: str | None) -> None:
    config = email_config(
        push_email({"from_email": "a@example.com"}, host="mx.example", login=login, password=password)
    )

    assert (config.user, config.password) == (user, password if user else None)


# --- errors ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("connection", "words"),
    [
        (push_email(), ["'host'", "empty", "service"]),
        (push_email(login="me@163.com"), ["'host'", "'163'"]),
        (push_email(login=None), ["'host'"]),
        (push_email({"service": "gmial"}), ["'service'", "'gmial'", "'Gmail'"]),
        (push_email({"service": "完全不同"}), ["'service'", "host"]),
        (push_email({"service": ["QQ"]}), ["'service'", "text"]),
        (push_email({"secure": "perhaps"}, host="h"), ["'secure'", "true or false"]),
        (push_email({"secure": 2}, host="h"), ["'secure'", "true or false"]),
        (push_email({"ignore_tls": [1]}, host="h"), ["'ignore_tls'"]),
        (push_email({"enabled": "maybe"}, host="h"), ["'enabled'"]),
        (push_email({"auth_method": "NTLM"}, host="h"), ["'auth_method'", "CRAM-MD5"]),
        (push_email({"max_connections": 0}, host="h"), ["'max_connections'", "1 to 64"]),
        (push_email({}, host="mail.-ß.de"), ["'host'", "mail.-ß.de"]),
        (push_email({"messages_per_connection": 0}, host="h"), ["'messages_per_connection'", "1 to 1000000"]),
        (push_email({"max_connections": 1.5}, host="h"), ["'max_connections'"]),
        (push_email({"max_connections": True}, host="h"), ["'max_connections'"]),
        (push_email({"max_connections": "many"}, host="h"), ["'max_connections'"]),
        (push_email({"timeout": -1}, host="h"), ["'timeout'", "seconds"]),
        (push_email({"timeout": "nan"}, host="h"), ["'timeout'"]),
        (push_email({"timeout": "inf"}, host="h"), ["'timeout'"]),
        (push_email({"timeout": True}, host="h"), ["'timeout'"]),
        (push_email({"ssl_context": "off"}, host="h"), ["'ssl_context'", "'none'"]),
        (push_email({"ciphers": "NO-SUCH"}, host="h"), ["'ciphers'", "OpenSSL"]),
        (push_email({"from_name": "a\r\nBcc: x@y.example"}, host="h"), ["'from_name'", "one line"]),
        (push_email({"from_name": "a\x00b"}, host="h"), ["'from_name'"]),
        (push_email({"from_email": '"a\r\nBcc: c@d.example" <a@b.example>'}, host="h"), ["'from_email'"]),
        (push_email({"auth_type": "oauth2", "access_token": ["x"]}, host="h"), ["'access_token'"]),
        (push_email({"from_email": '"c@d.example" a@b.example'}, host="h"), ["'from_email'"]),
        (push_email({"from_email": "x <a@b.example> <c@d.example>"}, host="h"), ["'from_email'"]),
        (push_email({"from_email": "nobody"}, host="h"), ["'from_email'", "'nobody'"]),
        (push_email({"from_email": "a@b.example\r\nBcc: c@d.example"}, host="h"), ["'from_email'"]),
        (push_email(host="h", login="relay"), ["'from_email'", "sender's address"]),
        (push_email({"from_email": "a@b.example"}, host="h", login=""), ["'login'", "authUser"]),
        (push_email(host="smtps://mail.example.com"), ["'host'", "smtp.qq.com"]),
        (push_email(host="mail.example.com:465"), ["'host'", "port"]),
        (push_email(host="mail example"), ["'host'"]),
        (push_email(host="h", port=65536), ["'port'", "1 to 65535"]),
        (push_email(host="h", port=-1), ["'port'"]),
        (push_email(host="h", port="smtps"), ["'port'"]),
        (push_email("{broken", host="h"), ["'extra'", "JSON"]),
        (push_email("[1]", host="h"), ["'extra'", "JSON"]),
        (push_email({"enabled": False}, host="h"), ["disabled", "enable it"]),
        (push_email({"enabled": "false", "service": "broken"}), ["disabled", "enable it"]),
        (push_email(host="h", conn_type="imap"), ["'type'", "'imap'", "'push_email'"]),
        (push_email(host="h", conn_type=None), ["'type'"]),
        (push_email({"auth_type": "digest"}, host="h"), ["'auth_type'", "'oauth2'"]),
        (push_email({"auth_type": "oauth2"}, host="h"), ["'auth_type'", "access_token"]),
        (smtp(host=None), ["'host'"]),
        (smtp({"enabled": False}), ["disabled"]),
        (smtp({"ssl_context": "yes"}), ["'ssl_context'"]),
        (smtp(login=None), ["'from_email'"]),
    ],
)
def test_an_error_names_connection_field_and_remedy(connection: Connection, words: list[str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        email_config(connection)

    text = str(caught.value)
    assert "'account'" in text
    assert [word for word in words if word not in text] == []


# --- the SMTP provider's own connections ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("extra", "port", "expected"),
    [
        ({}, None, (465, "implicit")),
        ({}, 2465, (2465, "implicit")),
        ({"disable_tls": True}, None, (465, "implicit")),
        ({"disable_ssl": True}, None, (25, "required")),
        ({"disable_ssl": True}, 587, (587, "required")),
        ({"disable_ssl": True, "disable_tls": True}, None, (25, "none")),
        ({"disable_ssl": "true", "disable_tls": "false"}, 587, (587, "required")),
        ({"disable_ssl": None, "disable_tls": ""}, None, (465, "implicit")),
        ({"service": "QQ", "secure": False}, None, (465, "implicit")),  # not fields of this type
    ],
)
def test_smtp_connections_mean_what_the_smtp_provider_says(
    extra: dict[str, Any], port: int | None, expected: tuple[int, str]
) -> None:
    assert server(email_config(smtp(extra, port=port))) == ("mail.example.com", *expected)


def test_an_smtp_connection_in_full() -> None:
    extra = {
        "from_email": "Sale <sale@example.com>",
        "timeout": "7",
        "ssl_context": "none",
        "retry_limit": 3,
        "max_connections": 2,
    }

    assert email_config(smtp(extra, port=465)) == SmtpConfig(
        connection="account",
        host="mail.example.com",
        port=465,
        tls=Tls.IMPLICIT,
        user="shop@example.com",
        password=PASSWORD,
        from_email="sale@example.com",
        from_name="Sale",
        max_connections=2,
        timeout=7.0,
        verify=False,
    )


@pytest.mark.parametrize(("login", "password"), [("shop", ""), ("shop", None), (None, PASSWORD), ("", PASSWORD)])
def test_half_a_login_of_smtp_is_none(login: str | None, password: str | None) -> None:
    config = email_config(smtp({"from_email": "a@example.com"}, login=login, password=password))

    assert (config.user, config.password) == (None, None)


# --- OAuth 2 --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [smtp, push_email])
@pytest.mark.parametrize(
    ("login", "extra", "user"),
    [
        ("shop@example.com", {}, "shop@example.com"),
        (None, {"from_email": "sale@example.com"}, "sale@example.com"),
    ],
)
def test_oauth2_takes_the_token_that_is_given(make: Any, login: str, extra: dict[str, Any], user: str) -> None:
    extra = {"auth_type": "oauth2", "access_token": TOKEN, **extra}

    config = email_config(make(extra, host="mail.example.com", login=login))

    assert (config.user, config.access_token, config.password) == (user, TOKEN, None)


def test_xoauth2_as_login_method_is_oauth2() -> None:
    config = email_config(push_email({"service": "Gmail", "auth_method": "xoauth2", "access_token": TOKEN}))

    assert (config.access_token, config.password, config.auth_method) == (TOKEN, None, None)


def test_a_token_too_goes_to_another_machine_under_tls_only() -> None:
    extra = {"auth_type": "oauth2", "access_token": TOKEN}

    assert email_config(push_email(extra, host="mx.example", password=None)).tls is Tls.REQUIRED
    assert email_config(push_email(extra, host="localhost", password=None)).tls is Tls.OPPORTUNISTIC


CLIENT = {
    "auth_type": "oauth2",
    "access_token": "",
    "client_id": "client",
    "client_secret": PASSWORD,
    "tenant_id": "",
    "scope": None,
}


@pytest.fixture
def msal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Microsoft's library, which the project does not install, as the SMTP provider uses it."""

    def install(body: str) -> None:
        (tmp_path / "msal.py").write_text(
            "import requests\n"
            "class ConfidentialClientApplication:\n"
            "    def __init__(self, **given):\n"
            "        self.given = given\n"
            "    def acquire_token_for_client(self, scopes):\n"
            f"        {body}\n"
        )
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "msal", raising=False)

    yield install
    sys.modules.pop("msal", None)


def test_oauth2_fetches_a_token_with_the_provider_s_defaults(msal: Any) -> None:
    msal("return {'access_token': self.given['authority'] + ' ' + scopes[0]}")

    config = email_config(smtp(CLIENT))

    assert config.access_token == ("https://login.microsoftonline.com/common https://outlook.office.com/.default")


def test_oauth2_refused_is_a_wrong_configuration_without_the_secret(msal: Any) -> None:
    msal("return {'error_description': 'invalid client secret ' + self.given['client_credential']}")

    with pytest.raises(ConfigurationError, match=r"'auth_type'.*invalid client secret \*\*\*"):
        email_config(smtp(CLIENT))


def test_an_oauth2_server_out_of_reach_is_tried_again(msal: Any) -> None:
    msal("raise requests.ConnectionError('no route')")

    with pytest.raises(ProviderUnavailable, match="OAuth 2 server"):
        email_config(smtp(CLIENT))


def test_an_oauth2_server_that_never_ends_is_given_up(msal: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account, "_TOKEN_SECONDS", 0.3)
    with serving(endless(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n", b"x", 0.05)) as (url, asked):
        msal(f"return self.given['http_client'].post({url!r}, data=dict()).json()")
        with pytest.raises(ProviderUnavailable, match=r"OAuth 2 server \(ReadTimeout\)"):
            email_config(smtp(CLIENT))
    assert len(asked) == 1


def test_oauth2_without_its_library_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "msal", None)

    with pytest.raises(ConfigurationError, match="'msal'"):
        email_config(smtp(CLIENT))


# --- looking connections up -----------------------------------------------------------------------------


def test_a_connection_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    account = {
        "conn_type": "push-email",
        "login": "me@qq.com",
        "password": PASSWORD,
        "extra": {"max_connections": "2", "from_name": "小店"},
    }
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", json.dumps(account))

    config = email_config(get_email_connection("shop"))

    assert (config.connection, config.host, config.max_connections) == ("shop", "smtp.qq.com", 2)
    assert (config.from_name, config.password) == ("小店", PASSWORD)


def test_a_connection_written_as_uri(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "AIRFLOW_CONN_SHOP",
        f"push-email://me%40example.com:{PASSWORD}@mx.example:465/?timeout=9&from_name=Shop",
    )

    config = email_config(get_email_connection("shop"))

    assert server(config) == ("mx.example", 465, "implicit")
    assert (config.user, config.timeout, config.from_name) == ("me@example.com", 9.0, "Shop")


@pytest.mark.parametrize("nothing", [None, ""])
def test_without_a_name_it_is_the_default_connection(nothing: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_PUSH_EMAIL_DEFAULT", json.dumps({"conn_type": "push_email"}))

    assert get_email_connection(nothing).conn_id == "push_email_default"
    monkeypatch.setenv("AIRFLOW_CONN_MARKED", "push-email://")
    assert get_email_connection(nothing, "marked").conn_id == "marked"


@pytest.mark.parametrize(("config", "conn_id"), [(None, "push_email_default"), ("nonesuch", "nonesuch")])
def test_a_missing_connection_is_an_error_with_the_remedy(config: str | None, conn_id: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        get_email_connection(config)

    text = str(caught.value)
    for words in (repr(conn_id), "Admin > Connections", f"airflow connections add {conn_id}", "push_email"):
        assert words in text
    assert ("default" in text.partition("there is")[0]) == (config is None)


# --- secrets --------------------------------------------------------------------------------------------


def test_a_config_shows_no_secret() -> None:
    configs = [
        email_config(push_email({"service": "QQ"})),
        email_config(push_email({"service": "QQ", "auth_type": "oauth2", "access_token": TOKEN})),
    ]

    for config in configs:
        for text in (repr(config), str(config), f"{config}"):
            assert PASSWORD not in text
            assert TOKEN not in text


@pytest.mark.parametrize(
    "connection",
    [
        push_email({"access_token": TOKEN, "client_secret": TOKEN}),
        push_email({"service": "nonesuch", "access_token": TOKEN}),
        push_email('{"access_token": "' + TOKEN, host="h"),
        push_email({"access_token": [TOKEN], "auth_type": "oauth2", "timeout": "x"}, host="h"),
        push_email({"client_secret": TOKEN, "auth_type": "oauth2"}, host="h"),
        push_email({"enabled": False, "access_token": TOKEN}, host="h"),
        push_email({"from_email": "?", "access_token": TOKEN}, host="h"),
        push_email({"access_token": TOKEN}, host="h", port="x"),
        push_email({"access_token": TOKEN}, host="h", login=None),
        push_email({"access_token": TOKEN}, conn_type="http"),
        smtp({"access_token": TOKEN}, host=""),
    ],
)
def test_no_error_and_no_log_holds_a_secret(connection: Connection, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    with pytest.raises(ConfigurationError) as caught:
        email_config(connection)

    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + caplog.text
    assert PASSWORD not in shown
    assert TOKEN not in shown
