"""Calls of Aliyun's SMS service, through its own SDK, each with one of three ends.

Aliyun answers (:class:`Answer`, whatever its code); the call surely never reached it (:class:`NotSent`); or it may
have been carried out and no answer came (:class:`NoAnswer`). The SDK tells the last two apart only in the cause that
it hides.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from push_provider.exceptions import ConfigurationError

if TYPE_CHECKING:
    from alibabacloud_dysmsapi20170525.client import Client

    from push_provider.channels.sms.aliyun_config import AliyunConfig

OK = "OK"
BATCH = 100
"""Recipients of a call of SendBatchSms (https://help.aliyun.com/document_detail/102364.html)."""
DETAILS_PAGE = 50
"""Largest page of QuerySendDetails (https://help.aliyun.com/document_detail/419277.html)."""
SIGNS_PAGE = 50
"""Largest page of QuerySmsSignList (https://help.aliyun.com/document_detail/419282.html)."""


class NotSent(Exception):
    """The call never reached Aliyun: nothing of it was carried out."""


class NoAnswer(Exception):
    """The call may have been carried out, and nobody can tell.

    :param code: ``timeout``, ``connection`` or ``protocol``.
    """

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


class Answer(NamedTuple):
    """Aliyun's answer to a call.

    :param code: ``OK``, or an error code; :mod:`~push_provider.channels.sms.aliyun_codes` knows what it means.
    :param message: Aliyun's words.
    :param body: the SDK's model of the answer; None if the gateway refused the call.
    :param retry_after: seconds after which Aliyun wants to be asked again, if it said so.
    """

    code: str
    message: str
    body: Any = None
    retry_after: float | None = None

    @property
    def ok(self) -> bool:
        """Whether the call was carried out."""
        return self.code == OK


class AliyunClient:
    """Aliyun's SMS service for one account. Several threads may use it.

    :param config: the account.
    """

    def __init__(self, config: AliyunConfig) -> None:
        from alibabacloud_dysmsapi20170525.client import Client
        from alibabacloud_tea_openapi.models import Config

        self.config = config
        self._client: Client = Client(
            Config(
                access_key_id=config.access_key_id,
                access_key_secret=config.access_key_secret,
                region_id=config.region,
                endpoint=config.endpoint,
                protocol="HTTPS" if config.secure else "HTTP",
                connect_timeout=round(config.timeout * 1000),
                read_timeout=round(config.timeout * 1000),
                max_idle_conns=config.max_connections,
            )
        )
        self._bound()

    def _bound(self) -> None:
        """Give the SDK the session that it makes its calls of this endpoint in.

        It makes one itself for each endpoint, whose answers have no end, and takes no other; what it has made it keeps
        here, by this name (``DaraCore._get_session``).
        """
        from darabonba.core import DaraCore
        from darabonba.request import DaraRequest

        from push_provider.connections.bounded_http import bounded_session

        config = self.config
        scheme = "https" if config.secure else "http"
        name = f"{scheme}://{self._client._endpoint}:{DaraRequest().port}:pool={config.max_connections}"  # noqa: SLF001
        if name not in DaraCore._sessions:  # noqa: SLF001
            session = bounded_session(timeout=config.timeout, connections=config.max_connections)
            DaraCore._sessions[name] = session  # noqa: SLF001

    def send(self, to: str, sign: str, template: str, parameters: Mapping[str, str], out_id: str) -> Answer:
        """SendSms to one number; the body has ``biz_id``.

        :param to: country code and number, in digits alone.
        :param out_id: comes back with the receipt.
        """
        from alibabacloud_dysmsapi20170525.models import SendSmsRequest

        request = SendSmsRequest(
            phone_numbers=to,
            sign_name=sign,
            template_code=template,
            template_param=_json(parameters) if parameters else None,
            out_id=out_id,
        )
        return self._call(self._client.send_sms_with_options, request)

    def send_batch(
        self,
        to: Sequence[str],
        sign: str,
        template: str,
        parameters: Sequence[Mapping[str, str]],
        out_id: str,
    ) -> Answer:
        """SendBatchSms to up to :data:`BATCH` numbers, each with its own parameters; the body has ``biz_id``."""
        from alibabacloud_dysmsapi20170525.models import SendBatchSmsRequest

        request = SendBatchSmsRequest(
            phone_number_json=_json(to),
            sign_name_json=_json([sign] * len(to)),
            template_code=template,
            template_param_json=_json(parameters) if any(parameters) else None,
            out_id=out_id,
        )
        return self._call(self._client.send_batch_sms_with_options, request)

    def details(self, to: str, date: str, *, biz_id: str | None, page: int) -> Answer:
        """QuerySendDetails: what became of the messages to one number on one day.

        :param date: ``yyyyMMdd``, as the day is in Beijing.
        :param biz_id: of one call; None for all.
        :param page: from 1, of :data:`DETAILS_PAGE`.
        """
        from alibabacloud_dysmsapi20170525.models import QuerySendDetailsRequest

        request = QuerySendDetailsRequest(
            phone_number=to, send_date=date, biz_id=biz_id, page_size=DETAILS_PAGE, current_page=page
        )
        return self._call(self._client.query_send_details_with_options, request)

    def template(self, code: str) -> Answer:
        """GetSmsTemplate; the body has ``template_content`` and ``template_status``."""
        from alibabacloud_dysmsapi20170525.models import GetSmsTemplateRequest

        return self._call(self._client.get_sms_template_with_options, GetSmsTemplateRequest(template_code=code))

    def signs(self, page: int) -> Answer:
        """QuerySmsSignList; the body has ``sms_sign_list`` and ``total_count``.

        :param page: from 1, of :data:`SIGNS_PAGE`.
        """
        from alibabacloud_dysmsapi20170525.models import QuerySmsSignListRequest

        request = QuerySmsSignListRequest(page_index=page, page_size=SIGNS_PAGE)
        return self._call(self._client.query_sms_sign_list_with_options, request)

    def _call(self, function: Callable[..., Any], request: Any) -> Answer:
        """Make a call.

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
            return Answer(str(error.code), _line(said), retry_after=wait / 1000 if wait else None)
        except UnretryableException as error:
            raise self._lost(error.inner_exception) from None
        body = response.body
        if body is None or not body.code:
            raise NoAnswer("protocol", "Aliyun's answer has no code")
        return Answer(str(body.code), _line(body.message or ""), body)

    def _lost(self, error: BaseException) -> Exception:
        """What to make of a call without an answer, from the cause that the SDK keeps."""
        import ssl

        import requests
        from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError, ProxyError

        from push_provider.connections.bounded_http import ANSWER_BYTES, AnswerLeadsElsewhere, AnswerTooLong

        # The SDK makes a RetryError of every OSError, in its handler: the cause is the context.
        cause = error.__context__ if isinstance(error.__context__, OSError) else error
        wrapped = next((arg for arg in cause.args if isinstance(arg, MaxRetryError)), None)
        reason = wrapped.reason if wrapped else None
        where = self.config.endpoint or f"Aliyun's endpoint for region {self.config.region}"
        chain = _chain(cause)
        if any(isinstance(link, ssl.SSLCertVerificationError) for link in chain):
            return ConfigurationError(
                f"Connection {self.config.connection!r}: {where} does not show a valid certificate of its name; "
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
            return NoAnswer("timeout", f"{where} did not answer in {self.config.timeout:g} s")
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


def _line(words: str) -> str:
    return " ".join(str(words).split())


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
