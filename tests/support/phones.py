"""App push for tests: the sandbox's Aliyun Mobile Push over HTTP, and connections to it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sandbox.app_account import APP_KEY
from sandbox.sms_faults import Fault

if TYPE_CHECKING:
    import pytest

    from sandbox.app_store import AppMessage, AppStore
    from sandbox.sms_gateway import AliyunGateway


class Phones:
    """The stand-in, and what a test asks of it.

    :param address: host and port.
    """

    KEY, SECRET = "LTAI5tOfTheTests", "a-secret-of-the-tests"

    def __init__(self, store: AppStore, gateway: AliyunGateway, address: str) -> None:
        self.store = store
        self.gateway = gateway
        self.address = address

    def fields(self, **extra: Any) -> dict[str, Any]:
        """A connection of type ``push_aliyun_app`` to it; ``login``, ``password`` … or names of the extra."""
        standard = {name: extra.pop(name) for name in ("conn_type", "login", "password", "port") if name in extra}
        own = {"conn_type": "push_aliyun_app", "login": self.KEY, "password": self.SECRET, **standard}
        # Longer than a busy machine takes; a test of what never comes says less.
        settings = {"app_key": str(APP_KEY), "endpoint": f"http://{self.address}", "timeout": 20}
        return {**own, "extra": {**settings, **extra}}

    def connect(self, monkeypatch: pytest.MonkeyPatch, **extra: Any) -> None:
        """Make it the default configuration."""
        monkeypatch.setenv("AIRFLOW_CONN_PUSH_ALIYUN_APP_DEFAULT", json.dumps(self.fields(**extra)))

    def fail(self, kind: str, **fields: Any) -> None:
        """Let the next calls fail; see :class:`~sandbox.sms_faults.Fault`."""
        self.gateway.faults.add(Fault.from_json({"kind": kind, **fields}))

    @property
    def got(self) -> list[AppMessage]:
        """All messages that were taken, oldest first."""
        return self.store.find(limit=100_000)[0][::-1]

    @property
    def calls(self) -> int:
        """How many calls there were that push."""
        return self.gateway.counts["MassPushV2"]
