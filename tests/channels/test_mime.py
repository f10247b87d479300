"""The mail as bytes: whatever goes in, a reader gets it back, and nothing breaks out of its place."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta, timezone
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import parseaddr
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mail_content import File, Given, Templates

from push_provider.channels.base import Delivery
from push_provider.channels.email.mime import Mail, Message
from push_provider.exceptions import ConfigurationError, ContentError
from push_provider.marks import message_id

DATE = datetime(2026, 3, 1, 8, 30, tzinfo=timezone(timedelta(hours=8)))
TOKEN = "ab" * 16
NAME = message_id(TOKEN, 7)


def message(content: Any, **values: Any) -> Message:
    given_values = {"sender": "shop@example.com", "sender_name": None, "token": TOKEN, "date": DATE}
    return Message(content, **{**given_values, **values})


def fill(content: Any, *, eightbit: bool = True, to: str = "ann@example.org", **variables: Any) -> Mail:
    return message(content).fill(Delivery(7, to, variables), eightbit=eightbit)


def read(mail: Mail) -> EmailMessage:
    wire = mail.head + mail.tail
    assert wire.endswith(b"\r\n"), "the terminating dot needs a line of its own"
    lines = wire.split(b"\r\n")
    assert not any(b"\r" in line or b"\n" in line for line in lines)
    assert max(map(len, lines)) <= 901, "900 octets, and one stuffed dot"
    assert all(line.startswith(b"..") for line in lines if line.startswith(b".")), "a dot is not stuffed"
    unstuffed = b"\r\n".join(line[1:] if line.startswith(b".") else line for line in lines)
    parsed = message_from_bytes(unstuffed, policy=policy.default)
    assert isinstance(parsed, EmailMessage)
    assert not parsed.defects
    return parsed


def breaks(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def body(part: Any) -> str:
    assert isinstance(part, EmailMessage)
    return breaks(part.get_payload(decode=True).decode())  # type: ignore[union-attr]


def test_headers() -> None:
    mail = fill(Templates("Order {order}", "Hello {name}"), order="A-1", name="Ann")
    parsed = read(mail)
    assert dict(parsed.items()) == {
        "Date": "Sun, 01 Mar 2026 08:30:00 +0800",
        "From": "shop@example.com",
        "MIME-Version": "1.0",
        "Auto-Submitted": "auto-generated",
        "To": "ann@example.org",
        "Message-ID": f"<{NAME}@example.com>",
        "Subject": "Order A-1",
        "Content-Type": 'text/plain; charset="utf-8"',
        "Content-Transfer-Encoding": "7bit",
    }
    assert mail.message_id == f"<{NAME}@example.com>"
    assert body(parsed) == "Hello Ann\n"


def test_the_same_delivery_has_the_same_message_id_in_another_process() -> None:
    content = Templates("s", "t")
    assert fill(content).message_id == fill(content).message_id


SUBJECTS = st.text(st.characters(exclude_categories=("Cs", "Cc")) | st.sampled_from("  =?_商店🎉\t"), max_size=400)
BODIES = st.text(
    st.characters(exclude_categories=("Cs",)) | st.sampled_from("..\r\n\r\n\t \0é中"), max_size=300
) | st.builds(lambda text, times: text * times, st.sampled_from([".", "x.", "中", "a\r", ".\n"]), st.integers(0, 1500))


@pytest.mark.slow
@settings(max_examples=250, deadline=None)
@given(subject=SUBJECTS, text=BODIES, html=st.none() | BODIES, eightbit=st.booleans(), files=st.integers(0, 2))
def test_any_content_comes_back(subject: str, text: str, html: str | None, eightbit: bool, files: int) -> None:
    attached = tuple(File(f"文件 {i}.bin", bytes(range(256)) * i, "application/x-test") for i in range(files))
    content = Given(has_html=html is not None, attachments=attached)
    mail = fill(content, eightbit=eightbit, subject=subject, text=text, html=html)
    if not eightbit:
        assert mail.head.isascii()
    parsed = read(mail)
    assert parsed["Subject"] == subject
    assert parsed["To"] == "ann@example.org"
    plain, rich = parsed.get_body(("plain",)), parsed.get_body(("html",))
    if html is None and not files:
        assert body(plain).removesuffix("\n") == breaks(text).removesuffix("\n")
    else:
        assert body(plain) == breaks(text)
    assert (None if rich is None else body(rich)) == (None if html is None else breaks(html))
    got = [(p.get_filename(), p.get_content(), p.get_content_type()) for p in parsed.iter_attachments()]
    assert got == [tuple(file) for file in attached]


@settings(max_examples=60, deadline=None)
@given(subject=SUBJECTS, text=BODIES, html=BODIES, eightbit=st.booleans())
def test_constant_parts_are_the_same_bytes(subject: str, text: str, html: str, eightbit: bool) -> None:
    parts = [Templates(subject, text, html, constant=True), Given(has_html=True)]
    variables = {"subject": subject, "text": text, "html": html}
    constant, rendered = (fill(part, eightbit=eightbit, **variables) for part in parts)
    boundary = constant.head.partition(b'boundary="')[2].partition(b'_a"')[0]
    other = rendered.head.partition(b'boundary="')[2].partition(b'_a"')[0]
    assert boundary != other
    assert constant.head == rendered.head.replace(other, boundary)


@pytest.mark.parametrize(
    "subject",
    [
        "中" * 100,
        "word " * 40 + "end",
        "x" * 300,
        "a  b",
        " lead",
        "=?utf-8?B?eA==?=",
        "🎉" * 60,
        "é" + "x" * 200,
        "",
    ],
    ids=range(9),
)
def test_header_lines_are_short(subject: str) -> None:
    mail = fill(Given(has_html=False), subject=subject, text="t")
    header = mail.head.partition(b"\r\n\r\n")[0]
    assert max(map(len, header.split(b"\r\n"))) <= 78
    assert read(mail)["Subject"] == subject


def test_each_encoded_word_is_whole_characters() -> None:
    mail = fill(Given(has_html=False), subject="中文🎉" * 40, text="t")
    words = [w for w in mail.head.split() if w.startswith(b"=?utf-8?B?")]
    assert len(words) > 5
    for word in words:
        assert len(word) <= 75
        base64.b64decode(word[10:-2], validate=True).decode()


@pytest.mark.parametrize("bad", ["\r", "\n", "\0", "\x0b", "\x1b", "\x7f"])
def test_no_control_character_enters_a_header(bad: str) -> None:
    value = f"a{bad}Bcc: eve@example.net"
    with pytest.raises(ContentError, match="subject"):
        fill(Given(has_html=False), subject=value, text="t")
    with pytest.raises(ContentError, match="subject"):
        message(Templates(value, "t", constant=True))
    with pytest.raises(ContentError, match="recipient"):
        fill(Given(has_html=False), to=f"a{bad}b@example.org", subject="s", text="t")
    with pytest.raises(ContentError, match="file name"):
        message(Templates("s", "t", attachments=(File(value, b"", "text/plain"),)))
    with pytest.raises(ConfigurationError, match="from_name"):
        message(Templates("s", "t"), sender_name=value)
    with pytest.raises(ConfigurationError, match="from_email"):
        message(Templates("s", "t"), sender=f"a{bad}@example.com")


@pytest.mark.parametrize("to", ["a@x,b@y", "a@x>", "<a@x", "a b@x", "a", "@x", "a@", "a@x\u2028", "\ud800@x", ""])
def test_what_is_not_one_address_is_refused(to: str) -> None:
    with pytest.raises(ContentError):
        fill(Given(has_html=False), to=to, subject="s", text="t")


@pytest.mark.parametrize("part", ["subject", "text", "html"])
def test_half_a_surrogate_pair_is_the_recipients_error(part: str) -> None:
    with pytest.raises(ContentError, match="surrogate"):
        fill(Given(has_html=True), **{"subject": "s", "text": "t", "html": "h", part: "a\ud800"})


@pytest.mark.parametrize(
    "name",
    ["Shop", 'The "Shop", Ltd.', "back\\slash", "商店", "商" * 90, "x" * 190, "=?utf-8?Q?x?=", "a@b"],
    ids=range(8),
)
def test_sender_name(name: str) -> None:
    mail = message(Templates("s", "t"), sender_name=name).fill(Delivery(1, "a@example.org", {}), eightbit=True)
    assert max(map(len, mail.head.split(b"\r\n"))) <= 78
    read(mail)
    # email.policy.default puts spaces between the encoded words of a phrase, against RFC 2047, 6.2.
    raw = message_from_bytes(mail.head, policy=policy.compat32)["From"]
    display, address = parseaddr(raw)
    assert (str(make_header(decode_header(display))), address) == (name, "shop@example.com")


@pytest.mark.parametrize(
    "name",
    [
        "a.txt",
        'q"uo\\te.txt',
        "报告 2026.pdf",
        "长" * 150 + ".pdf",
        "x" * 190,
        "a;b=c.txt",
        "=?utf-8?B?eA==?=",
    ],
    ids=range(7),
)
def test_file_names(name: str) -> None:
    content = Templates("s", "t", attachments=(File(name, b"\0data", "application/pdf"),))
    mail = fill(content)
    assert max(map(len, mail.head.split(b"\r\n"))) <= 200
    [part] = read(mail).iter_attachments()
    assert (part.get_filename(), part.get_content()) == (name, b"\0data")


@pytest.mark.parametrize("kind", ["text/plain\r\nX: y", "nothing", "message/rfc822", "multipart/mixed", ""])
def test_a_type_that_cannot_be_is_bytes(kind: str) -> None:
    [part] = read(fill(Templates("s", "t", attachments=(File("f", b"x", kind),)))).iter_attachments()
    assert part.get_content_type() == "application/octet-stream"


def test_large_attachments_are_not_copied_into_each_mail() -> None:
    content = Templates("s", "Hello {name}", attachments=(File("f", b"x" * 200_000, "image/png"),))
    compiled = message(content)
    mails = [compiled.fill(Delivery(i, "a@example.org", {"name": "N"}), eightbit=True) for i in range(2)]
    assert mails[0].tail is mails[1].tail
    assert len(mails[0].head) < 2000
    [part] = read(mails[0]).iter_attachments()
    assert part.get_content() == b"x" * 200_000


@pytest.mark.parametrize(
    ("text", "eightbit", "encoding"),
    [
        ("plain", True, "7bit"),
        ("plain", False, "7bit"),
        ("中", True, "8bit"),
        ("中", False, "base64"),
        ("x" * 900, True, "7bit"),
        ("x" * 901, True, "base64"),
        ("." + "x" * 899, True, "7bit"),
        ("中" * 300, True, "8bit"),
        ("中" * 330 + "x", True, "base64"),  # 991 octets, which Haraka and sendmail cut within a character
        ("中" * 300 + "x", True, "base64"),
        ("x" * 900 + "\n" + "y" * 900 + "\nz", True, "7bit"),
        ("short\n" + "y" * 901 + "\nz", True, "base64"),
        ("\0", True, "base64"),
    ],
)
def test_transfer_encoding(text: str, eightbit: bool, encoding: str) -> None:
    mail = fill(Given(has_html=False), eightbit=eightbit, subject="s", text=text)
    assert read(mail)["Content-Transfer-Encoding"] == encoding
    assert mail.eightbit is (encoding == "8bit")


@pytest.mark.parametrize(
    ("sender", "domain"),
    [
        ("用户@straße.de", "xn--strae-oqa.de"),  # IDNA 2003 has strasse.de, which is somebody else's
        ("用户@βόλος.com", "xn--nxasmm1c.com"),
        ("用户@例子.cn", "xn--fsqu00a.cn"),
        ("shop@xn--strae-oqa.de", "xn--strae-oqa.de"),
    ],
)
def test_the_domain_of_a_message_id_is_the_sender_s(sender: str, domain: str) -> None:
    compiled = message(Templates("s", "t"), sender=sender)
    mail = compiled.fill(Delivery(7, "ann@example.org", {}), eightbit=True)
    assert mail.message_id == f"<{NAME}@{domain}>"


def test_a_sender_s_domain_that_is_none_is_the_configuration_s_fault() -> None:
    with pytest.raises(ConfigurationError, match=r"'i❤\.ws'.*from_email"):
        message(Templates("s", "t"), sender="用户@i❤.ws")


def test_no_header_line_is_long_either() -> None:
    longest = "用" * 21 + "@" + ".".join(["例" * 20] * 8) + ".cn"
    content = Templates("订单" * 200, "t", attachments=(File("长" * 190 + ".pdf", b"x", "application/pdf"),))
    compiled = message(content, sender=longest, sender_name="商店" * 100)
    mail = compiled.fill(Delivery(1, longest, {}), eightbit=True)
    assert max(map(len, mail.head.split(b"\r\n"))) <= 900


def test_an_address_outside_ascii_is_marked() -> None:
    mail = fill(Given(has_html=False), to="用户@例子.cn", subject="s", text="t")
    assert mail.utf8
    assert mail.to == "用户@例子.cn".encode()


def test_the_date_needs_a_zone() -> None:
    with pytest.raises(ValueError, match="time zone"):
        message(Templates("s", "t"), date=cast("Any", datetime(2026, 1, 1)))
