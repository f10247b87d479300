"""Calls of Aliyun's services through its own SDKs, each with one of three ends.

Aliyun answers (:class:`Answer`, whatever its code); the call surely never reached it (:class:`NotSent`); or it may
have been carried out and no answer came (:class:`NoAnswer`). The SDKs tell the last two apart only in the cause that
they hide.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from push_provider.addresses import bare
from push_provider.connections.aliyun_account import DEFAULT_MAX_CONNECTIONS, DEFAULT_REGION, DEFAULT_TIMEOUT
from push_provider.connections.fields import is_loopback
from push_provider.connections.unanswered import NoAnswer, NotSent
from push_provider.exceptions import ConfigurationError

if TYPE_CHECKING:
    from airflow.sdk import Connection
    from alibabacloud_tea_openapi.models import Config

    from push_provider.connections.aliyun_account import AliyunAccount
    from push_provider.connections.fields import Fields

OK = "OK"
HTTPS_PORT = 443
MAX_CONNECTIONS = 32
_REGION = re.compile(r"[a-z]{2}(-[a-z0-9]+)+")


class Answer(NamedTuple):
    """Aliyun's answer to a call.

    :param code: ``OK``, or an error code; each service's codes know what it means.
    :param message: Aliyun's words.
    :param body: the SDK's model of the answer; None if the gateway refused the call.
    :param retry_after: seconds after which Aliyun wants to be asked again, if it said so.
    :param status: of HTTP.
    """

    code: str
    message: str
    body: Any = None
    retry_after: float | None = None
    status: int = 200

    @property
    def ok(self) -> bool:
        """Whether the call was carried out."""
        return self.code == OK


def sdk_config(account: AliyunAccount) -> Config:
    """What an SDK's client is made of."""
    from alibabacloud_tea_openapi.models import Config

    return Config(
        access_key_id=account.access_key_id,
        access_key_secret=account.access_key_secret,
        region_id=account.region,
        endpoint=account.endpoint,
        protocol="HTTPS" if account.secure else "HTTP",
        connect_timeout=round(account.timeout * 1000),
        read_timeout=round(account.timeout * 1000),
        max_idle_conns=account.max_connections,
    )


def bound(account: AliyunAccount, endpoint: str) -> None:
    """Give an SDK the session that it makes its calls of this endpoint in.

    It makes one itself for each endpoint, whose answers have no end, and takes no other; what it has made it keeps
    here, by this name (``DaraCore._get_session``).

    :param endpoint: as the SDK has it.
    """
    from darabonba.core import DaraCore
    from darabonba.request import DaraRequest

    from push_provider.connections.bounded_http import bounded_session

    scheme = "https" if account.secure else "http"
    name = f"{scheme}://{endpoint}:{DaraRequest().port}:pool={account.max_connections}"
    if name not in DaraCore._sessions:  # noqa: SLF001
        session = bounded_session(timeout=account.timeout, connections=account.max_connections)
        DaraCore._sessions[name] = session  # noqa: SLF001


def call(account: AliyunAccount, function: Callable[..., Any], request: Any) -> Any:
    """Make a call once.

    :param function: of an SDK, one of those that take options.
    :returns: the body of an answer with HTTP status 200, as the SDK has it; None if there is none; or an
        :class:`Answer` by which Aliyun's gateway refuses the call.
    :raises NotSent: it never reached Aliyun.
    :raises NoAnswer: it may have been carried out.
    :raises ConfigurationError: the endpoint is not who it says it is.
    """
    from alibabacloud_tea_openapi.exceptions import AlibabaCloudException
    from darabonba.exceptions import UnretryableException
    from darabonba.runtime import RuntimeOptions

    try:
        response = function(request, RuntimeOptions(autoretry=False))
    except AlibabaCloudException as error:
        if not error.code or error.code == "None":  # the SDK's text for an error that has none
            raise NoAnswer("protocol", f"HTTP status {error.status_code} without an error code") from None
        said = (error.data or {}).get("Message") or error.message
        wait = error.retry_after
        after = wait / 1000 if wait else None
        return Answer(str(error.code), one_line(said), retry_after=after, status=error.status_code or 0)
    except UnretryableException as error:
        raise _lost(account, error.inner_exception) from None
    return response.body


def _lost(account: AliyunAccount, error: BaseException) -> Exception:
    """What to make of a call without an answer, from the cause that the SDK keeps."""
    import ssl

    import requests
    from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError, ProxyError

    from push_provider.connections.bounded_http import ANSWER_BYTES, AnswerLeadsElsewhere, AnswerTooLong

    # The SDK makes a RetryError of every OSError, in its handler: the cause is the context.
    cause = error.__context__ if isinstance(error.__context__, OSError) else error
    wrapped = next((arg for arg in cause.args if isinstance(arg, MaxRetryError)), None)
    reason = wrapped.reason if wrapped else None
    where = account.endpoint or f"Aliyun's endpoint for region {account.region}"
    chain = _chain(cause)
    if any(isinstance(link, ssl.SSLCertVerificationError) for link in chain):
        return ConfigurationError(
            f"Connection {account.connection!r}: {where} does not show a valid certificate of its name; "
            "correct the endpoint."
        )
    if isinstance(cause, requests.ConnectTimeout | requests.exceptions.InvalidURL) or isinstance(
        reason, ConnectTimeoutError | NewConnectionError | ProxyError
    ):
        return NotSent(f"{where} cannot be reached ({type(reason or cause).__name__})")
    if any(isinstance(link, AnswerTooLong) for link in chain):
        return NoAnswer("protocol", f"{where} answered with more than {ANSWER_BYTES >> 20} MiB")
    if isinstance(cause, AnswerLeadsElsewhere):
        return NoAnswer("protocol", f"{where} leads elsewhere instead of answering ({cause})")
    if isinstance(cause, requests.Timeout):
        return NoAnswer("timeout", f"{where} did not answer in {account.timeout:g} s")
    if isinstance(cause, OSError):
        return NoAnswer("connection", f"{where} broke the connection off ({type(cause).__name__})")
    return NoAnswer("protocol", f"{where} answered with something else than JSON ({type(cause).__name__})")


def _chain(error: BaseException | None) -> list[BaseException]:
    """An exception, and all that it wraps or was raised for."""
    found: list[BaseException] = []
    waiting: list[Any] = [error]
    while waiting and len(found) < 20:
        link = waiting.pop()
        if isinstance(link, BaseException) and link not in found:
            found.append(link)
            waiting += [*link.args, getattr(link, "reason", None), link.__cause__, link.__context__]
    return found


def refusal(account: AliyunAccount, answer: Answer, remedy: str) -> ConfigurationError:
    """The error of an answer that concerns the account, and no message.

    :param remedy: what to do; empty for a code that is new.
    """
    advice = remedy or "look the code up in Aliyun's documentation"
    return ConfigurationError(
        f"Connection {account.connection!r}: Aliyun refuses the call with {answer.code} ({answer.message[:200]}); "
        f"{advice}."
    )


def one_line(words: str) -> str:
    """Words of an answer, without line breaks."""
    return " ".join(str(words).split())


def account_fields(fields: Fields, connection: Connection, host: str) -> dict[str, Any]:
    """What a connection says of an account: the values of an :class:`AliyunAccount`.

    Login is the access key id, password its secret. The extra holds ``region``, ``endpoint`` (a host or an address with
    ``https://``; ``http://`` on this machine only), ``max_connections`` and ``timeout`` (seconds).

    :param connection: secrets in clear.
    :param host: one of the service's, as an example.
    :raises ConfigurationError: a field is missing or wrong; the text names it.
    """
    key = fields.login()
    if not key:
        raise fields.error("login", "is empty; enter the access key id")
    if not connection.password:
        raise fields.error("password", "is empty; enter the access key secret")
    region = fields.line("region") or DEFAULT_REGION
    if not _REGION.fullmatch(region):
        raise fields.error("region", f"is {region!r}; it takes a region id such as {DEFAULT_REGION}")
    endpoint, secure = _endpoint(fields, host)
    return {
        "connection": connection.conn_id,
        "access_key_id": key,
        "access_key_secret": bare(connection.password),
        "region": region,
        "endpoint": endpoint,
        "secure": secure,
        "max_connections": fields.whole("max_connections", maximum=MAX_CONNECTIONS) or DEFAULT_MAX_CONNECTIONS,
        "timeout": fields.seconds("timeout") or DEFAULT_TIMEOUT,
    }


def _endpoint(fields: Fields, example: str) -> tuple[str | None, bool]:
    """Host and port of the endpoint if one is given, and whether to speak HTTPS to it."""
    text = fields.line("endpoint")
    if not text:
        return None, True
    problem = fields.error("endpoint", f"is {text!r}; it takes a host such as {example}, or https:// and a host")
    url = text if "://" in text else f"https://{text}"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise problem from None
    if parts.scheme not in ("http", "https") or not host or parts.username or parts.path.strip("/") or parts.query:
        raise problem
    if any(not (c.isalnum() or c in ".-:") for c in host):
        raise problem
    if parts.scheme == "http" and not is_loopback(host):
        raise fields.error("endpoint", f"is {text!r}; http:// is for this machine only, use https://")
    host = f"[{host}]" if ":" in host else host
    if port is None and parts.scheme == "https" and (given := fields.port()) not in (None, HTTPS_PORT):
        port = given
    return host if port is None else f"{host}:{port}", parts.scheme == "https"
