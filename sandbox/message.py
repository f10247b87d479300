"""What a received mail says: its decoded header fields, bodies and attachments.

Everything here reads mails that may be broken or hostile, and never raises because of what they hold:
what cannot be decoded is shown as it came.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.parser import BytesParser
from email.policy import compat32

_HEAD_LIMIT = 256 * 1024
"""Bytes at the beginning of a mail in which :func:`summary` looks for header fields."""
_FIELD = re.compile(rb"(?im)^(subject|message-id):((?:[^\r\n]*)(?:\r?\n[ \t][^\r\n]*)*)")
_FOLD = re.compile(r"\r?\n(?=[ \t])")
_CHARSETS = {"gb2312": "gb18030", "gbk": "gb18030", "x-gbk": "gb18030", "unknown-8bit": "utf-8"}
"""Names under which senders really send a larger character set."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A part that is not one of the bodies.

    :param name: file name as the mail gives it, without folders; ``part-n`` if it gives none.
    :param content_type: as declared, in lower case.
    :param content_id: without angle brackets; None if the part has none.
    """

    name: str
    content_type: str
    content_id: str | None
    content: bytes


@dataclass(frozen=True, slots=True)
class Parts:
    """A mail, decoded.

    :param headers: every field in its order, name and decoded value.
    :param text: the plain body, or None.
    :param html: the HTML body as sent, with its own ``cid:`` references; None if there is none.
    """

    headers: list[tuple[str, str]]
    text: str | None
    html: str | None
    attachments: list[Attachment]


def printable(text: str) -> str:
    """``text`` without lone surrogates, which no UTF-8 answer can carry."""
    return text.encode("utf-8", "replace").decode("utf-8")


def decode_field(raw: str | bytes) -> str:
    """A header field's value, unfolded, with its encoded words (RFC 2047) or raw UTF-8 (RFC 6532) decoded."""
    if isinstance(raw, bytes):
        octets = raw
    else:
        # The parser hides bytes that are no ASCII as surrogates, where it has not made them itself.
        try:
            octets = raw.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            octets = raw.encode("utf-8", "replace")
    text = _FOLD.sub("", octets.decode("utf-8", "replace")).strip()
    if "=?" not in text:
        return printable(text)
    try:
        words = decode_header(text)
    except (HeaderParseError, ValueError):
        return printable(text)
    return printable("".join(word if isinstance(word, str) else _text(word, charset) for word, charset in words))


def summary(content: bytes) -> tuple[str, str | None]:
    """Subject and Message-ID of a mail, found without parsing the whole of it.

    :returns: the decoded subject ("" without one), and the Message-ID with its angle brackets or None.
    """
    head = content[:_HEAD_LIMIT]
    ends = [end for end in (head.find(b"\r\n\r\n"), head.find(b"\n\n")) if end >= 0]
    fields: dict[bytes, bytes] = {}
    for match in _FIELD.finditer(head, 0, min(ends, default=len(head))):
        fields.setdefault(match[1].lower(), match[2])
    message_id = decode_field(fields.get(b"message-id", b""))
    return decode_field(fields.get(b"subject", b"")), message_id or None


def parts(content: bytes) -> Parts:
    """Decode a whole mail; one that cannot be taken apart has its source as text, and nothing else."""
    try:
        return _parts(content)
    except Exception:  # noqa: BLE001 - a mail can bring the standard library to raise nearly anything
        return Parts(headers=[], text=_text(content, None), html=None, attachments=[])


def _parts(content: bytes) -> Parts:
    message = BytesParser(policy=compat32).parsebytes(content)
    text: str | None = None
    html: str | None = None
    attachments = []
    for number, part in enumerate(_leaves(message), 1):
        kind = part.get_content_type()
        is_body = part.get_content_disposition() != "attachment" and not part.get_filename()
        if is_body and kind == "text/plain" and text is None:
            text = _text(_payload(part), part.get_content_charset())
        elif is_body and kind == "text/html" and html is None:
            html = _text(_payload(part), part.get_content_charset())
        else:
            attachments.append(_attachment(part, kind, number))
    headers = [(printable(name), decode_field(value)) for name, value in message.raw_items()]
    return Parts(headers=headers, text=text, html=html, attachments=attachments)


def _leaves(message: Message) -> Iterator[Message]:
    """The parts that hold something; an attached mail counts as one."""
    if message.get_content_maintype() == "multipart" and message.is_multipart():
        for part in message.get_payload():
            if isinstance(part, Message):
                yield from _leaves(part)
    else:
        yield message


def _payload(part: Message) -> bytes:
    if part.is_multipart():  # message/rfc822: the payload is the attached mail
        inner = part.get_payload(0)
        return inner.as_bytes() if isinstance(inner, Message) else b""
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""


def _text(content: bytes, charset: str | None) -> str:
    name = (charset or "utf-8").lower()
    try:
        return printable(content.decode(_CHARSETS.get(name, name), "replace"))
    except (LookupError, ValueError):  # no such character set
        return content.decode("utf-8", "replace")


def _attachment(part: Message, kind: str, number: int) -> Attachment:
    name = decode_field(part.get_filename() or "")
    name = "".join(c for c in re.split(r"[/\\]", name)[-1] if c.isprintable())
    content_id = part.get("Content-ID")
    return Attachment(
        name=name or f"part-{number}",
        content_type=printable(kind),
        content_id=decode_field(str(content_id)).strip("<>") if content_id else None,
        content=_payload(part),
    )
