"""The processes of a running API server, as the machine sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from api_server import ApiServer


def serving(server: ApiServer) -> psutil.Process:
    """The process that listens at the server's port."""
    for connection in psutil.net_connections("tcp"):
        if connection.laddr.port == server.port and connection.status == psutil.CONN_LISTEN and connection.pid:
            return psutil.Process(connection.pid)
    raise AssertionError("nobody listens")


def is_second(process: psutil.Process) -> bool:
    """Whether it answers requests with long bodies."""
    return "push_provider.api.second_server" in process.cmdline()


def second_of(server: ApiServer) -> psutil.Process | None:
    """Its process that answers requests with long bodies, if that takes any."""
    for child in serving(server).children():
        try:
            if is_second(child) and any(one.laddr for one in child.net_connections("unix")):
                return child
        except psutil.NoSuchProcess:
            continue
    return None
