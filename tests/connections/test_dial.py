"""To which of a host's addresses a connection is made."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from ports import free_port

from push_provider.connections.dial import ADDRESSES, dial


@pytest.fixture
def addresses(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the name of the test's host leads to: the ports of this machine that are given."""

    def give(ports: list[int]) -> None:
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in ports]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)

    return give


@pytest.mark.parametrize("silent", [0, 1, ADDRESSES - 1])
def test_the_first_that_takes_a_connection(addresses: Any, silent: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        addresses([free_port() for _ in range(silent)] + [server.getsockname()[1]])
        with dial("many.example", 1, lambda: 5.0) as sock:
            assert sock.getpeername() == server.getsockname()


def test_only_so_many_are_tried(addresses: Any) -> None:
    asked = []

    def seconds() -> float:
        asked.append(1)
        return 5.0

    with socket.create_server(("127.0.0.1", 0)) as server:
        addresses([free_port() for _ in range(ADDRESSES)] + [server.getsockname()[1]])
        with pytest.raises(ConnectionRefusedError):
            dial("many.example", 1, seconds)
    assert len(asked) == ADDRESSES


def test_the_time_of_all_may_end_in_between(addresses: Any) -> None:
    def seconds() -> float:
        raise TimeoutError("over")

    addresses([free_port()])
    with pytest.raises(TimeoutError, match="over"):
        dial("many.example", 1, seconds)


def test_a_host_without_an_address(addresses: Any) -> None:
    addresses([])
    with pytest.raises(OSError, match="no address"):
        dial("none.example", 1, lambda: 5.0)
