"""The processes of a running API server, as the machine sees them."""

from __future__ import annotations

import contextlib
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


def rendering(main: psutil.Process) -> dict[psutil.Process, float]:
    """A server's processes that render templates, and the seconds of processor that each has used.

    :param main: the process that listens.
    """
    used = {}
    for child in main.children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if not is_second(child):
                used[child] = sum(child.cpu_times()[:2])
    return used


def second_of(server: ApiServer) -> psutil.Process | None:
    """Its process that answers requests with long bodies, if that takes any."""
    for child in serving(server).children():
        try:
            if is_second(child) and any(one.laddr for one in child.net_connections("unix")):
                return child
        except psutil.NoSuchProcess:
            continue
    return None
