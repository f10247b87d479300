"""Ports for servers that tests start, which nobody else is given meanwhile."""

from __future__ import annotations

import random
import socket

_RANGE = range(20_000, 32_768)
"""Below what the system gives to outgoing connections and to those who ask for any port: from 32768 on Linux
(``net.ipv4.ip_local_port_range``), from 49152 elsewhere (RFC 6335). A port from there may be somebody else's by the
time that the server comes to bind it, which is seconds later."""
_random = random.SystemRandom()  # two test runs at once must not draw the same


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    while True:
        port = _random.choice(_RANGE)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def free_ports(count: int) -> list[int]:
    """Several, each another."""
    ports: set[int] = set()
    while len(ports) < count:
        ports.add(free_port())
    return list(ports)
