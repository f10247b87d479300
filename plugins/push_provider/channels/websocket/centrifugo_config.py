"""A Centrifugo, resolved: what a connection says, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field

DEFAULT_CONNECTION = "push_centrifugo_default"
"""The connection of push tasks that name none."""
DEFAULT_NAMESPACE = "push"
DEFAULT_HISTORY_TTL = 3600.0
DEFAULT_HISTORY_SIZE = 100
DEFAULT_MAX_CONNECTIONS = 4
DEFAULT_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CentrifugoConfig:
    """Everything needed to call Centrifugo, and for its clients to reach it.

    :param connection: id of the Airflow connection it came from, for messages.
    :param address: of its HTTP server, without a slash at the end.
    :param api_key: of its server API; never shown.
    :param token_secret: what clients' tokens are signed with (HS256); never shown. None: none can be made.
    :param client_url: where clients connect.
    :param namespace: of the users' channels.
    :param history_ttl: seconds that the namespace keeps messages for those who are away.
    :param history_size: how many of a user.
    :param max_connections: calls at the same time.
    :param timeout: seconds for connecting and for each answer.
    """

    connection: str
    address: str
    api_key: str = field(repr=False)
    token_secret: str | None = field(default=None, repr=False)
    client_url: str
    namespace: str = DEFAULT_NAMESPACE
    history_ttl: float = DEFAULT_HISTORY_TTL
    history_size: int = DEFAULT_HISTORY_SIZE
    max_connections: int = DEFAULT_MAX_CONNECTIONS
    timeout: float = DEFAULT_TIMEOUT

    def channel(self, user: str) -> str:
        """The channel of one user, to which Centrifugo lets nobody else subscribe (a user-limited channel)."""
        return f"{self.namespace}:#{user}"
