"""The SMS service behind the gateway: Aliyun's Dysmsapi 2017-05-25, as far as the platform uses it.

Each action takes the request's parameters and gives the answer without RequestId. Names, limits and codes
are those of Aliyun's reference, https://help.aliyun.com/zh/sms/developer-reference/api-dysmsapi-2017-05-25-overview ,
and of its list of codes, https://help.aliyun.com/zh/sms/developer-reference/api-error-codes .
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sandbox.sms_account import PARAMETER_LIMIT, Sign, Template
from sandbox.sms_faults import Fault, outcome
from sandbox.sms_refusal import Refusal, missing
from sandbox.sms_store import CHINA, Draft, Sms, SmsStore

VERSION = "2017-05-25"
NUMBERS_LIMIT = 1000
"""Numbers of one SendSms."""
BATCH_LIMIT = 100
"""Numbers of one SendBatchSms."""
PAGE_LIMIT = 50
"""Entries of one page of any list."""
OUT_ID_LIMIT = 255

Parameters = Mapping[str, str]

_MAINLAND = re.compile(r"(?:\+86|0086|86|\+)?(1[3-9]\d{9})", re.ASCII)
"""In the forms that a template for the mainland takes; it does not mind what a plus alone says."""
_WITH_CODE = re.compile(r"861[3-9]\d{9}", re.ASCII)
_ABROAD = re.compile(r"(?:\+|00)?([1-9]\d{6,14})", re.ASCII)
_SEND_STATUS = {"waiting": 1, "failed": 2, "delivered": 3}
_AUDIT_STATUS = {
    "pending": "AUDIT_STATE_INIT",
    "approved": "AUDIT_STATE_PASS",
    "rejected": "AUDIT_STATE_NOT_PASS",
    "cancelled": "AUDIT_STATE_CANCEL",
}
_STATUS = {"pending": 0, "approved": 1, "rejected": 2, "cancelled": 10}
_TEMPLATE_TYPE = {"verification": 0, "notice": 1, "promotion": 2, "international": 3}
_LISTED_TEMPLATE_TYPE = {"notice": 0, "promotion": 1, "verification": 2, "international": 6}
"""QuerySmsTemplateList counts TemplateType otherwise than GetSmsTemplate; OuterTemplateType is the same."""


@dataclass(frozen=True, slots=True)
class Done:
    """An action that was carried out.

    :param answer: without RequestId.
    :param numbers: how many numbers it sent to.
    :param fault: how the numbers want it answered; None: as it should be.
    """

    answer: dict[str, Any]
    numbers: int = 0
    fault: Fault | None = None


class SmsService:
    """The actions.

    :param store: where SMS go.
    """

    def __init__(self, store: SmsStore) -> None:
        self.store = store
        self.receipt_seconds: float | None = 0.0
        """How long after an SMS its receipt is there; None: never."""
        self._actions: dict[str, Callable[[Parameters], Done]] = {
            "SendSms": self._send_sms,
            "SendBatchSms": self._send_batch_sms,
            "QuerySendDetails": self._query_send_details,
            "GetSmsTemplate": self._get_sms_template,
            "QuerySmsTemplateList": self._query_sms_template_list,
            "GetSmsSign": self._get_sms_sign,
            "QuerySmsSignList": self._query_sms_sign_list,
        }

    @property
    def actions(self) -> tuple[str, ...]:
        """Names of what it can do."""
        return tuple(self._actions)

    def call(self, action: str, parameters: Parameters) -> Done:
        """Carry out one of the :attr:`actions`.

        :raises Refusal: as Aliyun refuses it; nothing was sent.
        :raises OSError: what was sent could not be kept; nothing was sent.
        """
        return self._actions[action](parameters)

    def _send_sms(self, parameters: Parameters) -> Done:
        numbers = _required(parameters, "PhoneNumbers").split(",")
        sign = self._approved_sign(_required(parameters, "SignName"))
        template = self._approved_template(_required(parameters, "TemplateCode"))
        if len(numbers) > NUMBERS_LIMIT:
            raise _too_many(NUMBERS_LIMIT)
        given = parameters.get("TemplateParam") or "{}"
        content = _content(sign, template, _json(given, "TemplateParam"), "TemplateParam")
        return self._send([(number, sign, content) for number in numbers], template, parameters)

    def _send_batch_sms(self, parameters: Parameters) -> Done:
        numbers = _array(_required(parameters, "PhoneNumberJson"), "PhoneNumberJson")
        names = _array(_required(parameters, "SignNameJson"), "SignNameJson")
        template = self._approved_template(_required(parameters, "TemplateCode"))
        if len(numbers) > BATCH_LIMIT:
            raise _too_many(BATCH_LIMIT)
        given = parameters.get("TemplateParamJson")
        values = _array(given, "TemplateParamJson") if given else [{}] * len(numbers)
        if not numbers or len({len(numbers), len(names), len(values)}) > 1:
            raise _invalid("PhoneNumberJson, SignNameJson and TemplateParamJson need the same number of entries")
        if not all(isinstance(number, str) for number in numbers):
            raise _invalid("PhoneNumberJson holds something else than texts")
        signs = {name: self._approved_sign(name) for name in names if isinstance(name, str)}
        if not all(isinstance(name, str) for name in names):
            raise _invalid("SignNameJson holds something else than texts")
        wanted = [
            (number, signs[name], _content(signs[name], template, value, f"TemplateParamJson[{position}]"))
            for position, (number, name, value) in enumerate(zip(numbers, names, values, strict=True))
        ]
        return self._send(wanted, template, parameters)

    def _send(self, wanted: Sequence[tuple[str, Sign, str]], template: Template, parameters: Parameters) -> Done:
        """Send each number its content: all of them, or none."""
        out_id = parameters.get("OutId", "")
        if len(out_id) > OUT_ID_LIMIT:
            raise _invalid(f"OutId is longer than {OUT_ID_LIMIT} characters")
        drafts = []
        fault = None
        for number, sign, content in wanted:
            phone = _recipient(number, template)
            fate = outcome(phone)
            if fate.refused:
                raise Refusal(fate.refused, f"The sandbox refuses {phone[:7]}… with this code on purpose.")
            fault = fault or fate.fault
            drafts.append(
                Draft(
                    phone=phone,
                    sign_name=sign.name,
                    template_code=template.code,
                    content=content,
                    out_id=out_id,
                    receipt_code=fate.receipt_code,
                    receipt_seconds=None if fate.is_silent else self.receipt_seconds,
                )
            )
        biz_id = self.store.add(drafts)
        return Done({"Code": "OK", "Message": "OK", "BizId": biz_id}, numbers=len(drafts), fault=fault)

    def _query_send_details(self, parameters: Parameters) -> Done:
        number = _required(parameters, "PhoneNumber")
        text = _required(parameters, "SendDate")
        size = _page(_required(parameters, "PageSize"), "PageSize")
        page = _page(_required(parameters, "CurrentPage"), "CurrentPage")
        phone = _MAINLAND.fullmatch(number) or _ABROAD.fullmatch(number)
        if phone is None:
            raise _illegal(number)
        try:
            if not re.fullmatch(r"\d{8}", text, re.ASCII):
                raise ValueError(text)
            day = datetime.strptime(text, "%Y%m%d").replace(tzinfo=CHINA).date()
        except ValueError:
            raise _invalid(f"SendDate {text!r} is not like 20260131") from None
        sent = self.store.to_phone(phone[1], day, parameters.get("BizId", ""))
        now = self.store.clock()
        return Done(
            {
                "Code": "OK",
                "Message": "OK",
                "TotalCount": str(len(sent)),
                "SmsSendDetailDTOs": {
                    "SmsSendDetailDTO": [_detail(sms, now) for sms in sent[(page - 1) * size : page * size]]
                },
            }
        )

    def _get_sms_template(self, parameters: Parameters) -> Done:
        code = _required(parameters, "TemplateCode")
        template = self.store.account.templates.get(code)
        if template is None:
            raise _no_template(code)
        return Done(
            {
                "Code": "OK",
                "Message": "OK",
                "TemplateCode": template.code,
                "TemplateName": template.name,
                "TemplateContent": template.content,
                "TemplateStatus": str(_STATUS[template.status]),
                "TemplateType": str(_TEMPLATE_TYPE[template.kind]),
                "TemplateTag": 2,
                "IntlType": 0,
                "CreateDate": template.created,
                "OrderId": "",
                "ApplyScene": "",
                "Remark": "",
                "RelatedSignName": "",
                "VariableAttribute": json.dumps(dict.fromkeys(template.placeholders, "others")),
                "VendorAuditStatus": {},
                "AuditInfo": {
                    "AuditDate": template.created,
                    "RejectInfo": "内容不符合规范" if template.status == "rejected" else "",
                },
                "FileUrlList": {"FileUrl": []},
                "MoreDataFileUrlList": {"MoreDataFileUrl": []},
                "SignList": {"SignList": []},
            }
        )

    def _query_sms_template_list(self, parameters: Parameters) -> Done:
        templates = list(self.store.account.templates.values())
        return _listed(
            parameters,
            "SmsTemplateList",
            [
                {
                    "TemplateCode": template.code,
                    "TemplateName": template.name,
                    "TemplateContent": template.content,
                    "TemplateType": _LISTED_TEMPLATE_TYPE[template.kind],
                    "OuterTemplateType": _TEMPLATE_TYPE[template.kind],
                    "AuditStatus": _AUDIT_STATUS[template.status],
                    "CreateDate": template.created,
                    "OrderId": "",
                    "SignatureName": "",
                    "TrafficDriving": "",
                    "Reason": _reason(template),
                }
                for template in templates
            ],
        )

    def _get_sms_sign(self, parameters: Parameters) -> Done:
        name = _required(parameters, "SignName")
        sign = self.store.account.signs.get(name)
        if sign is None:
            raise _no_sign(name)
        return Done(
            {
                "Code": "OK",
                "Message": "OK",
                "SignName": sign.name,
                "SignCode": f"SIGN_{list(self.store.account.signs).index(name) + 100000001}",
                "SignStatus": _STATUS[sign.status],
                "SignTag": "2",
                "SignUsage": "",
                "CreateDate": sign.created,
                "OrderId": "",
                "ApplyScene": "",
                "Remark": "",
                "ThirdParty": False,
                "RegisterResult": 1,
                "QualificationId": 1,
                "AppIcpRecordId": 0,
                "TrademarkId": 0,
                "AuthorizationLetterId": 0,
                "AuthorizationLetterAuditPass": False,
                "FileUrlList": [],
                "AuditInfo": {"AuditDate": sign.created, "RejectInfo": _reason(sign)["RejectInfo"]},
                "SignIspRegisterDetailList": [
                    {
                        "OperatorCode": operator,
                        "OperatorCompleteTime": sign.created,
                        "RegisterStatus": 3,
                        "RegisterStatusReasons": [{"ReasonCode": "DETECT_SUCCESS", "ReasonDescList": []}],
                    }
                    for operator in ("mobile", "unicom", "telecom")
                ],
            }
        )

    def _query_sms_sign_list(self, parameters: Parameters) -> Done:
        signs = list(self.store.account.signs.values())
        return _listed(
            parameters,
            "SmsSignList",
            [
                {
                    "SignName": sign.name,
                    "AuditStatus": _AUDIT_STATUS[sign.status],
                    "BusinessType": "通用",
                    "CreateDate": sign.created,
                    "OrderId": "",
                    "AppIcpRecordId": 0,
                    "TrademarkId": 0,
                    "AuthorizationLetterId": 0,
                    # With a small letter, as the SDK reads it.
                    "authorizationLetterAuditPass": False,
                    "Reason": _reason(sign),
                }
                for sign in signs
            ],
        )

    def _approved_sign(self, name: str) -> Sign:
        sign = self.store.account.signs.get(name)
        if sign is None or sign.status != "approved":
            raise _no_sign(name)
        return sign

    def _approved_template(self, code: str) -> Template:
        template = self.store.account.templates.get(code)
        if template is None or template.status != "approved":
            raise _no_template(code)
        return template


def _required(parameters: Parameters, name: str) -> str:
    value = parameters.get(name, "")
    if not value:
        raise missing(name)
    return value


def _recipient(number: str, template: Template) -> str:
    """The number as Aliyun writes it afterwards: 11 digits, or country code and number.

    :raises Refusal: it is no number, or not one for this template.
    """
    if template.kind != "international":
        mainland = _MAINLAND.fullmatch(number)
        if mainland is None:
            raise _illegal(number)
        return mainland[1]
    abroad = _ABROAD.fullmatch(number)
    if abroad is None:
        raise _illegal(number)
    # Eleven digits alone are a number of the United States or Canada, with its country code 1
    # (https://developer.aliyun.com/ask/629008).
    if _WITH_CODE.fullmatch(abroad[1]):
        raise Refusal("isv.DOMESTIC_NUMBER_NOT_SUPPORTED", f"{number}: 国际/港澳台消息模板不支持发送境内号码")
    return abroad[1]


def _content(sign: Sign, template: Template, values: object, where: str) -> str:
    """The SMS as the phone shows it.

    :raises Refusal: the parameters do not fit the template.
    """
    if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
        raise Refusal("isv.INVALID_JSON_PARAM", f"{where} must be a JSON object of texts")
    absent = [name for name in template.placeholders if name not in values]
    if absent:
        raise Refusal("isv.TEMPLATE_MISSING_PARAMETERS", f"{where} lacks {', '.join(absent)}")
    long = [name for name in template.placeholders if len(values[name]) > PARAMETER_LIMIT]
    if long:
        raise Refusal("isv.PARAM_LENGTH_LIMIT", f"{where}: {long[0]} is longer than {PARAMETER_LIMIT} characters")
    return f"【{sign.name}】{template.render(values)}"


def _json(text: str, name: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise Refusal("isv.INVALID_JSON_PARAM", f"{name} is not JSON") from None


def _array(text: str, name: str) -> list[Any]:
    value = _json(text, name)
    if not isinstance(value, list):
        raise Refusal("isv.INVALID_JSON_PARAM", f"{name} is not a JSON array")
    return value


def _page(text: str, name: str) -> int:
    most = PAGE_LIMIT if name == "PageSize" else 10**6
    if text.isascii() and text.isdecimal() and len(text) < 8 and 1 <= int(text) <= most:
        return int(text)
    raise _invalid(f"{name} {text!r} is not a number from 1 to {most}")


def _listed(parameters: Parameters, name: str, entries: Sequence[dict[str, Any]]) -> Done:
    """One page of a list of the account."""
    size = _page(parameters.get("PageSize") or "10", "PageSize")
    page = _page(parameters.get("PageIndex") or "1", "PageIndex")
    return Done(
        {
            "Code": "OK",
            "Message": "OK",
            "CurrentPage": page,
            "PageSize": size,
            "TotalCount": len(entries),
            name: entries[(page - 1) * size : page * size],
        }
    )


def _detail(sms: Sms, now: datetime) -> dict[str, Any]:
    state = sms.state(now)
    detail: dict[str, Any] = {
        "PhoneNum": sms.phone,
        "SendDate": _china(sms.sent_at),
        "SendStatus": _SEND_STATUS[state],
        "TemplateCode": sms.template_code,
        "Content": sms.content,
        "OutId": sms.out_id,
    }
    if state != "waiting" and sms.receipt_at is not None:
        detail["ReceiveDate"] = _china(sms.receipt_at)
        detail["ErrCode"] = sms.receipt_code
    return detail


def _china(moment: datetime) -> str:
    return f"{moment.astimezone(CHINA):%Y-%m-%d %H:%M:%S}"


def _reason(entry: Sign | Template) -> dict[str, str]:
    if entry.status != "rejected":
        return {"RejectDate": "", "RejectInfo": "", "RejectSubInfo": ""}
    return {"RejectDate": entry.created, "RejectInfo": "内容不符合规范", "RejectSubInfo": ""}


def _illegal(number: object) -> Refusal:
    return Refusal("isv.MOBILE_NUMBER_ILLEGAL", f"{number} invalid mobile number")


def _too_many(limit: int) -> Refusal:
    return Refusal("isv.MOBILE_COUNT_OVER_LIMIT", f"More than {limit} numbers")


def _invalid(message: str) -> Refusal:
    return Refusal("isv.INVALID_PARAMETERS", message)


def _no_sign(name: str) -> Refusal:
    return Refusal("isv.SMS_SIGNATURE_ILLEGAL", f"The account has no approved signature {name!r}")


def _no_template(code: str) -> Refusal:
    return Refusal("isv.SMS_TEMPLATE_ILLEGAL", f"The account has no approved template {code!r}")
