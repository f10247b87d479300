"""Firebase Cloud Messaging in the sandbox: tokens for its service account, and messages to devices.

Tokens are given as Google gives them (RFC 7523, https://developers.google.com/identity/protocols/oauth2/service-account),
after the JWT's signature, RS256 with the account's key, and its times were verified. Messages and errors are those of
https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages and …/ErrorCode .
"""

from __future__ import annotations

import json
import re
import secrets
from collections import Counter, deque
from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

import jwt

from sandbox.app_store import AppMessage, AppStore
from sandbox.fcm_account import PROJECT, TOKEN_PATH
from sandbox.sms_faults import SLOW_SECONDS, Fault, Faults
from sandbox.sms_gateway import CALLS, Call, Reply
from sandbox.sms_signature import Request, parse_query

SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
TOKEN_SECONDS = 3600
SKEW = timedelta(minutes=5)
PAYLOAD_BYTES = 4096
_SEND = re.compile(r"/v1/projects/([^/:]+)/messages:send")
_FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}


class _Refusal(Exception):
    """An answer with an error; ``code`` is FCM's, or empty for a status alone."""

    def __init__(self, status: int, message: str, code: str = "") -> None:
        self.status, self.message, self.code = status, message, code
        super().__init__(message)

    def as_json(self) -> dict[str, Any]:
        error: dict[str, Any] = {"code": self.status, "message": self.message, "status": _STATUS.get(self.status, "")}
        if self.code:
            error["details"] = [{"@type": _FCM_ERROR, "errorCode": self.code}]
        return {"error": error}


ERRORS: Mapping[str, int] = MappingProxyType(
    {
        "UNSPECIFIED_ERROR": 500,
        "INVALID_ARGUMENT": 400,
        "UNREGISTERED": 404,
        "SENDER_ID_MISMATCH": 403,
        "QUOTA_EXCEEDED": 429,
        "UNAVAILABLE": 503,
        "INTERNAL": 500,
        "THIRD_PARTY_AUTH_ERROR": 401,
    }
)
"""Error codes of FCM, and the HTTP statuses they come with."""
FATES: Mapping[str, str | Fault] = MappingProxyType(
    {
        "gone-": "UNREGISTERED",
        "other-": "SENDER_ID_MISMATCH",
        "busy-": "UNAVAILABLE",
        "slow-": Fault("slow", seconds=SLOW_SECONDS),
        "cut-": Fault("drop_after"),
    }
)
"""What becomes of a message because of its token, by how that begins."""


class FcmGateway:
    """Google's token endpoint and FCM without their sockets. Calls from one thread.

    :param store: where messages go; its clock is the gateway's.
    :param account: the service account that is known.
    """

    def __init__(self, store: AppStore, account: Mapping[str, Any]) -> None:
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        self.store = store
        self.faults = Faults()
        self.counts: Counter[str] = Counter()
        """Requests by action, ``token`` and ``send``."""
        self.calls: deque[Call] = deque(maxlen=CALLS)
        self._email = account["client_email"]
        self._key = load_pem_private_key(account["private_key"].encode(), None).public_key()
        self._tokens: dict[str, datetime] = {}

    @property
    def actions(self) -> tuple[str, ...]:
        """What it can be asked to do."""
        return ("token", "send")

    def forget_calls(self) -> None:
        """Count from 0 again."""
        self.counts.clear()
        self.calls.clear()

    def forget_tokens(self) -> None:
        """Take none of those any more that were given."""
        self._tokens.clear()

    @staticmethod
    def serves(path: str) -> bool:
        """Whether a request is for this gateway."""
        return path == TOKEN_PATH or path.startswith("/v1/projects/")

    def answer(self, request: Request) -> Reply:
        """Carry a request out, and say what the client gets."""
        action = "token" if request.path == TOKEN_PATH else "send"
        self.counts[action] += 1
        fault = self.faults.take(action)
        code, status, numbers = "", 200, 0
        try:
            if fault is None or fault.kind in ("slow", "drop_after"):
                body, own = self._carry_out(action, request)
                fault = fault or own
                numbers = int(action == "send")
            elif fault.kind == "refuse":
                raise _Refusal(ERRORS.get(fault.code, fault.status), fault.message, fault.code)
            else:
                body = {}
        except _Refusal as refusal:
            code, status = refusal.code or _STATUS.get(refusal.status, ""), refusal.status
            body = refusal.as_json()
        except _NoToken as error:
            code, status = error.code, 400
            body = {"error": error.code, "error_description": error.description}
        reply = _reply(fault, body, status)
        answered = reply.then == "answer"
        self.calls.append(
            Call(
                at=self.store.clock(),
                action=action,
                code=code if answered else "",
                status=reply.status if answered else 0,
                numbers=numbers,
                fault=fault.kind if fault else "",
            )
        )
        return reply

    def _carry_out(self, action: str, request: Request) -> tuple[dict[str, Any], Fault | None]:
        if action == "token":
            return self._token(dict(parse_query(request.body.decode("utf-8", "replace")))), None
        if request.method != "POST" or not (match := _SEND.fullmatch(request.path)):
            raise _Refusal(404, "Requested entity was not found.")
        scheme, _, token = request.header("authorization").partition(" ")
        until = self._tokens.get(token) if scheme == "Bearer" else None
        if until is None or until <= self.store.clock():
            raise _Refusal(401, "Request had invalid authentication credentials.")
        if match[1] != PROJECT:
            raise _Refusal(403, f"Permission 'cloudmessaging.messages.create' denied on resource {match[1]!r}.")
        return self._send(request.body)

    def _token(self, form: Mapping[str, str]) -> dict[str, Any]:
        if form.get("grant_type") != GRANT:
            raise _NoToken("unsupported_grant_type", "Invalid grant_type.")
        assertion = form.get("assertion", "")
        try:
            claims = jwt.decode(assertion, options={"verify_signature": False})
        except jwt.InvalidTokenError:
            raise _NoToken("invalid_grant", "Invalid JWT.") from None
        if claims.get("iss") != self._email:
            raise _NoToken("invalid_grant", "Invalid grant: account not found")
        try:
            times = dict.fromkeys(("verify_exp", "verify_iat", "verify_nbf", "verify_aud"), False)
            jwt.decode(assertion, self._key, algorithms=["RS256"], options=times)  # type: ignore[arg-type]
        except jwt.InvalidTokenError:
            raise _NoToken("invalid_grant", "Invalid JWT Signature.") from None
        now = self.store.clock().timestamp()
        issued, until = claims.get("iat", 0), claims.get("exp", 0)
        if issued > now + SKEW.total_seconds() or until <= now or until - issued > 3600:
            text = "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe."
            raise _NoToken("invalid_grant", f"{text} Check your iat and exp values in the JWT claim.")
        if claims.get("scope") != SCOPE:
            raise _NoToken("invalid_scope", "Invalid OAuth scope or ID token audience provided.")
        token = f"ya29.{secrets.token_urlsafe(40)}"
        self._tokens[token] = self.store.clock() + timedelta(seconds=TOKEN_SECONDS)
        return {"access_token": token, "expires_in": TOKEN_SECONDS, "token_type": "Bearer"}

    def _send(self, body: bytes) -> tuple[dict[str, Any], Fault | None]:
        try:
            document = json.loads(body)
            message = document["message"]
            token = message["token"]
            shown, data = message.get("notification") or {}, message.get("data") or {}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise _Refusal(400, "Invalid JSON payload received.") from None
        if not isinstance(token, str) or not token:
            raise _Refusal(400, "The registration token is not a valid FCM registration token", "INVALID_ARGUMENT")
        if any(not isinstance(value, str) for value in data.values()):
            raise _Refusal(400, "Invalid value at 'message.data[0].value' (TYPE_STRING)")
        if len(json.dumps([shown, data], ensure_ascii=False).encode()) > PAYLOAD_BYTES + 64:
            raise _Refusal(400, "Message too big", "INVALID_ARGUMENT")
        if document.get("validate_only") is True:
            return {"name": f"projects/{PROJECT}/messages/fake_message_id"}, None
        fate = next((fate for start, fate in FATES.items() if token.startswith(start)), None)
        if isinstance(fate, str):
            raise _Refusal(ERRORS[fate], f"The sandbox answers so of tokens that begin like {token[:5]!r}.", fate)
        name = self.store.name()
        kind = "notification" if shown else "message"
        title, text = shown.get("title") or data.get("title", ""), shown.get("body") or data.get("content", "")
        now = self.store.clock()
        self.store.add(AppMessage(name, now, "fcm", PROJECT, "device", token, kind, title, text, message))
        return {"name": f"projects/{PROJECT}/messages/{name}"}, fate


class _NoToken(Exception):
    """The token endpoint says no (RFC 6749, 5.2)."""

    def __init__(self, code: str, description: str) -> None:
        self.code, self.description = code, description
        super().__init__(description)


def _reply(fault: Fault | None, answer: Mapping[str, Any], status: int) -> Reply:
    headers: list[tuple[str, str]] = []
    if fault is not None and fault.retry_after is not None:
        headers.append(("Retry-After", str(round(fault.retry_after / 1000))))
    seconds = fault.seconds if fault else 0.0
    match fault.kind if fault else None:
        case "hang":
            return Reply("hang")
        case "drop" | "drop_after":
            return Reply("cut", seconds=seconds)
        case "http":
            assert fault is not None
            return Reply("answer", fault.status, fault.body.encode(), "text/html", seconds, tuple(headers))
    body = json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace")
    return Reply("answer", status, body, "application/json; charset=UTF-8", seconds, tuple(headers))
