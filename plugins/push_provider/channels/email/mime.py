"""The mail as bytes: compiled once for an execution, filled in for each recipient.

What is the same for all recipients (sender, date, structure, attachments, and whatever of subject and
bodies has no variables) is encoded when :class:`Message` is made. :meth:`Message.fill` joins that with
what differs. The result is ready for the wire after DATA: CRLF line ends, lines that every server leaves
whole, dots stuffed (RFC 5321, 4.5.2).
"""

from __future__ import annotations

import binascii
import re
import secrets
from datetime import datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from push_provider.addresses import ascii_domain
from push_provider.exceptions import ConfigurationError, ContentError
from push_provider.marks import message_id

if TYPE_CHECKING:
    from push_provider.channels.base import Delivery
    from push_provider.channels.email.content import Content, File

_LINE = 900
"""Octets of a line without CRLF. RFC 5322, 2.1.1, allows 998, but Haraka and sendmail's relays (mailer flag L=990) fold
at 990, in the middle of a character if it comes to that; some room is left for what a relay may add."""
_FOLD = 78
"""Characters of a header line without CRLF, same place."""
_LARGE = 64 * 1024
"""Bytes from which the common end of the mails is not copied into each of them."""

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
# An atom or a domain literal on the right, and nothing that would end or begin an address in a header.
_MAILBOX = re.compile(
    r"""[^\x00-\x20\x7f-\xa0()<>\[\]:;,\\"@\s]+@(?:[^\x00-\x20\x7f-\xa0()<>\[\]:;,\\"@\s]+|\[[0-9A-Za-z.:]+\])"""
)
_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+")
_BASE64_LINES = re.compile(rb".{1,76}")

_7BIT = b"Content-Transfer-Encoding: 7bit\r\n\r\n"
_8BIT = b"Content-Transfer-Encoding: 8bit\r\n\r\n"
_BASE64 = b"Content-Transfer-Encoding: base64\r\n\r\n"
_TEXT = b"Content-Type: text/plain; charset=utf-8\r\n"
_HTML = b"Content-Type: text/html; charset=utf-8\r\n"


class Mail(NamedTuple):
    """One recipient's mail.

    :param delivery: whose it is.
    :param to: the envelope's recipient.
    :param message_id: its Message-ID, with angle brackets.
    :param head: the mail from its first header on, dots stuffed.
    :param tail: its end when that is large and the same for all, else empty.
    :param eightbit: it has octets above 127 and needs 8BITMIME (RFC 6152).
    :param utf8: an address outside ASCII needs SMTPUTF8 (RFC 6531).
    """

    delivery: Delivery
    to: bytes
    message_id: str
    head: bytes
    tail: bytes
    eightbit: bool
    utf8: bool


class Message:
    """The mail of an execution.

    :param content: the compiled content.
    :param sender: address of the sender, for From.
    :param sender_name: display name of the sender, or None.
    :param token: the execution's token; Message-IDs derive from it and the delivery's number, so that a
        delivery that is sent again has the same one.
    :param date: for the Date header, with a time zone.
    :raises ConfigurationError: the sender is not an address, or its name has control characters.
    :raises ContentError: a constant subject or the name of a file has control characters.
    """

    def __init__(self, content: Content, *, sender: str, sender_name: str | None, token: str, date: datetime) -> None:
        if not _MAILBOX.fullmatch(sender):
            raise ConfigurationError(f"The sender {sender!r} is not a mail address; correct from_email.")
        if date.tzinfo is None:
            raise ValueError("the date of a mail needs a time zone")
        try:
            origin = _from(sender_name, sender)
        except ContentError as error:
            raise ConfigurationError(f"The sender's name cannot be used; correct from_name. {error}") from None
        self._content = content
        self._utf8 = not sender.isascii()
        self._headers = b"".join(
            (
                b"Date: ",
                format_datetime(date).encode(),
                b"\r\n",
                origin,
                b"MIME-Version: 1.0\r\nAuto-Submitted: auto-generated\r\nTo: ",
            )
        )
        self._token = token
        self._id_end = f"@{_own_domain(sender)}>"

        subject, html, text = content.subject, content.html, content.text
        self._has_html = content.has_html
        self._subject = None if subject is None else _unstructured("Subject", subject)
        # Both ways a constant body can be encoded: [False] for servers without 8BITMIME, [True] with.
        single = not self._has_html and not content.attachments
        self._single = single
        self._text = None if text is None else tuple(_body(text, ok, closed=single) for ok in (False, True))
        self._html = None if html is None or not self._has_html else tuple(_body(html, ok) for ok in (False, True))
        self._constant = subject is not None and text is not None and (html is not None or not self._has_html)
        self._frame(content.attachments)

    def _frame(self, attachments: list[File]) -> None:
        """Lay out the structure: what stands before, between and after the bodies."""
        # Nobody can guess it, so no variable can hold it. '=_' cannot occur in base64 (RFC 2045, 6.8).
        unique = secrets.token_hex(16)
        mixed, alternative = f"=_{unique}_m".encode(), f"=_{unique}_a".encode()
        before: list[bytes] = []
        if attachments:
            before += [
                b'Content-Type: multipart/mixed;\r\n boundary="',
                mixed,
                b'"\r\n\r\n--',
                mixed,
                b"\r\n",
            ]
        if self._has_html:
            before += [b'Content-Type: multipart/alternative;\r\n boundary="', alternative, b'"\r\n\r\n']
            before += [b"--", alternative, b"\r\n", _TEXT]
            self._between = b"".join((b"\r\n--", alternative, b"\r\n", _HTML))
            after = [b"\r\n--", alternative, b"--\r\n"]
        else:
            before.append(_TEXT)
            after = []
        for file in attachments:
            after += [b"\r\n--", mixed, b"\r\n", _attachment(file)]
        if attachments:
            after += [b"\r\n--", mixed, b"--\r\n"]
        self._before, end = b"".join(before), b"".join(after)
        self._after, self._tail = (b"", end) if len(end) >= _LARGE else (end, b"")

    def fill(self, delivery: Delivery, *, eightbit: bool) -> Mail:
        """Make one recipient's mail.

        :param delivery: the recipient, with variables.
        :param eightbit: the server takes 8BITMIME.
        :raises ContentError: a template fails for this recipient, or the address or what it renders would
            break out of a header field.
        """
        to = delivery.to
        if not _MAILBOX.fullmatch(to):
            raise ContentError(f"The recipient {to!r} is not a mail address.")
        subject, text = self._subject, None if self._text is None else self._text[eightbit]
        html = None if self._html is None else self._html[eightbit]
        if not self._constant:
            rendered = self._content.render(to, delivery.variables)
            if subject is None:
                subject = _unstructured("Subject", rendered.subject)
            if text is None:
                text = _body(rendered.text, eightbit, closed=self._single)
            if html is None and self._has_html:
                html = _body(rendered.html or "", eightbit)
        name = f"<{message_id(self._token, delivery.id)}{self._id_end}"
        try:
            address = to.encode()
        except UnicodeEncodeError:
            raise ContentError(f"The recipient {to!r} is not a mail address.") from None
        utf8 = self._utf8 or not address.isascii()
        assert subject is not None
        assert text is not None
        parts = (
            self._headers,
            address,
            b"\r\nMessage-ID: ",
            name.encode(),
            b"\r\n",
            subject,
            self._before,
            text,
        )
        head = b"".join((*parts, self._after) if html is None else (*parts, self._between, html, self._after))
        return Mail(delivery, address, name, head, self._tail, not head.isascii(), utf8)


def _own_domain(sender: str) -> str:
    domain = sender.rpartition("@")[2]
    try:
        return ascii_domain(domain)
    except ValueError as error:
        raise ConfigurationError(f"The sender's domain {domain!r} is not valid; correct from_email. {error}") from None


# --- header fields ------------------------------------------------------------------------------------


def _utf8(text: str, what: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise ContentError(f"The {what} has half of a surrogate pair, which is no character.") from None


def _check(text: str, what: str) -> None:
    found = _CONTROL.search(text)
    if found:
        raise ContentError(
            f"The {what} has the control character {found.group()!r} at {found.start()}; it must be one line of text."
        )


def _words(text: str, what: str, first: int) -> list[bytes]:
    """RFC 2047 encoded words, cut between characters.

    :param first: characters that stand before the first of them on its line.
    """
    data = _utf8(text, what)
    words = []
    start = 0
    # A word has 12 characters around its base64, at most 75 in all (RFC 2047, 2), and a line at most 78.
    room = min(45, (_FOLD - first - 12) // 4 * 3)
    while start < len(data):
        end = min(start + room, len(data))
        while end < len(data) and data[end] & 0xC0 == 0x80:
            end -= 1
        words.append(b"=?utf-8?B?" + binascii.b2a_base64(data[start:end], newline=False) + b"?=")
        start, room = end, 45
    return words


def _unstructured(name: str, text: str) -> bytes:
    """A header field of free text, folded, with its CRLF."""
    _check(text, name.lower())
    if text.isascii() and "=?" not in text and "\t" not in text and "  " not in text and text == text.strip(" "):
        if len(name) + 2 + len(text) <= _FOLD:
            return f"{name}: {text}\r\n".encode()
        words = text.split(" ")
        if len(words[0]) + len(name) + 2 <= _FOLD and max(map(len, words)) < _FOLD:
            lines, line = [], f"{name}:"
            for word in words:
                if len(line) + 1 + len(word) > _FOLD:
                    lines.append(line)
                    line = ""
                line += " " + word
            return ("\r\n".join((*lines, line)) + "\r\n").encode()
    return f"{name}: ".encode() + b"\r\n ".join(_words(text, name.lower(), len(name) + 2)) + b"\r\n"


def _from(name: str | None, address: str) -> bytes:
    """The From field, RFC 5322, 3.6.2."""
    if not name:
        return b"From: " + address.encode() + b"\r\n"
    _check(name, "sender's name")
    # Some readers decode encoded words inside a quoted string too, so '=?' is encoded once more.
    if name.isascii() and "=?" not in name and len(name) < 60:
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        phrase = f'"{escaped}"'.encode()
    else:
        phrase = b"\r\n ".join(_words(name, "sender's name", 6))
    used = len(phrase.rpartition(b"\n")[2])
    joint = b" <" if 6 + used + len(address) + 3 <= _FOLD else b"\r\n <"
    return b"From: " + phrase + joint + address.encode() + b">\r\n"


# --- bodies and files ---------------------------------------------------------------------------------


def _short_lines(data: bytes) -> bool:
    """Whether every line of CRLF text is short enough. Leaps from line end to line end, not line by line."""
    position, size = 0, len(data)
    while size - position > _LINE:
        position = data.rfind(b"\n", position, position + _LINE + 2) + 1
        if position == 0:
            return False
    return True


def _body(text: str, eightbit: bool, *, closed: bool = False) -> bytes:
    """A body with its transfer encoding and the empty line before it.

    :param closed: nothing follows it, so it must end its last line itself.
    """
    data = _utf8(text, "body")
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    data = data.replace(b"\n", b"\r\n")
    plain = data.isascii()
    if (plain or eightbit) and b"\0" not in data and _short_lines(data):
        if b"\n." in data:
            data = data.replace(b"\n.", b"\n..")
        if data[:1] == b".":
            data = b"." + data
        if closed and data[-2:] != b"\r\n":
            data += b"\r\n"
        return (_7BIT if plain else _8BIT) + data
    data = _base64(data)
    return _BASE64 + data + b"\r\n" if closed else _BASE64 + data


def _base64(data: bytes) -> bytes:
    """Base64 in lines of 76 (RFC 2045, 6.8), without the last line end."""
    return b"\r\n".join(_BASE64_LINES.findall(binascii.b2a_base64(data, newline=False)))


def _attachment(file: File) -> bytes:
    """A file as a part of multipart/mixed."""
    name = file.name
    _check(name, f"file name {name!r}")
    kind = file.mime_type
    # A message or multipart may not be base64 (RFC 2045, 6.4), which a file always is here.
    if not _TYPE.fullmatch(kind) or kind.lower().startswith(("multipart/", "message/")):
        kind = "application/octet-stream"
    if name.isascii() and "=?" not in name and len(name) <= 60:
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        fallback = parameter = f'"{escaped}"'.encode()
        disposition = b"\r\n filename=" + parameter
    else:
        # RFC 2231 says how; a word of RFC 2047 in quotes is what readers understand that do not know it.
        fallback = b'"' + b"\r\n ".join(_words(name, "file name", 7)) + b'"'
        disposition = b";".join(_continued(name))
    return b"".join(
        (
            f"Content-Type: {kind};\r\n name=".encode(),
            fallback,
            b"\r\nContent-Disposition: attachment;",
            disposition,
            b"\r\n",
            _BASE64,
            _base64(file.content),
        )
    )


def _continued(name: str) -> list[bytes]:
    """The ``filename`` parameter in sections of RFC 2231, 3 and 4, each on a line of its own."""
    pieces, piece = [], "utf-8''"
    _utf8(name, "file name")
    for character in name:
        encoded = quote(character, safe="")
        if len(piece) + len(encoded) > 55:
            pieces.append(piece)
            piece = ""
        piece += encoded
    pieces.append(piece)
    if len(pieces) == 1:
        return [f"\r\n filename*={pieces[0]}".encode()]
    return [f"\r\n filename*{index}*={text}".encode() for index, text in enumerate(pieces)]
