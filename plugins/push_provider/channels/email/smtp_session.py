"""Connecting to a mail server: TCP, greeting, EHLO, TLS and login, by smtplib; and whether it takes the sender.

What follows on the open connection is in :mod:`push_provider.channels.email.smtp_dialogue`.
"""

from __future__ import annotations

import base64
import contextlib
import hmac
import smtplib
import socket
import ssl
from collections.abc import Callable

from push_provider.channels.email.smtp_client import Client
from push_provider.channels.email.smtp_config import SmtpConfig, Tls
from push_provider.exceptions import ConfigurationError, ProviderUnavailable, PushError

_LOGIN_REMEDY = (
    "Check login and password of the connection. QQ, 163, 126 and most Chinese mailboxes: use the "
    "authorisation code from the mailbox's settings, not the mailbox password; Gmail and Outlook: an "
    "app password or OAuth 2"
)
_SENDER_REMEDY = "Most services take no other sender than the login: correct the From address (from_email)"
_NO_LOGIN_REMEDY = "Give the connection a login and password, or correct its sender"
_NO_SUCH_MAILBOX = (b"5.1.1", b"5.1.2", b"5.1.3", b"5.1.6", b"5.2.1")
"""Beginnings of enhanced status codes that speak of the recipient alone (RFC 3463, 3.2 and 3.3)."""
_WHOLE = 3
"""How many times the limit of one reply all of connecting may take, which has seven of them."""
# On a line in clear, the method that does not show the password goes first.
_PROTECTED = ("PLAIN", "LOGIN", "CRAM-MD5")
_CLEAR = ("CRAM-MD5", "PLAIN", "LOGIN")


def connect(config: SmtpConfig, *, within: float | None = None) -> Client:
    """Open a connection that is ready for MAIL.

    All of it takes at most three times ``config.timeout``; afterwards each reply has its own end alone.

    :param config: the mail account.
    :param within: seconds for all of it, and for what is said on the connection afterwards.
    :return: the smtplib client after EHLO, TLS and login, with ``esmtp_features`` filled.
    :raises ConfigurationError: login refused, TLS impossible, method not offered, client refused for good, or the
        server cannot carry the sender's address.
    :raises ProviderUnavailable: not reachable, no answer in ``config.timeout`` seconds, or refused for now.
    """
    stack = contextlib.ExitStack()
    with stack:
        try:
            client = _open(config, stack, _WHOLE * config.timeout if within is None else within)
            _check_sender(client, config)
            if config.user or config.access_token:
                _login(client, config)
            if within is None:
                client.lift()
        except PushError:
            raise
        except smtplib.SMTPServerDisconnected as error:
            raise ProviderUnavailable(f"{_name(config)} closed the connection: {error}") from None
        except smtplib.SMTPResponseException as error:
            if isinstance(error.smtp_error, str):  # smtplib's own words for a reply that has no end
                raise ProviderUnavailable(f"{_name(config)} does not speak SMTP: {error.smtp_error}") from None
            raise _refused(config, error.smtp_code, error.smtp_error) from None
        except ssl.SSLError as error:
            raise _tls(config, error) from error
        except OSError as error:
            raise ProviderUnavailable(f"{_name(config)} cannot be reached: {error}") from error
        except (smtplib.SMTPException, ValueError, OverflowError) as error:
            # ValueError: what cannot be a host or port at all (UnicodeError is one).
            raise ConfigurationError(f"{_name(config)} cannot be used: {error}") from None
        stack.pop_all()
    return client


def offer(client: smtplib.SMTP, config: SmtpConfig) -> str | None:
    """Ask whether the server takes mail of the sender, addressed to the sender, and take it back.

    :param client: as :func:`connect` gives it.
    :return: what is worth knowing though it does, or None.
    :raises ConfigurationError: it does not, such as without a login.
    :raises ProviderUnavailable: it does not just now.
    :raises OSError: the connection broke.
    """
    sender = config.from_email
    options = []
    if not sender.isascii():
        options = ["SMTPUTF8", "BODY=8BITMIME"]
    refused = f"mail from {sender}"
    code, words = client.mail(sender, options)
    if 200 <= code < 300:
        refused += " to the same"
        code, words = client.rcpt(sender)
        with contextlib.suppress(OSError):
            client.rset()
        if 500 <= code < 600 and words.startswith(_NO_SUCH_MAILBOX):
            return f"It has no mailbox {sender}, so answers and bounces will get lost"
    if 200 <= code < 300:
        return None
    error = _refused(config, code, words, refused)
    if isinstance(error, ConfigurationError):
        raise ConfigurationError(f"{error}. {_SENDER_REMEDY if config.user else _NO_LOGIN_REMEDY}.")
    raise error


def _name(config: SmtpConfig) -> str:
    return f"Connection {config.connection!r}: the mail server {config.host}:{config.port}"


def _open(config: SmtpConfig, stack: contextlib.ExitStack, whole: float) -> Client:
    context = None if config.tls is Tls.NONE else _context(config)
    client = Client(
        config.host,
        config.port,
        timeout=config.timeout,
        whole=whole,
        tls=context if config.tls is Tls.IMPLICIT else None,
    )
    stack.callback(client.close)
    sock = _socket(client)
    # Else the last segment of a large mail waits for the server's delayed acknowledgement.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    code, words = client.getreply()
    if code != 220:
        raise smtplib.SMTPConnectError(code, words)
    client.local_hostname = _own_name(sock)
    _greet(client, config)
    if config.tls in (Tls.OPPORTUNISTIC, Tls.REQUIRED):
        if client.has_extn("starttls"):
            code, words = client.starttls(context=context)
            if code != 220:
                raise _refused(config, code, words, "STARTTLS")
            _greet(client, config)
        elif config.tls is Tls.REQUIRED:
            raise ConfigurationError(
                f"{_name(config)} does not offer STARTTLS, which the connection requires. "
                "Use its TLS port with secure, or allow mail in clear."
            )
    return client


def _check_sender(client: smtplib.SMTP, config: SmtpConfig) -> None:
    # With 8BITMIME, which whoever offers the one has to offer, too (RFC 6531, 3.1).
    if not config.from_email.isascii() and not (client.has_extn("smtputf8") and client.has_extn("8bitmime")):
        raise ConfigurationError(
            f"{_name(config)} does not offer SMTPUTF8 (RFC 6531), which the sender {config.from_email!r} needs. "
            "Use a sender of ASCII alone (from_email), or another mail server."
        )


def _socket(client: smtplib.SMTP) -> socket.socket:
    sock = client.sock
    if sock is None:
        raise smtplib.SMTPServerDisconnected("no socket")
    return sock


def _own_name(sock: socket.socket) -> str:
    """What EHLO says: our full host name, or the address as a literal (RFC 5321, 4.1.1.1 and 4.1.3)."""
    name = socket.gethostname()
    if "." in name and name.isascii() and " " not in name:
        return name
    address = str(sock.getsockname()[0])
    return f"[IPv6:{address.partition('%')[0]}]" if ":" in address else f"[{address}]"


def _greet(client: smtplib.SMTP, config: SmtpConfig) -> None:
    code, words = client.ehlo()
    if 500 <= code < 600:
        code, words = client.helo()
    if not 200 <= code < 300:
        raise _refused(config, code, words, "EHLO")


def _context(config: SmtpConfig) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not config.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if config.ciphers:
        try:
            context.set_ciphers(config.ciphers)
        except ssl.SSLError:
            raise ConfigurationError(
                f"Connection {config.connection!r}: OpenSSL knows none of the ciphers {config.ciphers!r}; "
                "write an OpenSSL cipher list, or leave the field empty."
            ) from None
    return context


def _tls(config: SmtpConfig, error: ssl.SSLError) -> PushError:
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError | ssl.SSLSyscallError):
        return ProviderUnavailable(f"{_name(config)} closed the connection during the TLS handshake.")
    if isinstance(error, ssl.SSLCertVerificationError):
        return ConfigurationError(
            f"{_name(config)} has a certificate that is not trusted: {error.verify_message}. "
            "Check the host name, or have its authority installed on this machine."
        )
    return ConfigurationError(
        f"{_name(config)} and we find no common TLS: {error.reason or error}. "
        "Check that port and TLS mode belong together (465 with secure, 587 or 25 without), and the ciphers."
    )


def _refused(config: SmtpConfig, code: int, words: bytes | str, what: str = "the connection") -> PushError:
    text = _scrub(words, config)
    if 500 <= code < 600:
        return ConfigurationError(f"{_name(config)} refuses {what}: {code} {text}")
    if 400 <= code < 500:
        return ProviderUnavailable(f"{_name(config)} refuses {what} for now: {code} {text}")
    return ProviderUnavailable(f"{_name(config)} does not speak SMTP at {what}: {code} {text}")


def _scrub(words: bytes | str, config: SmtpConfig) -> str:
    """The server's words on one line, without our secrets should it repeat them."""
    text = words.decode("utf-8", "replace") if isinstance(words, bytes) else words
    for secret in (config.password, config.access_token):
        if secret:
            encoded = base64.b64encode(secret.encode("utf-8", "replace")).decode()
            text = text.replace(secret, "***").replace(encoded, "***")
    return "".join(c if c.isprintable() else " " for c in text)[:500]


# --- login --------------------------------------------------------------------------------------------


def _login(client: smtplib.SMTP, config: SmtpConfig) -> None:
    offered = client.esmtp_features.get("auth", "").upper().split()
    if config.access_token:
        wanted: tuple[str, ...] = ("XOAUTH2",)
    elif config.auth_method:
        wanted = (config.auth_method.upper(),)
    else:
        wanted = _PROTECTED if isinstance(client.sock, ssl.SSLSocket) else _CLEAR
    methods = [method for method in wanted if method in offered]
    if not methods:
        raise ConfigurationError(
            f"{_name(config)} does not offer login by {' or '.join(wanted)}; "
            + (f"it offers {' '.join(offered)}." if offered else "it offers none, perhaps only after TLS.")
        )
    for last, method in enumerate(methods, start=1 - len(methods)):
        try:
            _authenticate(client, config, method)
        except smtplib.SMTPAuthenticationError as error:
            # 504 and 534 are about the method (RFC 4954, 6). A refused password is not tried again:
            # accounts get locked for that.
            if error.smtp_code in (504, 534) and last < 0:
                continue
            text = _scrub(error.smtp_error, config)
            if not 500 <= error.smtp_code < 600:
                raise ProviderUnavailable(
                    f"{_name(config)} cannot check the login just now: {error.smtp_code} {text}"
                ) from None
            raise ConfigurationError(
                f"{_name(config)} refuses the login of {config.user!r}: {error.smtp_code} {text}. {_LOGIN_REMEDY}."
            ) from None
        else:
            return


def _authenticate(client: smtplib.SMTP, config: SmtpConfig, method: str) -> None:
    """AUTH (RFC 4954, 4). Not by smtplib, which takes ASCII alone: logins and passwords are UTF-8 (RFC 4616, 2)."""
    user, password, token = (_octets(config, text) for text in (config.user, config.password, config.access_token))
    plain = b"\0" + user + b"\0" + password
    # Google's and Microsoft's. Source: https://developers.google.com/workspace/gmail/imap/xoauth2-protocol
    bearer = b"user=" + user + b"\x01auth=Bearer " + token + b"\x01\x01"
    responses: dict[str, tuple[bool, list[Callable[[bytes], bytes]]]] = {
        # Whether the first goes out with the command, and the responses to one challenge after the other.
        "PLAIN": (True, [lambda _: plain, lambda _: plain]),  # some servers ask though they have been told
        "LOGIN": (False, [lambda _: user, lambda _: password]),  # the user in the command is known to few
        "CRAM-MD5": (False, [lambda challenge: _cram_md5(user, password, challenge)]),
        "XOAUTH2": (True, [lambda _: bearer, lambda _: b""]),  # its challenge is an error, to be answered with nothing
    }
    if method not in responses:
        raise ConfigurationError(
            f"{_name(config)}: {method!r} is not a login method here; use {', '.join(responses)} or leave it empty."
        )
    at_once, todo = responses[method]
    said = [_base64(todo.pop(0)(b""))] if at_once else []
    code, words = client.docmd("AUTH", " ".join((method, *said)))
    while code == 334 and todo:
        said.append(_base64(todo.pop(0)(words)))
        code, words = client.docmd(said[-1])
    if code not in (235, 503):  # 503: it takes us for logged in already
        for line in filter(None, said):
            words = words.replace(line.encode(), b"***")
        raise smtplib.SMTPAuthenticationError(code, words)


def _octets(config: SmtpConfig, text: str | None) -> bytes:
    with contextlib.suppress(UnicodeEncodeError):
        octets = (text or "").encode()
        if b"\0" not in octets:
            return octets
    # Not chained: that error carries the whole string, which is the secret.
    raise ConfigurationError(
        f"{_name(config)}: login or password has a character that cannot be sent: NUL, or half of a surrogate pair. "
        f"{_LOGIN_REMEDY}."
    )


def _base64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


def _cram_md5(user: bytes, password: bytes, challenge: bytes) -> bytes:
    """The response of RFC 2195, 2."""
    return user + b" " + hmac.new(password, base64.b64decode(challenge), "md5").hexdigest().encode()
