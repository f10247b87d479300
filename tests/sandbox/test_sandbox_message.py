"""Decoding of received mails, the broken and the hostile ones above all."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.message import decode_field, parts, summary


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b" Hello", "Hello"),
        (b" =?utf-8?b?5L2g5aW9?=", "你好"),
        (b" =?utf-8?b?5L2g?=\r\n =?utf-8?b?5aW9?=", "你好"),
        (b" =?utf-8?b?5L2=?=\r\n =?utf-8?b?oA==?= x", None),
        (b" =?gb2312?b?xOO6ww==?= ok", "你好 ok"),
        (b" =?x-unknown?q?a?=", "a"),
        (b" =?utf-8?b?!?=", None),
        ("你好".encode(), "你好"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b" one\r\n two\r\n\tthree", "one two\tthree"),
    ],
)
def test_a_field_is_decoded_as_far_as_it_can_be(raw, text):
    decoded = decode_field(raw)
    if text is not None:
        assert decoded == text
    decoded.encode()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (b"SUBJECT: a\r\nMessage-Id: <1@x>\r\n\r\nSubject: b\r\n", ("a", "<1@x>")),
        (b"Subject: first\r\nSubject: second\r\n\r\n", ("first", None)),
        (b"X: y\r\n\r\nSubject: in the body\r\n", ("", None)),
        (b"Subject: folded\r\n over lines\r\n\r\n", ("folded over lines", None)),
        (b"Subject: bare\n\nMessage-ID: <no>\n", ("bare", None)),
        (b"", ("", None)),
    ],
)
def test_summary(source, expected):
    assert summary(source) == expected


def test_bodies_and_attachments_are_told_apart():
    source = (
        b"Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\n"
        b"--a\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n"
        b"--b\r\nContent-Type: text/plain; charset=gb2312\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\nxOO6ww==\r\n"
        b"--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<b>hi</b>\r\n--b--\r\n"
        b"--a\r\nContent-Type: text/plain\r\n"
        b'Content-Disposition: attachment; filename="../../etc/a.txt"\r\n\r\nfile\r\n'
        b"--a\r\nContent-Type: image/png\r\nContent-ID: <logo>\r\n\r\npng\r\n"
        b"--a\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ninner body\r\n--a--\r\n"
    )
    mail = parts(source)
    assert mail.text == "你好"
    assert mail.html == "<b>hi</b>"
    assert [(a.name, a.content_type, a.content_id) for a in mail.attachments] == [
        ("a.txt", "text/plain", None),
        ("part-4", "image/png", "logo"),
        ("part-5", "message/rfc822", None),
    ]
    assert b"inner body" in mail.attachments[2].content


_HEADERS = st.sampled_from(
    [
        b"Content-Type: multipart/mixed; boundary=a",
        b"Content-Type: text/html; charset=utf-16",
        b"Content-Type: text/plain; charset=\xff",
        b"Content-Type: text/plain; charset*=x'y'%zz; name*0*=a''%ff",
        b"Content-Type: message/rfc822",
        b"Content-Type: message/delivery-status",
        b"Content-Transfer-Encoding: base64",
        b"Content-Transfer-Encoding: quoted-printable",
        b"Content-Transfer-Encoding: x-uuencode",
        b"Content-Disposition: attachment; filename*=utf-7''+2AA-",
        b"Content-ID: \xff",
        b"Subject: =?utf-16?b?2AA=?= =?utf-7?q?+2AA-?=",
        b"--a",
        b"--a--",
        b"begin 644 x",
        b"",
    ]
)


@given(st.lists(st.one_of(_HEADERS, st.binary(max_size=40)), max_size=25).map(b"\r\n".join))
def test_no_mail_breaks_it(source):
    mail = parts(source)
    summary(source)
    shown = [
        mail.headers,
        mail.text,
        mail.html,
        [(a.name, a.content_type, a.content_id) for a in mail.attachments],
    ]
    json.dumps(shown, ensure_ascii=False).encode()


def test_a_mail_nested_beyond_reason_is_shown_as_its_source():
    source = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(3000))
    assert parts(source) is not None
