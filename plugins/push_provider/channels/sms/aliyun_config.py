"""An Aliyun SMS account, resolved: what a connection says, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from push_provider.connections.aliyun_account import AliyunAccount

DEFAULT_CONNECTION = "push_aliyun_sms_default"
"""The connection of push tasks that name none."""


class TemplateKind(StrEnum):
    """Which numbers a template is for; Aliyun's two kinds do not mix."""

    MAINLAND = "mainland"
    """Those of mainland China."""
    INTERNATIONAL = "international"
    """All others, Hong Kong, Macao and Taiwan among them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AliyunConfig(AliyunAccount):
    """Everything needed to call Aliyun's SMS service.

    :param sign_name: the signature, unless a push task names its own.
    :param template_code: the template, unless a push task names its own.
    :param template_kind: of templates of which Aliyun does not say it.
    """

    sign_name: str | None = None
    template_code: str | None = None
    template_kind: TemplateKind | None = None
