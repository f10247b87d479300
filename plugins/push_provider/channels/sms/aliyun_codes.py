"""What Aliyun's error codes mean for a message: whom they concern, and whether a later try helps.

The codes of the SMS service are those of ``API``, with the HTTP status 200; those of Aliyun's gateway before it are of
``GATEWAY``, with 4xx and 5xx. Both refuse a call as a whole: with any code but ``OK`` nothing of it was sent,
:attr:`Fault.DOUBT` excepted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from push_provider.channels.codes import Fault

API = "https://help.aliyun.com/document_detail/101346.html"
"""Error codes of the SMS service."""
LIMITS = "https://help.aliyun.com/document_detail/2881383.html"
"""How often one number may be sent to."""
TEMPLATES = "https://developer.aliyun.com/ask/648540"
"""Aliyun's answer on the two cases of ``isv.SMS_TEMPLATE_ILLEGAL``."""
GATEWAY = "https://developer.aliyun.com/ask/278265"
"""Error codes that all of Aliyun's services share."""
SERVER = "https://help.aliyun.com/document_detail/435312.html"
"""Server-side error codes that all of Aliyun's services share."""


class Meaning(NamedTuple):
    """What an error code means.

    :param fault: see :class:`Fault`.
    :param source: where Aliyun says so.
    :param remedy: what to do, for codes that stop an execution.
    :param wait: seconds after which another try of the call may succeed, for :attr:`Fault.BUSY`.
    :param of_one: whether it may be one recipient's turn that has not come, and not the account's.
    """

    fault: Fault
    source: str
    remedy: str = ""
    wait: float | None = None
    of_one: bool = False

    @property
    def one(self) -> bool:
        """Whether one recipient is meant: a call without them may succeed."""
        return self.fault is Fault.RECIPIENT or self.of_one


_SIGN = (
    "use a signature of this account that is approved, reported to the carriers, and meant for this kind of template"
)
_TEMPLATE = "use a template code of this account that is approved"
_KEY = "correct the access key id (login) and its secret (password) of the connection"
_PERMISSION = "grant the RAM user of this access key AliyunDysmsFullAccess"
_MONEY = "top up the Aliyun account"
_ACTIVATE = "activate the Short Message Service for this Aliyun account"
_QUOTA = "raise the limit in the SMS console, under General Settings > Domestic Messages > Security"
_TEST = "use a signature and a template that are not for testing, or bind the numbers in the console"

CODES: Mapping[str, Meaning] = {
    # --- the account, the signature or the template: nothing of the execution can be sent
    "isp.RAM_PERMISSION_DENY": Meaning(Fault.ACCOUNT, API, _PERMISSION),
    "isv.ACCOUNT_ABNORMAL": Meaning(Fault.ACCOUNT, API, "look at the state of the Aliyun account in the console"),
    "isv.ACCOUNT_NOT_EXISTS": Meaning(Fault.ACCOUNT, API, _KEY),
    "isv.AMOUNT_NOT_ENOUGH": Meaning(Fault.ACCOUNT, API, _MONEY),
    "isv.OUT_OF_SERVICE": Meaning(Fault.ACCOUNT, API, _MONEY),
    "isv.PRODUCT_UNSUBSCRIBE": Meaning(Fault.ACCOUNT, API, _ACTIVATE),
    "isv.PRODUCT_UN_SUBSCRIPT": Meaning(Fault.ACCOUNT, API, _ACTIVATE),
    "isv.SECURITY_FROZEN_ACCOUNT": Meaning(Fault.ACCOUNT, API, "have Aliyun lift the freeze of the account"),
    "isv.DENY_IP_RANGE": Meaning(Fault.ACCOUNT, API, "send from an address in mainland China"),
    "isv.DAY_LIMIT_CONTROL": Meaning(Fault.ACCOUNT, API, _QUOTA),
    "isv.MONTH_LIMIT_CONTROL": Meaning(Fault.ACCOUNT, API, _QUOTA),
    "isv.SMS_SIGNATURE_ILLEGAL": Meaning(Fault.ACCOUNT, API, _SIGN),
    "isv.SMS_SIGNATURE_SCENE_ILLEGAL": Meaning(Fault.ACCOUNT, API, _SIGN),
    "isv.SMS_SIGN_ILLEGAL": Meaning(Fault.ACCOUNT, API, _SIGN),
    "isv.SMS_SIGN_EMOJI_ILLEGAL": Meaning(Fault.ACCOUNT, API, _SIGN),
    "isv.SIGN_STATE_ILLEGAL": Meaning(Fault.ACCOUNT, API, _SIGN),
    "isv.SIGN_NAME_ILLEGAL": Meaning(Fault.ACCOUNT, API, _SIGN),
    "SIGNATURE_BLACKLIST": Meaning(Fault.ACCOUNT, API, _SIGN),
    "isv.EXTEND_CODE_ERROR": Meaning(Fault.ACCOUNT, API, _SIGN),
    "isv.ONE_CODE_MULTIPLE_SIGN": Meaning(Fault.ACCOUNT, API, _SIGN),
    "isv.CODE_EXCEED_LIMIT": Meaning(Fault.ACCOUNT, API, _SIGN),
    "isv.CODE_ERROR": Meaning(Fault.ACCOUNT, API, _SIGN),
    "isv.SMS_TEMPLATE_ILLEGAL": Meaning(Fault.ACCOUNT, API, _TEMPLATE),  # or the parameters: see _BY_WORDS
    "isv.SMS_TEST_SIGN_TEMPLATE_LIMIT": Meaning(Fault.ACCOUNT, API, _TEST),
    # --- one recipient, or what is sent to them
    "isv.MOBILE_NUMBER_ILLEGAL": Meaning(Fault.RECIPIENT, API),
    "isv.MOBILE_COUNT_OVER_LIMIT": Meaning(Fault.RECIPIENT, API),
    "isv.DOMESTIC_NUMBER_NOT_SUPPORTED": Meaning(Fault.RECIPIENT, API),
    "isv.SMS_TEST_NUMBER_LIMIT": Meaning(Fault.RECIPIENT, API),
    "isv.CUSTOMER_REFUSED": Meaning(Fault.RECIPIENT, API),
    "isv.BLACK_KEY_CONTROL_LIMIT": Meaning(Fault.RECIPIENT, API),
    "isv.PARAM_LENGTH_LIMIT": Meaning(Fault.RECIPIENT, API),
    "isv.PARAM_NOT_SUPPORT_URL": Meaning(Fault.RECIPIENT, API),
    "isv.TEMPLATE_PARAMS_ILLEGAL": Meaning(Fault.RECIPIENT, API),
    "isv.TEMPLATE_MISSING_PARAMETERS": Meaning(Fault.RECIPIENT, API),
    "template_parameter_count_illegal": Meaning(Fault.RECIPIENT, API),
    "isv.SMS_TEST_TEMPLATE_PARAMS_ILLEGAL": Meaning(Fault.RECIPIENT, API),
    "isv.INVALID_JSON_PARAM": Meaning(Fault.RECIPIENT, API),
    "isv.INVALID_PARAMETERS": Meaning(Fault.RECIPIENT, API),
    "isv.SMS_CONTENT_ILLEGAL": Meaning(Fault.RECIPIENT, API),
    "isv.UNSUPPORTED_CONTENT": Meaning(Fault.RECIPIENT, API),
    "isv.SMS_OVER_LIMIT": Meaning(Fault.RECIPIENT, API),
    # What somebody's values make of the text: a notice that advertises.
    "isv.SMS_CONTENT_MISMATCH_TEMPLATE_TYPE": Meaning(Fault.RECIPIENT, API),
    # Each carrier registers a signature for itself: numbers of another one may pass.
    "PORT_NOT_REGISTERED": Meaning(Fault.RECIPIENT, API),
    "isv.BUSINESS_LIMIT_CONTROL": Meaning(Fault.RECIPIENT, LIMITS),  # a day's; see _BY_WORDS
    # --- not now
    # "Try the call again"; what one recipient's message makes of the service must not cost the others theirs.
    "isp.SYSTEM_ERROR": Meaning(Fault.BUSY, API, wait=5.0, of_one=True),
    "ServiceUnavailable": Meaning(Fault.BUSY, SERVER, wait=5.0),
    "SignatureNonceUsed": Meaning(Fault.BUSY, GATEWAY, wait=0.1),
    # --- nobody can tell
    "isp.GATEWAY_ERROR": Meaning(Fault.DOUBT, API),  # "calling the sending module failed"
    "InternalError": Meaning(Fault.DOUBT, SERVER),
    # --- the gateway does not know the caller, or the call
    "SignatureDoesNotMatch": Meaning(Fault.ACCOUNT, GATEWAY, _KEY),
    "IncompleteSignature": Meaning(Fault.ACCOUNT, GATEWAY, _KEY),
    "InvalidTimeStamp.Expired": Meaning(Fault.ACCOUNT, GATEWAY, "set the clock of this machine"),
    "InvalidVersion": Meaning(Fault.ACCOUNT, GATEWAY, "correct the endpoint of the connection"),
    "InvalidAction.NotFound": Meaning(Fault.ACCOUNT, GATEWAY, "correct the endpoint of the connection"),
    "InvalidApi.NotFound": Meaning(Fault.ACCOUNT, GATEWAY, "correct the endpoint of the connection"),
    "NoPermission": Meaning(Fault.ACCOUNT, GATEWAY, _PERMISSION),
}

_FAMILIES: Mapping[str, Meaning] = {
    "Throttling": Meaning(Fault.BUSY, GATEWAY, wait=1.0),
    "InvalidAccessKeyId": Meaning(Fault.ACCOUNT, GATEWAY, _KEY),
    "InvalidSecurityToken": Meaning(Fault.ACCOUNT, GATEWAY, _KEY),
    "Forbidden": Meaning(Fault.ACCOUNT, GATEWAY, _PERMISSION),
}
"""Codes that come in several forms: ``Throttling``, ``Throttling.User``, ``Throttling.Api`` …"""

_UNKNOWN = Meaning(Fault.RECIPIENT, "not listed")
"""A code that is new to us refuses the call like any other: it is shown as it came."""
_FAILED = Meaning(Fault.DOUBT, "not listed")
"""With a status of 5xx it says that Aliyun failed, and not how far it had come."""

_BY_WORDS: tuple[tuple[str, re.Pattern[str], Meaning], ...] = (
    # A number may get one message a minute and five an hour, which passes, or ten a day, for which nobody waits.
    (
        "isv.BUSINESS_LIMIT_CONTROL",
        re.compile("分钟|minute", re.IGNORECASE),
        Meaning(Fault.BUSY, LIMITS, wait=60.0, of_one=True),
    ),
    (
        "isv.BUSINESS_LIMIT_CONTROL",
        re.compile("小时|hour", re.IGNORECASE),
        Meaning(Fault.BUSY, LIMITS, wait=3600.0, of_one=True),
    ),
    # No such template (该账号下找不到对应模板), or values that do not fit it (请检查模板内容与模板参数是否匹配).
    (
        "isv.SMS_TEMPLATE_ILLEGAL",
        re.compile("参数|变量|parameter|variable", re.IGNORECASE),
        Meaning(Fault.RECIPIENT, TEMPLATES),
    ),
)
"""Codes of more than one meaning, of which Aliyun's words alone tell which: the first that fits holds."""


def meaning(code: str, message: str = "", status: int = 200) -> Meaning:
    """What an error code means.

    :param code: as Aliyun gave it; not ``OK``.
    :param message: Aliyun's words, which tell the meanings of some codes apart.
    :param status: of HTTP, which tells what a code may mean that is not listed.
    """
    for other, words, says in _BY_WORDS:
        if code == other and words.search(message):
            return says
    known = CODES.get(code) or _FAMILIES.get(code.partition(".")[0])
    return known or (_FAILED if status >= 500 else _UNKNOWN)


def is_permission(code: str) -> bool:
    """Whether a code says that this account may not make this call, though it may make others."""
    return code in ("isp.RAM_PERMISSION_DENY", "NoPermission") or code.partition(".")[0] == "Forbidden"
