"""What all accounts at Aliyun have, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field

DEFAULT_MAX_CONNECTIONS = 8
"""Far below what an account may do: SendBatchSms is answered 5,000 times a second (help.aliyun.com, SendBatchSms)."""
DEFAULT_TIMEOUT = 10.0
DEFAULT_REGION = "cn-hangzhou"


@dataclass(frozen=True, slots=True, kw_only=True)
class AliyunAccount:
    """What calls of any of Aliyun's services need.

    :param connection: id of the Airflow connection it came from, for messages.
    :param access_key_id: whose calls they are.
    :param access_key_secret: what they are signed with; never shown.
    :param region: chooses the endpoint if none is given.
    :param endpoint: host, and port if it is not the usual one; None leaves it to the region.
    :param secure: speak HTTPS.
    :param max_connections: calls at the same time.
    :param timeout: seconds for connecting and for each answer.
    """

    connection: str
    access_key_id: str
    access_key_secret: str = field(repr=False)
    region: str = DEFAULT_REGION
    endpoint: str | None = None
    secure: bool = True
    max_connections: int = DEFAULT_MAX_CONNECTIONS
    timeout: float = DEFAULT_TIMEOUT
