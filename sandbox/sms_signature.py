"""Whether a request to the SMS gateway is signed with the secret of the key it names.

The signature is ACS3-HMAC-SHA256, written from Aliyun's description, "V3 request structure and signature":
https://help.aliyun.com/zh/sdk/product-overview/v3-request-structure-and-signature . In short: a canonical
form of the request (method, path, sorted query, signed header fields, hash of the body) is hashed, and
HMAC-SHA256 with the secret over the algorithm's name and that hash is the signature. This shares no code
with the SDK, or it would find any request of the SDK right.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, quote

from sandbox.sms_refusal import Refusal

ACCESS_KEY_ID = "LTAI5tPushSandboxDevelop"
ACCESS_KEY_SECRET = "push-sandbox-secret-of-no-worth"  # noqa: S105 - it opens nothing but the sandbox
"""The key that the sandbox knows, unless the environment names another: see :func:`access_key`."""

ALGORITHM = "ACS3-HMAC-SHA256"
WINDOW = timedelta(minutes=15)
"""How far x-acs-date may be from now."""
NONCES = 500_000
"""Nonces after which a generation of them ends early, so that memory stays bounded."""

_AUTHORIZATION = re.compile(r"(\S+)\s+Credential=([^,\s]+)\s*,\s*SignedHeaders=([^,\s]+)\s*,\s*Signature=([0-9a-f]*)")
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_ALWAYS_SIGNED = frozenset(
    {"host", "x-acs-action", "x-acs-content-sha256", "x-acs-date", "x-acs-signature-nonce", "x-acs-version"}
)


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request, as its signature covers it.

    :param method: ``GET`` or ``POST``.
    :param path: without the query, as sent.
    :param query: name and value, decoded, in the order sent.
    :param headers: names in lower case; the values of a repeated field in the order sent.
    """

    method: str
    path: str
    query: Sequence[tuple[str, str]]
    headers: Mapping[str, Sequence[str]]
    body: bytes

    def header(self, name: str) -> str:
        """The value of a field, or an empty text."""
        return self.headers.get(name, ("",))[0].strip()


class Verifier:
    """Checks signatures, and remembers nonces for as long as they could be used again.

    :param keys: the secret of each access key id.
    """

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._keys = dict(keys)
        # Two generations: one ends when it is as old as a date can be early and late, or too large, and is
        # forgotten when the next one ends.
        self._nonces: set[str] = set()
        self._older: set[str] = set()
        self._since = datetime.min.replace(tzinfo=UTC)

    def verify(self, request: Request, now: datetime) -> str:
        """Accept the request, or say why not. A request that is refused uses up no nonce.

        :returns: the access key id that signed it.
        :raises Refusal: as Aliyun refuses it.
        """
        authorization = request.header("authorization")
        if not authorization:
            raise Refusal("MissingAccessKeyId", "AccessKeyId is mandatory for this action.", status=400)
        parts = _AUTHORIZATION.fullmatch(authorization)
        if parts is None or parts[1] != ALGORITHM:
            raise Refusal(
                "IncompleteSignature",
                f"The request signature does not conform to Aliyun standards: Authorization must be {ALGORITHM} "
                "Credential=…,SignedHeaders=…,Signature=….",
                status=400,
            )
        key, signed, signature = parts[2], parts[3].split(";"), parts[4]
        secret = self._keys.get(key)
        if secret is None:
            raise Refusal("InvalidAccessKeyId.NotFound", "Specified access key is not found.", status=404)
        unsigned = _unsigned(request, signed)
        if unsigned:
            raise Refusal(
                "IncompleteSignature",
                f"The request signature does not conform to Aliyun standards: it does not cover {', '.join(unsigned)}.",
                status=400,
            )
        self._check_date(request.header("x-acs-date"), now)
        text = string_to_sign(request, signed)
        if not hmac.compare_digest(sign(text, secret), signature):
            raise Refusal(
                "SignatureDoesNotMatch",
                f"Specified signature does not match our calculation. server StringToSign is [{text}]",
                status=400,
            )
        self._use_up(f"{key} {request.header('x-acs-signature-nonce')}", now)
        return key

    def _check_date(self, text: str, now: datetime) -> None:
        try:
            if not _DATE.fullmatch(text):
                raise ValueError(text)
            date = datetime.fromisoformat(text)
        except ValueError:
            raise Refusal(
                "InvalidTimeStamp.Format",
                "Specified time stamp or date value is not well formatted: x-acs-date is like 2026-01-31T08:00:00Z.",
                status=400,
            ) from None
        if abs(now - date) > WINDOW:
            raise Refusal("InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.", status=400)

    def _use_up(self, nonce: str, now: datetime) -> None:
        if now - self._since > 2 * WINDOW or len(self._nonces) >= NONCES:
            self._older = self._nonces if now - self._since <= 4 * WINDOW else set()
            self._nonces = set()
            self._since = now
        if nonce in self._nonces or nonce in self._older:
            raise Refusal("SignatureNonceUsed", "Specified signature nonce was used already.", status=400)
        self._nonces.add(nonce)


def access_key() -> tuple[str, str]:
    """Id and secret of the sandbox's key: the environment's, or those fixed for development.

    The environment and no option: other users of the machine can read command lines.
    """
    return (
        os.environ.get("PUSH_SANDBOX_SMS_KEY_ID") or ACCESS_KEY_ID,
        os.environ.get("PUSH_SANDBOX_SMS_KEY_SECRET") or ACCESS_KEY_SECRET,
    )


def parse_query(text: str) -> list[tuple[str, str]]:
    """Names and values of a query or a form, decoded, those without a value too."""
    return parse_qsl(text, keep_blank_values=True, errors="replace")


def string_to_sign(request: Request, signed: Sequence[str]) -> str:
    """What the signature is made over.

    :param signed: names of the signed header fields, in the order of SignedHeaders.
    """
    query = "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in sorted(request.query))
    fields = "".join(f"{name}:{','.join(value.strip() for value in request.headers[name])}\n" for name in signed)
    body = hashlib.sha256(request.body).hexdigest()
    canonical = f"{request.method}\n{request.path}\n{query}\n{fields}\n{';'.join(signed)}\n{body}"
    return f"{ALGORITHM}\n{hashlib.sha256(canonical.encode('utf-8', 'surrogateescape')).hexdigest()}"


def sign(text: str, secret: str) -> str:
    """The signature over a string to sign, in lower-case hexadecimal."""
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def _unsigned(request: Request, signed: Sequence[str]) -> list[str]:
    """What is not covered and must be, or is named and was not sent.

    Host, content-type and x-acs-… are to be signed wherever they are sent.
    """
    sent = {name for name in request.headers if name.startswith("x-acs-") or name == "content-type"}
    return sorted(((sent | _ALWAYS_SIGNED) - set(signed)) | (set(signed) - set(request.headers)))
