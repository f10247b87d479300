"""Calls of Aliyun's SMS service, through its own SDK; :mod:`~push_provider.connections.aliyun` has their ends."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from push_provider.connections.aliyun import Answer, bound, call, one_line, sdk_config
from push_provider.connections.unanswered import NoAnswer

if TYPE_CHECKING:
    from alibabacloud_dysmsapi20170525.client import Client

    from push_provider.channels.sms.aliyun_config import AliyunConfig

BATCH = 100
"""Recipients of a call of SendBatchSms (https://help.aliyun.com/document_detail/102364.html)."""
DETAILS_PAGE = 50
"""Largest page of QuerySendDetails (https://help.aliyun.com/document_detail/419277.html)."""
SIGNS_PAGE = 50
"""Largest page of QuerySmsSignList (https://help.aliyun.com/document_detail/419282.html)."""


class AliyunClient:
    """Aliyun's SMS service for one account. Several threads may use it.

    :param config: the account.
    """

    def __init__(self, config: AliyunConfig) -> None:
        from alibabacloud_dysmsapi20170525.client import Client

        self.config = config
        self._client: Client = Client(sdk_config(config))
        bound(config, str(self._client._endpoint))  # noqa: SLF001

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
        body = call(self.config, function, request)
        if isinstance(body, Answer):
            return body
        if body is None or not body.code:
            raise NoAnswer("protocol", "Aliyun's answer has no code")
        return Answer(str(body.code), one_line(body.message or ""), body)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
