"""The account of the SMS gateway: its signatures (sign names) and templates.

A few are there from the start; others are added by :class:`Account`, and outlive a restart.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, get_args

from sandbox.journal import Journal

SIGN_NAME = "阿里云短信测试"
TEMPLATE_CODE = "SMS_154950909"
"""What Aliyun gives every account for tests, and the platform's own connection uses."""

Status = Literal["pending", "approved", "rejected", "cancelled"]
Kind = Literal["verification", "notice", "promotion", "international"]

PARAMETER_LIMIT = 35
"""Characters of a parameter's value (https://help.aliyun.com/zh/sms/user-guide/message-template-specifications)."""

_PLACEHOLDER = re.compile(r"\$\{([^${}]+)\}")
_TEMPLATE_CODE = re.compile(r"SMS_[A-Za-z0-9]{1,40}")


@dataclass(frozen=True, slots=True)
class Sign:
    """A signature: the name in front of each SMS.

    :param created: date and time of China, as Aliyun writes them.
    """

    name: str
    status: Status = "approved"
    created: str = "2026-01-01 09:00:00"


@dataclass(frozen=True, slots=True)
class Template:
    """A template with placeholders like ``${code}``.

    :param kind: an international one is for numbers abroad only, and any other for the mainland only.
    :param created: date and time of China, as Aliyun writes them.
    """

    code: str
    content: str
    name: str = ""
    kind: Kind = "notice"
    status: Status = "approved"
    created: str = "2026-01-01 09:00:00"

    @property
    def placeholders(self) -> tuple[str, ...]:
        """Names of its parameters, each once, in their order."""
        return _placeholders(self.content)

    def render(self, parameters: Mapping[str, str]) -> str:
        """The text that a phone shows, without the sign name; what a parameter holds is not looked into."""
        return _PLACEHOLDER.sub(lambda match: parameters[match[1]], self.content)


SIGNS = (Sign(SIGN_NAME), Sign("推送平台"), Sign("审核中的签名", "pending"), Sign("未通过的签名", "rejected"))
TEMPLATES = (
    Template(
        TEMPLATE_CODE,
        "您正在使用阿里云短信测试服务，体验验证码是：${code}，如非本人操作，请忽略本短信！",
        "测试专用模板",
        "verification",
    ),
    Template("SMS_100000001", "尊敬的${name}，您的订单${order}已发货。", "发货通知"),
    Template("SMS_100000002", "系统将于今晚零点维护，请提前保存工作。", "维护通知"),
    Template("SMS_100000003", "Your verification code is ${code}.", "International code", "international"),
    Template("SMS_100000004", "审核中的模板：${code}", "审核中", status="pending"),
    Template("SMS_100000005", "未通过的模板：${code}", "未通过", status="rejected"),
)


class Account:
    """Signatures and templates by name and code.

    :param folder: where those added are kept; it must exist.
    :raises OSError: the folder cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self.signs = {sign.name: sign for sign in SIGNS}
        self.templates = {template.code: template for template in TEMPLATES}
        self._journal = Journal(folder / "account.jsonl")
        entries = [entry for entry in self._journal.read() if self._take(entry)]
        self._journal.rewrite(entries)

    def close(self) -> None:
        """Nothing more is added."""
        self._journal.close()

    def add_sign(self, sign: Sign) -> None:
        """Add a signature, or replace the one of this name.

        :raises ValueError: it cannot be one.
        :raises OSError: it could not be written.
        """
        _check(sign)
        self._journal.append([{"sign": asdict(sign)}])
        self.signs[sign.name] = sign

    def add_template(self, template: Template) -> None:
        """Add a template, or replace the one of this code.

        :raises ValueError: it cannot be one.
        :raises OSError: it could not be written.
        """
        _check(template)
        self._journal.append([{"template": asdict(template)}])
        self.templates[template.code] = template

    def _take(self, entry: dict[str, Any]) -> bool:
        try:
            if "sign" in entry:
                sign = Sign(**entry["sign"])
                _check(sign)
                self.signs[sign.name] = sign
            else:
                template = Template(**entry["template"])
                _check(template)
                self.templates[template.code] = template
        except (KeyError, TypeError, ValueError):
            return False
        return True


@lru_cache(maxsize=256)  # asked for with every SMS
def _placeholders(content: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_PLACEHOLDER.findall(content)))


def _check(entry: Sign | Template) -> None:
    """Refuse what a file or a request holds and no account can.

    :raises ValueError: the text says what is wrong.
    """
    for name, value in asdict(entry).items():
        if not isinstance(value, str):
            raise ValueError(f"{name}: give a text")
    if entry.status not in get_args(Status):
        raise ValueError(f"status: {entry.status!r} is none of {', '.join(get_args(Status))}")
    if isinstance(entry, Sign):
        if not 2 <= len(entry.name) <= 20:
            raise ValueError("name: a sign name has 2 to 20 characters")
        return
    if entry.kind not in get_args(Kind):
        raise ValueError(f"kind: {entry.kind!r} is none of {', '.join(get_args(Kind))}")
    if not _TEMPLATE_CODE.fullmatch(entry.code):
        raise ValueError(f"code: {entry.code!r} is not like SMS_100000001")
    if not 1 <= len(entry.content) <= 500:
        raise ValueError("content: a template has 1 to 500 characters")
