"""A Firebase project, resolved: what a connection says, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

CONN_TYPE = "push_fcm"
ENDPOINT = "https://fcm.googleapis.com"
DEFAULT_MAX_CONNECTIONS = 2
DEFAULT_TIMEOUT = 10.0
STREAMS = 100
"""Calls at the same time on one connection: what an HTTP/2 server should allow at least (RFC 9113, 6.5.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FcmConfig:
    """Everything needed to push through Firebase Cloud Messaging.

    :param connection: id of the Airflow connection it came from, for messages.
    :param project: id of the Firebase project.
    :param account: the service account, as its JSON file has it; never shown.
    :param endpoint: begins the addresses of its calls.
    :param max_connections: each with up to :data:`STREAMS` calls at the same time.
    :param timeout: seconds for connecting and for each answer.
    """

    connection: str
    project: str
    account: Mapping[str, Any] = field(repr=False)
    endpoint: str = ENDPOINT
    max_connections: int = DEFAULT_MAX_CONNECTIONS
    timeout: float = DEFAULT_TIMEOUT
