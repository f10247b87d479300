"""Calls of Centrifugo's server API over HTTP, each with one of four ends.

Centrifugo answers; the call surely never reached it (:class:`NotSent`); it may have been carried out and no answer came
(:class:`NoAnswer`); or something answered for the call as a whole (:class:`Refused`). A publication has a key, by which
Centrifugo knows for five minutes that it was there before, so that each of these calls may be made again
(https://centrifugal.dev/docs/server/server_api).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from push_provider.connections.unanswered import NoAnswer, NotSent
from push_provider.exceptions import ConfigurationError, ProviderUnavailable

if TYPE_CHECKING:
    from push_provider.channels.websocket.centrifugo_config import CentrifugoConfig

BATCH = 500
"""Publications of one call: beyond it, more of them are no faster (57,000 a second on two cores)."""
BATCH_BYTES = 1 << 20
"""Octets of messages in one call, unless a single one has more."""


class Refused(Exception):
    """A status of HTTP other than 200, and 504: nothing was done.

    :param status: it.
    :param retry_after: seconds after which the caller wants to be asked again, if it said so.
    """

    def __init__(self, status: int, message: str, retry_after: float | None = None) -> None:
        self.status = status
        self.retry_after = retry_after
        super().__init__(message)


class Publication(NamedTuple):
    """One message.

    :param id: the delivery's number.
    :param channel: that it is published to.
    :param key: by which Centrifugo knows that it was there before, and clients too.
    :param data: JSON, as bytes.
    """

    id: int
    channel: str
    key: str
    data: bytes


class Reply(NamedTuple):
    """What became of one publication.

    :param code: of Centrifugo's; 0: it was published.
    :param message: Centrifugo's words.
    """

    code: int = 0
    message: str = ""


class _Error(msgspec.Struct):
    code: int = 0
    message: str = ""


class _OneReply(msgspec.Struct):
    error: _Error | None = None


class _Replies(msgspec.Struct):
    replies: list[_OneReply]


_ENCODER = msgspec.json.Encoder()
_REPLIES = msgspec.json.Decoder(_Replies)


class CentrifugoClient:
    """The server API of one Centrifugo. Several threads may use it; :meth:`close` it.

    :param config: of which.
    """

    def __init__(self, config: CentrifugoConfig) -> None:
        from push_provider.connections.bounded_http import bounded_session

        self.config = config
        self._session = bounded_session(timeout=config.timeout, connections=config.max_connections)
        self._session.headers.update({"X-API-Key": config.api_key, "Content-Type": "application/json"})

    def publish(self, publications: Sequence[Publication]) -> list[Reply]:
        """Publish messages, in their order.

        :returns: a reply for each.
        :raises NotSent, NoAnswer, Refused: of all of them.
        """
        commands = [
            {"publish": {"channel": one.channel, "data": msgspec.Raw(one.data), "idempotency_key": one.key}}
            for one in publications
        ]
        answer = self._post("batch", _ENCODER.encode({"commands": commands}))
        try:
            replies = _REPLIES.decode(answer).replies
        except msgspec.MsgspecError as error:
            raise NoAnswer("protocol", f"{self._where} does not answer as Centrifugo does: {error}") from None
        if len(replies) != len(publications):
            raise NoAnswer("protocol", f"{self._where} answers {len(replies)} of {len(publications)} commands")
        return [Reply(one.error.code, one.error.message) if one.error else _PUBLISHED for one in replies]

    def ask(self, method: str, **fields: Any) -> dict[str, Any]:
        """Make a call that changes nothing.

        :param method: of the server API.
        :returns: its answer: ``result`` or ``error``.
        :raises ConfigurationError: it is refused as a whole.
        :raises ProviderUnavailable: there is no answer.
        """
        try:
            answer = msgspec.json.decode(self._post(method, _ENCODER.encode(fields)), type=dict[str, Any])
        except Refused as error:
            raise self.refusal(error) from None
        except (NotSent, NoAnswer, msgspec.MsgspecError) as error:
            raise ProviderUnavailable(f"Connection {self.config.connection!r}: {error}; try again later.") from None
        return answer

    def refusal(self, error: Refused) -> ConfigurationError | ProviderUnavailable:
        """The error that a refused call is for whoever sends."""
        from push_provider.channels.codes import Fault
        from push_provider.channels.websocket.codes import status_meaning

        says = status_meaning(error.status)
        name = f"Connection {self.config.connection!r}"
        if says.fault is Fault.ACCOUNT:
            return ConfigurationError(f"{name}: {error}; {says.remedy}.")
        return ProviderUnavailable(f"{name}: {error}.", retry_after=error.retry_after)

    def close(self) -> None:
        """Close its connections."""
        self._session.close()

    @property
    def _where(self) -> str:
        return self.config.address

    def _post(self, method: str, body: bytes) -> bytes:
        import requests

        from push_provider.connections.bounded_http import AnswerLeadsElsewhere, AnswerTooLong

        try:
            answer = self._session.post(f"{self.config.address}/api/{method}", data=body)
        except AnswerLeadsElsewhere as error:
            raise Refused(404, f"{self._where} answers with a redirect ({error})") from None
        except AnswerTooLong:
            raise NoAnswer("protocol", f"{self._where} answers without an end") from None
        except requests.ConnectTimeout:
            raise NotSent(f"{self._where} cannot be reached in {self.config.timeout:g} s") from None
        except requests.Timeout:
            raise NoAnswer("timeout", f"{self._where} gave no answer in {self.config.timeout:g} s") from None
        except requests.ConnectionError as error:
            if _never_began(error):
                raise NotSent(f"{self._where} cannot be reached") from None
            raise NoAnswer("connection", f"{self._where} broke the connection before its answer") from None
        except requests.RequestException as error:
            raise NotSent(f"{self._where} cannot be asked ({type(error).__name__})") from None
        if answer.status_code == 504:  # of a proxy, which did not wait for Centrifugo's
            raise NoAnswer("timeout", f"{self._where} answers with HTTP status 504")
        if answer.status_code != 200:
            raise Refused(
                answer.status_code,
                f"{self._where} answers with HTTP status {answer.status_code}",
                _seconds(answer.headers.get("Retry-After")),
            )
        return bytes(answer.content)


_PUBLISHED = Reply()


def _never_began(error: Exception) -> bool:
    """Whether a connection was never made: urllib3 says so in what requests wraps."""
    from requests.exceptions import ProxyError, SSLError
    from urllib3.exceptions import NewConnectionError

    if isinstance(error, ProxyError | SSLError):
        return True
    (reason, *_) = error.args or (None,)
    return isinstance(getattr(reason, "reason", reason), NewConnectionError)


def _seconds(text: str | None) -> float | None:
    """Retry-After in seconds (RFC 9110, 10.2.3); a date is not waited for."""
    return float(text) if text and text.isascii() and text.isdecimal() and len(text) < 7 else None
