"""The sandbox's mail server, spoken to over sockets."""

from __future__ import annotations

import base64
import re
import select
import socket
import time
from email.message import EmailMessage

import pytest

from sandbox.smtp import SIZE_LIMIT, SLOW_SECONDS


def _codes(stream, count: int) -> list[bytes]:
    """The codes of the next ``count`` replies."""
    codes = []
    while len(codes) < count:
        line = stream.readline()
        assert line, f"closed after {codes}"
        if line[3:4] != b"-":
            codes.append(line[:3])
    return codes


def test_it_offers_what_senders_make_use_of(sandbox):
    with sandbox.smtp() as client:
        client.ehlo()
        assert {"pipelining", "8bitmime", "smtputf8", "size", "auth"} <= client.esmtp_features.keys()
        assert "starttls" not in client.esmtp_features
        assert client.esmtp_features["size"] == str(SIZE_LIMIT)


@pytest.mark.parametrize(
    "source",
    [
        b"Subject: x\r\n\r\nbody\r\n",
        b"\r\n",
        b"",
        b"Subject: x\r\n\r\n.\r\n..\r\n...\r\n.a\r\nb.\r\n.\r\n",
        b".starts with a dot\r\n\r\nends with one.\r\n",
        "Subject: 你好\r\n\r\n8 bit: ü\r\n".encode(),
        b"Subject: x\r\n\r\n" + b"y" * 998 + b"\r\n",
        b"Subject: x\r\n\r\n" + (b"z" * 76 + b"\r\n") * 40_000,
        b"Subject: x\r\n\r\n" + (b"." * 70 + b"\r\n") * 5_000,
    ],
    ids=lambda source: f"{len(source)} bytes {source[:12]!r}",
)
def test_a_mail_is_kept_byte_for_byte(sandbox, source):
    # smtplib's data() adds a final CRLF to what has none, so the protocol is spoken here.
    stuffed = re.sub(rb"(?m)^\.", b"..", source)
    with (
        socket.create_connection(("127.0.0.1", sandbox.smtp_port)) as connection,
        connection.makefile("rb") as answers,
    ):
        connection.sendall(b"EHLO me\r\nMAIL FROM:<a@example.com> BODY=8BITMIME\r\nRCPT TO:<b@example.com>\r\nDATA\r\n")
        assert _codes(answers, 5) == [b"220", b"250", b"250", b"250", b"354"]
        connection.sendall(stuffed + b".\r\n")
        assert _codes(answers, 1) == [b"250"]
    (mail,) = sandbox.request("/api/mails").json()["items"]
    assert sandbox.request(f"/api/mails/{mail['id']}/source").body == source
    assert (sandbox.folder / f"{mail['id']}.eml").read_bytes() == source
    assert mail["size"] == len(source)


def test_the_end_is_found_however_the_bytes_arrive(sandbox):
    with (
        socket.create_connection(("127.0.0.1", sandbox.smtp_port)) as connection,
        connection.makefile("rb") as answers,
    ):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(b"EHLO me\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n")
        _codes(answers, 5)
        for byte in b"Subject: slow\r\n\r\na.\r\n..\r\n.\r\nNOOP\r\n":
            connection.send(bytes([byte]))
        assert _codes(answers, 2) == [b"250", b"250"]
    (mail,) = sandbox.request("/api/mails").json()["items"]
    assert sandbox.request(f"/api/mails/{mail['id']}/source").body == b"Subject: slow\r\n\r\na.\r\n.\r\n"


def test_pipelined_mails_are_answered_in_order(sandbox):
    mail = b"MAIL FROM:<a@example.com>\r\nRCPT TO:<bounce@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n"
    with (
        socket.create_connection(("127.0.0.1", sandbox.smtp_port)) as connection,
        connection.makefile("rb") as answers,
    ):
        connection.sendall(b"EHLO me\r\n")
        _codes(answers, 2)
        connection.sendall(b"".join(mail + b"Subject: %d\r\n\r\n.\r\n" % n for n in range(50)) + b"QUIT\r\n")
        assert _codes(answers, 251) == [b"250", b"550", b"250", b"354", b"250"] * 50 + [b"221"]
    subjects = [item["subject"] for item in sandbox.request("/api/mails").json()["items"]]
    assert subjects == [str(n) for n in reversed(range(50))]


@pytest.mark.parametrize("user", ["push@example.com", "用户"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "PLAIN at once", "LOGIN"])
def test_any_login_is_taken(sandbox, mechanism, user):
    plain = _base64(f"\0{user}\0any")
    exchange = {
        "PLAIN": ["AUTH PLAIN", plain],
        "PLAIN at once": [f"AUTH PLAIN {plain}"],
        "LOGIN": ["AUTH LOGIN", _base64(user), _base64("any")],
    }[mechanism]
    with sandbox.smtp() as client:
        client.ehlo()
        assert [client.docmd(line)[0] for line in exchange] == [334] * (len(exchange) - 1) + [235]
        client.sendmail("a@example.com", ["b@example.com"], b"Subject: x\r\n\r\n")
    assert sandbox.request("/api/mails").json()["total_entries"] == 1


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("recipient", "code"),
    [
        ("bounce@example.com", 550),
        ("Bounce+42@other.example", 550),
        ("busy@example.com", 451),
        ("busy+1@example.com", 451),
        ("bouncer@example.com", None),
        ("not.bounce@example.com", None),
        ("a@bounce", None),
    ],
)
def test_some_recipients_fail_on_request_and_the_others_get_the_mail(sandbox, recipient, code):
    with sandbox.smtp() as client:
        refused = client.sendmail("a@example.com", ["ok@example.com", recipient], b"Subject: x\r\n\r\n")
    assert {to: answer[0] for to, answer in refused.items()} == ({recipient: code} if code else {})
    (mail,) = sandbox.request("/api/mails").json()["items"]
    assert mail["rcpt_to"] == (["ok@example.com"] if code else ["ok@example.com", recipient])


@pytest.mark.slow
def test_a_slow_recipient_delays_the_answer_but_nobody_else(sandbox):
    with sandbox.smtp() as slow, sandbox.smtp() as quick:
        slow.ehlo()
        slow.mail("a@example.com")
        slow.rcpt("slow@example.com")
        slow.putcmd("DATA")
        assert slow.getreply()[0] == 354
        begin = time.monotonic()
        slow.send(b"Subject: slow\r\n\r\n.\r\n")
        quick.sendmail("a@example.com", ["b@example.com"], b"Subject: quick\r\n\r\n")
        assert not select.select([slow.sock], [], [], 0)[0]  # the slow one still has no answer
        assert slow.getreply()[0] == 250
        assert time.monotonic() - begin >= SLOW_SECONDS
    assert sandbox.request("/api/mails").json()["total_entries"] == 2


@pytest.mark.parametrize(
    ("sender", "recipient"),
    [
        ("a@example.com", "王小明@例子.中国"),
        ("发件人@例子.中国", "b@example.com"),
        ("a@example.com", '"quoted name"@example.com'),
        ("a@example.com", "o'neil@[127.0.0.1]"),
        ("", "b@example.com"),
    ],
)
def test_the_envelope_is_kept(sandbox, sender, recipient):
    with sandbox.smtp() as client:
        client.ehlo()
        client.command_encoding = "utf-8"
        assert client.docmd(f"MAIL FROM:<{sender}> SMTPUTF8")[0] == 250
        assert client.docmd(f"RCPT TO:<{recipient}>")[0] == 250
        assert client.data(b"Subject: x\r\n\r\n")[0] == 250
    (mail,) = sandbox.request("/api/mails").json()["items"]
    assert (mail["mail_from"], mail["rcpt_to"]) == (sender, [recipient])


@pytest.mark.parametrize(
    ("source", "code"),
    [
        (b"Subject: x\r\n\r\n" + b"y" * 999 + b"\r\n", 500),
        (b"Subject: x\r\n\r\n" + b"y" * 200_000 + b"\r\n", 500),
        (b"Subject: x\r\n\r\n" + (b"y" * 900 + b"\r\n") * (SIZE_LIMIT // 900), 552),
    ],
)
def test_what_a_real_server_would_refuse_is_refused_and_the_connection_goes_on(sandbox, source, code):
    with sandbox.smtp() as client:
        client.ehlo()
        client.mail("a@example.com")
        client.rcpt("b@example.com")
        assert client.data(source)[0] == code
        client.sendmail("a@example.com", ["b@example.com"], b"Subject: after\r\n\r\n")
    assert [item["subject"] for item in sandbox.request("/api/mails").json()["items"]] == ["after"]


@pytest.mark.parametrize("commands", [["DATA"], ["RCPT TO:<a@example.com>"], ["MAIL FROM:<a@example.com>", "DATA"]])
def test_commands_out_of_order_are_refused(sandbox, commands):
    with sandbox.smtp() as client:
        client.ehlo()
        assert [client.docmd(command)[0] for command in commands][-1] == 503


def test_two_thousand_mails_arrive_quickly_and_none_is_lost(sandbox):
    message = EmailMessage()
    message["Subject"] = "Bulk"
    message.set_content("Hello")
    source = message.as_bytes().replace(b"\n", b"\r\n")
    begin = time.monotonic()
    with (
        socket.create_connection(("127.0.0.1", sandbox.smtp_port)) as connection,
        connection.makefile("rb") as answers,
    ):
        connection.sendall(b"EHLO me\r\n")
        _codes(answers, 2)
        for start in range(0, 2000, 20):
            for number in range(start, start + 20):
                connection.sendall(
                    b"MAIL FROM:<a@example.com>\r\nRCPT TO:<u%d@example.com>\r\nDATA\r\n%s.\r\n" % (number, source)
                )
            assert _codes(answers, 80) == [b"250", b"250", b"354", b"250"] * 20
    # Many times what it takes on a busy machine; a wait for each mail would be longer.
    assert time.monotonic() - begin < 60
    listed = sandbox.request("/api/mails?limit=1000").json()
    assert listed["total_entries"] == 2000
    rest = sandbox.request("/api/mails?limit=1000&offset=1000").json()
    recipients = {item["rcpt_to"][0] for item in listed["items"] + rest["items"]}
    assert recipients == {f"u{number}@example.com" for number in range(2000)}
