"""Calls of FCM's HTTP v1 API: many at the same time on few connections of HTTP/2, with a service account's tokens."""

from __future__ import annotations

import asyncio
import email.utils
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from push_provider.channels.app.fcm_codes import meaning
from push_provider.channels.app.fcm_config import STREAMS
from push_provider.connections.unanswered import NoAnswer, NotSent
from push_provider.exceptions import ConfigurationError, ProviderUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

    from push_provider.channels.app.fcm_config import FcmConfig

SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
ANSWER_BYTES = 1 << 18
_WHOLE = 3
"""How many times the limit of one answer a call may wait for a connection."""


class Answer(NamedTuple):
    """FCM's answer.

    :param code: empty if it took the message; else an error code of FCM, or a status.
    :param text: the message's name, or FCM's words.
    :param retry_after: seconds after which it wants to be asked again, if it said so.
    """

    code: str
    text: str
    retry_after: float | None = None


class FcmClient:
    """One Firebase project. One thread at a time may use it.

    :param config: the project.
    """

    def __init__(self, config: FcmConfig) -> None:
        self.config = config
        self._url = f"{config.endpoint}/v1/projects/{config.project}/messages:send"
        self._clients: list[httpx.AsyncClient] = []
        self._credentials: Any = None
        self._transport: Any = None

    @property
    def token(self) -> str:
        """The token that calls go with; empty before there is one."""
        return str(self._credentials.token or "") if self._credentials is not None else ""

    def authorize(self, *, instead_of: str | None = None) -> None:
        """Have a token that is good for some minutes.

        :param instead_of: one that FCM did not take. Of many calls that it was refused to, the first gets another.
        :raises ConfigurationError: the service account is refused.
        :raises ProviderUnavailable: there is no answer.
        """
        from google.auth.exceptions import GoogleAuthError, MalformedError, RefreshError, TransportError

        try:
            if self._credentials is None:
                self._credentials = self._account()
            if not self._credentials.valid or self.token == instead_of:
                self._credentials.refresh(self._transport)
        except RefreshError as error:
            raise self._refused(error) from None
        except TransportError as error:
            what = f"{self.config.account['token_uri']} gives no token ({type(error).__name__})"
            raise ProviderUnavailable(f"Connection {self.config.connection!r}: {what}.") from None
        except (MalformedError, GoogleAuthError, ValueError):
            # What it says may repeat the key.
            what = "field 'password' holds no usable private key; enter the JSON file of a service account"
            raise ConfigurationError(f"Connection {self.config.connection!r}: {what}.") from None

    def _account(self) -> Any:
        from google.auth.transport.requests import Request
        from google.oauth2.service_account import Credentials

        from push_provider.connections.bounded_http import bounded_session

        request = Request(bounded_session(timeout=self.config.timeout, connections=1))
        seconds = self.config.timeout
        self._transport = lambda *args, **options: request(*args, **{**options, "timeout": seconds})
        typed: Any = Credentials  # whose types are not said
        return typed.from_service_account_info(dict(self.config.account), scopes=[SCOPE])

    def _refused(self, error: Any) -> Exception:
        words = str(error.args[0] if error.args else error)[:200]
        if error.retryable:
            return ProviderUnavailable(f"Connection {self.config.connection!r}: Google gives no token ({words}).")
        remedy = meaning("UNAUTHENTICATED").remedy
        return ConfigurationError(
            f"Connection {self.config.connection!r}: Google refuses the service account ({words}); {remedy}."
        )

    def refusal(self, answer: Answer) -> ConfigurationError:
        """The error of an answer that concerns the account or the project."""
        return ConfigurationError(
            f"Connection {self.config.connection!r}: FCM refuses project {self.config.project!r} with {answer.code} "
            f"({answer.text[:200]}); {meaning(answer.code).remedy}."
        )

    async def send(self, message: dict[str, Any], lane: int = 0) -> Answer:
        """Send one message.

        :param lane: calls of one lane share a connection: at most :data:`STREAMS` at the same time.
        :raises NotSent: it never reached FCM.
        :raises NoAnswer: it may have been carried out.
        """
        import httpx

        where = self.config.endpoint
        client = self._client(lane)
        content = msgspec.json.encode(message)
        headers = {
            "Authorization": f"Bearer {self.token}",
            "Content-Type": "application/json",
            "Content-Length": str(len(content)),
        }
        begun = False
        # httpx gives TCP and TLS their time each; this ends waiting for a connection that another call makes.
        end = asyncio.timeout(_WHOLE * self.config.timeout)

        async def said() -> AsyncIterator[bytes]:
            # Asked for when there is a connection: from here on it may be carried out, and the answer has its own time.
            nonlocal begun
            begun = True
            end.reschedule(asyncio.get_running_loop().time() + self.config.timeout)
            yield content

        try:
            async with end, client.stream("POST", self._url, content=said(), headers=headers) as answer:
                body = bytearray()
                async for piece in answer.aiter_bytes():
                    body += piece
                    if len(body) > ANSWER_BYTES:
                        raise NoAnswer("protocol", f"{where} answered with more than {ANSWER_BYTES >> 10} KiB")
        except (TimeoutError, httpx.HTTPError) as error:
            if not begun:
                raise NotSent(f"{where} cannot be reached ({type(error).__name__})") from None
            if isinstance(error, TimeoutError | httpx.TimeoutException):
                raise NoAnswer("timeout", f"{where} did not answer in {self.config.timeout:g} s") from None
            raise NoAnswer("connection", f"{where} broke the connection off ({type(error).__name__})") from None
        return _answer(where, answer.status_code, bytes(body), _seconds(answer.headers.get("retry-after")))

    def _client(self, lane: int) -> httpx.AsyncClient:
        import httpx

        if not self._clients:
            secure = self.config.endpoint.startswith("https:")
            # Without TLS nobody says whether the server speaks HTTP/2: it is then one call a connection.
            limits = httpx.Limits(max_connections=1 if secure else STREAMS)
            self._clients = [
                httpx.AsyncClient(http2=secure, limits=limits, timeout=self.config.timeout, trust_env=secure)
                for _ in range(self.config.max_connections)
            ]
        return self._clients[lane % len(self._clients)]

    async def close(self) -> None:
        """Close all connections."""
        for client in self._clients:
            await client.aclose()
        self._clients = []


def _answer(where: str, status: int, body: bytes, retry_after: float | None) -> Answer:
    try:
        document = msgspec.json.decode(body)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise NoAnswer("protocol", f"{where} answered with HTTP status {status} and something else than JSON")
    if status == 200 and isinstance(document.get("name"), str):
        return Answer("", document["name"].rpartition("/")[2])
    error = document.get("error")
    if not isinstance(error, dict):
        raise NoAnswer("protocol", f"{where} answered with HTTP status {status} without an error code")
    details = [one.get("errorCode") for one in error.get("details") or () if isinstance(one, dict)]
    code = next((one for one in details if one), None) or error.get("status") or str(status)
    return Answer(str(code), " ".join(str(error.get("message", "")).split()), retry_after)


def _seconds(text: str | None) -> float | None:
    """What Retry-After says: seconds, or a date (RFC 9110, 10.2.3)."""
    if not text:
        return None
    if text.strip().isdecimal():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None
