"""A TCP connection to one of a host's addresses, of which only so many are tried.

A name may have hundreds of addresses, each of which may say nothing until its time is over; whoever gives out the name
decides that.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from itertools import islice

ADDRESSES = 8
"""The most addresses of one name that are tried; large mail services have fewer in one answer."""


def dial(host: str, port: int, seconds: Callable[[], float | None]) -> socket.socket:
    """Connect to one of the first :data:`ADDRESSES` addresses of a host.

    :param host: name or address.
    :param seconds: how long the next address has, None for ever; asked before each,
        and it may raise TimeoutError, which ends the search.
    :raises socket.gaierror: the host has no address.
    :raises OSError: none of those that were tried takes a connection; it is the last one's error.
    """
    failed: OSError = OSError(f"{host} has no address")
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for family, kind, protocol, _, address in islice(found, ADDRESSES):
        limit = seconds()
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(limit)
            sock.connect(address)
        except OSError as error:
            sock.close()
            failed = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failed
