"""An Aliyun SMS account, resolved: what a connection says, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

DEFAULT_CONNECTION = "push_aliyun_sms_default"
"""The connection of push tasks that name none."""
DEFAULT_MAX_CONNECTIONS = 4
DEFAULT_TIMEOUT = 10.0
DEFAULT_REGION = "cn-hangzhou"


class TemplateKind(StrEnum):
    """Which numbers a template is for; Aliyun's two kinds do not mix."""

    MAINLAND = "mainland"
    """Those of mainland China."""
    INTERNATIONAL = "international"
    """All others, Hong Kong, Macao and Taiwan among them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AliyunConfig:
    """Everything needed to call Aliyun's SMS service.

    :param connection: id of the Airflow connection it came from, for messages.
    :param access_key_id: whose calls they are.
    :param access_key_secret: what they are signed with; never shown.
    :param sign_name: the signature, unless a push task names its own.
    :param template_code: the template, unless a push task names its own.
    :param template_kind: of templates of which Aliyun does not say it.
    :param region: chooses the endpoint if none is given.
    :param endpoint: host, and port if it is not the usual one; None leaves it to the region.
    :param secure: speak HTTPS.
    :param max_connections: calls at the same time.
    :param timeout: seconds for connecting and for each answer.
    """

    connection: str
    access_key_id: str
    access_key_secret: str = field(repr=False)
    sign_name: str | None = None
    template_code: str | None = None
    template_kind: TemplateKind | None = None
    region: str = DEFAULT_REGION
    endpoint: str | None = None
    secure: bool = True
    max_connections: int = DEFAULT_MAX_CONNECTIONS
    timeout: float = DEFAULT_TIMEOUT
