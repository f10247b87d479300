"""From a connection to an Aliyun account, and what Airflow's test of it finds out from the gateway."""

from __future__ import annotations

import json
import re
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import Connection
from raw_http import endless, serving, whole

from push_provider.channels.sms import aliyun_check
from push_provider.channels.sms.aliyun_account import aliyun_config, placeholders
from push_provider.channels.sms.aliyun_client import AliyunClient
from push_provider.channels.sms.aliyun_config import AliyunConfig, TemplateKind
from push_provider.connections.unanswered import NoAnswer, NotSent
from push_provider.exceptions import ConfigurationError
from push_provider.hooks.aliyun_sms import PushAliyunSmsHook
from sandbox.sms_account import Sign, Template

SECRET = "a-secret-that-nobody-sees"


def sms(extra: dict[str, Any] | str | None = None, **fields: Any) -> Connection:
    """A connection as Airflow hands it over."""
    values = {"conn_type": "push_aliyun_sms", "login": "LTAI5t", "password": SECRET, "port": 443, **fields}
    return Connection(conn_id="account", **values, extra=extra if isinstance(extra, str) else json.dumps(extra or {}))


def test_what_is_left_out() -> None:
    config = aliyun_config(sms())
    assert config == AliyunConfig(connection="account", access_key_id="LTAI5t", access_key_secret=SECRET)
    assert (config.region, config.endpoint, config.secure) == ("cn-hangzhou", None, True)
    assert (config.max_connections, config.timeout) == (8, 10.0)
    assert SECRET not in repr(config)


def test_all_fields_as_text() -> None:
    extra = {
        "sign_name": " 推送平台 ",
        "template_code": "SMS_1",
        "template_kind": "International",
        "params_note": "name, order",
        "region": "ap-southeast-1",
        "endpoint": "",
        "max_connections": "8",
        "timeout": "2.5",
        "enabled": "true",
    }
    config = aliyun_config(sms(extra, login=" LTAI5t ", password=f"{SECRET}\n"))
    assert (config.access_key_id, config.access_key_secret) == ("LTAI5t", SECRET)
    assert (config.sign_name, config.template_code) == ("推送平台", "SMS_1")
    assert config.template_kind is TemplateKind.INTERNATIONAL
    assert (config.region, config.endpoint, config.max_connections, config.timeout) == ("ap-southeast-1", None, 8, 2.5)


def test_what_a_copy_brings_along_is_dropped() -> None:
    extra = {"sign_name": "\ufeff推送平台\u200b", "template_code": "\u202dSMS_1\u202c"}
    config = aliyun_config(sms(extra, login="\u2068LTAI5t\u2069", password=f"\u200b{SECRET}\u00a0"))
    assert (config.access_key_id, config.access_key_secret) == ("LTAI5t", SECRET)
    assert (config.sign_name, config.template_code) == ("推送平台", "SMS_1")


@pytest.mark.parametrize(
    ("endpoint", "port", "expected"),
    [
        ("dysmsapi.aliyuncs.com", 443, ("dysmsapi.aliyuncs.com", True)),
        ("https://dysmsapi.aliyuncs.com/", None, ("dysmsapi.aliyuncs.com", True)),
        ("dysmsapi.aliyuncs.com:8443", 443, ("dysmsapi.aliyuncs.com:8443", True)),
        ("dysmsapi.aliyuncs.com", 8443, ("dysmsapi.aliyuncs.com:8443", True)),
        ("http://127.0.0.1:8026", 443, ("127.0.0.1:8026", False)),
        ("http://localhost:8026/", None, ("localhost:8026", False)),
        ("http://[::1]:8026", None, ("[::1]:8026", False)),
    ],
)
def test_endpoints(endpoint: str, port: int | None, expected: tuple[str, bool]) -> None:
    config = aliyun_config(sms({"endpoint": endpoint}, port=port))
    assert (config.endpoint, config.secure) == expected


@pytest.mark.parametrize(
    ("fields", "extra", "message"),
    [
        ({"conn_type": "push_email"}, {}, "field 'type' is 'push_email'; SMS go through 'push_aliyun_sms'"),
        ({}, {"enabled": False}, "is disabled; enable it under Admin > Connections"),
        ({"login": ""}, {}, "field 'login' is empty; enter the access key id"),
        ({"password": None}, {}, "field 'password' is empty; enter the access key secret"),
        ({}, {"region": "Hangzhou"}, "field 'region' is 'Hangzhou'; it takes a region id such as cn-hangzhou"),
        ({}, {"endpoint": "http://dysmsapi.aliyuncs.com"}, "http:// is for this machine only, use https://"),
        ({}, {"endpoint": "ftp://127.0.0.1"}, "field 'endpoint' is 'ftp://127.0.0.1'; it takes a host such as"),
        ({}, {"endpoint": "https://user@host"}, "field 'endpoint' is"),
        ({}, {"endpoint": "https://host/path"}, "field 'endpoint' is"),
        ({}, {"endpoint": "host:99999999"}, "field 'endpoint' is"),
        ({}, {"endpoint": "ho st"}, "field 'endpoint' is"),
        ({}, {"sign_name": "a\nb"}, "field 'sign_name' must be one line"),
        ({}, {"template_code": ["SMS_1"]}, "field 'template_code' takes text"),
        ({}, {"template_kind": "abroad"}, "'template_kind' is 'abroad'; it takes 'mainland' or 'international'"),
        ({}, {"max_connections": 99}, "field 'max_connections' is 99; it takes a whole number from 1 to 32"),
        ({}, {"timeout": -1}, "field 'timeout' is -1; it takes a number of seconds above 0"),
        ({}, "{", "field 'extra' is not a JSON object"),
    ],
)
def test_what_is_wrong(fields: dict[str, Any], extra: Any, message: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        aliyun_config(sms(extra, **fields))
    assert f"Connection 'account': {message}" in str(refused.value) or message in str(refused.value)
    assert SECRET not in str(refused.value)


def test_a_missing_connection_says_how_to_make_it() -> None:
    hook = PushAliyunSmsHook("nowhere")
    good, text = hook.test_connection()
    assert not good
    assert "there is no connection 'nowhere'" in text
    assert "airflow connections add nowhere --conn-type push_aliyun_sms" in text


def test_placeholders() -> None:
    assert placeholders("尊敬的${name}，订单${ order }：${name} $5 ${}") == {"name", "order"}


# --- Airflow's test of a connection -------------------------------------------------------------------------


def check(aliyun: Any, monkeypatch: pytest.MonkeyPatch, **extra: Any) -> tuple[bool, str]:
    aliyun.connect(monkeypatch, **extra)
    return PushAliyunSmsHook().test_connection()


def test_a_usable_configuration(aliyun: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    good, text = check(aliyun, monkeypatch)
    assert good
    assert text == (
        "Access key: accepted. Signature '推送平台': approved. "
        "Template SMS_100000001: approved (mainland); parameters: name, order."
    )
    assert aliyun.calls == {}


@pytest.mark.parametrize(
    ("extra", "good", "message"),
    [
        ({"password": "wrong"}, False, "Access key: refused. .*SignatureDoesNotMatch"),
        ({"login": "LTAI-nobody"}, False, "Access key: refused. .*InvalidAccessKeyId.NotFound"),
        (
            {"sign_name": "没有的签名"},
            False,
            "Signature '没有的签名': this account has no such one; it has: ",
        ),
        (
            {"sign_name": "审核中的签名"},
            False,
            r"'审核中的签名': not approved \(AUDIT_STATE_INIT\)\. Template",
        ),
        ({"sign_name": "未通过的签名"}, False, r"not approved \(AUDIT_STATE_NOT_PASS\)"),
        ({"sign_name": ""}, True, "Signature: none entered; each push task must name its own"),
        ({"template_code": "SMS_404"}, False, r"approved. Template SMS_404: not usable \(isv.SMS_TEMPLATE_ILLEGAL"),
        ({"template_code": "SMS_100000005"}, False, r"Template SMS_100000005: not approved \(status 2\)"),
        ({"template_code": "SMS_100000002"}, True, r"Template SMS_100000002: approved \(mainland\); parameters: none"),
        ({"template_code": "SMS_100000003"}, True, r"SMS_100000003: approved \(international\); parameters: code"),
        ({"template_code": ""}, True, "Template: none entered; each push task must name its own"),
        ({"enabled": False}, False, "The configuration cannot be used. .* is disabled"),
    ],
)
def test_which_one_is_not_usable(
    aliyun: Any, monkeypatch: pytest.MonkeyPatch, extra: dict[str, Any], good: bool, message: str
) -> None:
    found, text = check(aliyun, monkeypatch, **extra)
    assert found is good
    assert re.search(message, text), text
    assert aliyun.SECRET not in text
    assert "wrong" not in text


def test_what_the_account_may_not_ask_for_is_not_held_against_it(aliyun: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for action in ("QuerySmsSignList", "GetSmsTemplate"):
        aliyun.fail("refuse", action=action, code="isp.RAM_PERMISSION_DENY", message="RAM权限DENY")
    good, text = check(aliyun, monkeypatch)
    assert good
    assert "Signature: not checked, this key may not list signatures" in text
    assert "Template SMS_100000001: not checked, this key may not ask for it" in text


def test_a_signature_on_the_third_page(aliyun: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(120):
        aliyun.gateway.store.account.add_sign(Sign(f"签名{number:03d}"))
    assert check(aliyun, monkeypatch, sign_name="签名119")[0]
    assert aliyun.gateway.counts["QuerySmsSignList"] == 3


class Endless(BaseHTTPRequestHandler):
    """Says that there is always one more page of signatures."""

    protocol_version = "HTTP/1.1"
    pages = 0
    pause = 0.0

    def do_POST(self) -> None:
        type(self).pages += 1
        time.sleep(self.pause)
        signs = [{"SignName": f"s{self.pages}-{number}", "AuditStatus": "AUDIT_STATE_PASS"} for number in range(50)]
        body = json.dumps({"Code": "OK", "SmsSignList": signs, "TotalCount": 10**9}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize(("pause", "pages"), [(0.0, 20), (0.2, 10)], ids=["pages without an end", "slow pages"])
def test_pages_of_signatures_have_an_end(
    pause: float, pages: int, aliyun: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Endless, "pages", 0)
    monkeypatch.setattr(Endless, "pause", pause)
    if pause:
        monkeypatch.setattr(aliyun_check, "_TEST_SECONDS", 0.5)
    with ThreadingHTTPServer(("127.0.0.1", 0), Endless) as server:
        server.daemon_threads = True
        server.block_on_close = False  # the account keeps its connection open
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            begun = time.monotonic()
            good, text = check(aliyun, monkeypatch, endpoint=f"http://127.0.0.1:{server.server_port}", sign_name="没有")
        finally:
            server.shutdown()
            thread.join()
    assert not good
    assert "Signature" in text
    assert Endless.pages <= pages + 1  # and one for the template
    assert time.monotonic() - begun < 60


def test_a_service_that_has_no_time_or_does_not_answer(aliyun: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    aliyun.fail("refuse", code="Throttling.User", status=400)
    assert "Aliyun cannot say. " in check(aliyun, monkeypatch)[1]
    aliyun.fail("hang")
    good, text = check(aliyun, monkeypatch, timeout=0.3)
    assert not good
    assert "did not answer in 0.3 s; try again later" in text


def test_hostile_texts_of_a_template_do_no_harm(aliyun: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    aliyun.gateway.store.account.add_template(Template("SMS_7", "${a}${b}$" + "{" * 400))
    assert check(aliyun, monkeypatch, template_code="SMS_7")[0]


# --- who answers ----------------------------------------------------------------------------------------------


def test_a_certificate_of_another_name_is_a_wrong_endpoint(tmp_path: Path) -> None:
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "other.example")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "server.pem"
    pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = AliyunClient(aliyun_config(sms({"endpoint": f"127.0.0.1:{server.server_port}", "timeout": 5})))
        with pytest.raises(ConfigurationError, match="does not show a valid certificate of its name; correct"):
            client.template("SMS_1")
        server.shutdown()


def test_a_name_that_does_not_exist_is_surely_not_reached() -> None:
    client = AliyunClient(aliyun_config(sms({"endpoint": "dysmsapi.invalid", "timeout": 2})))
    with pytest.raises(NotSent, match="cannot be reached"):
        client.template("SMS_1")


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        (
            endless(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n", b"x", 0.05),
            "timeout",
            "did not answer in 0.5 s",
        ),
        (endless(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b"x" * 65536), "protocol", "more than 1 MiB"),
        (
            whole(b"HTTP/1.1 307 Go\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"),
            "protocol",
            "leads elsewhere",
        ),
    ],
    ids=["slow", "without an end", "elsewhere"],
)
def test_an_answer_that_has_no_end_is_none(answer: Any, code: str, words: str) -> None:
    with serving(answer) as (url, asked):
        client = AliyunClient(aliyun_config(sms({"endpoint": url, "timeout": 0.5})))
        with pytest.raises(NoAnswer, match=words) as lost:
            client.send("8613800138000", "s", "SMS_1", {}, "1")
    assert lost.value.code == code
    assert len(asked) == 1
