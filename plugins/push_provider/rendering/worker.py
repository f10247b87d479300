"""The process that templates of strangers are rendered in: no Airflow, no ledger, no network, little memory.

It speaks with its parent over the socket that is its standard input: frames of
four bytes of length and a body. What it is given is pickled; what it answers is JSON, because its parent must not trust
it. It ends when its parent does.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import resource
import signal
import socket
import struct
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from push_provider import written
from push_provider.content.jinja_scales import LIMITS
from push_provider.exceptions import ContentError
from push_provider.rendering.check import examine
from push_provider.rendering.for_channel import message_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from push_provider.contract import PushTask

SLOW = 5.0
"""Seconds of processor of one task at the longest."""
CROWDED = 4
"""How many times as long by the clock a worker is waited for, if it gets less of the processor than it would use."""
MEMORY = 512 * 1024 * 1024
"""Bytes of address space of the process; with all that it imports it begins with 60 MiB."""
KEPT = 160 * 1024 * 1024
"""A process that has grown beyond it ends after its answer, so that the memory is free again."""
LENGTH = struct.Struct("!I")
_FORBIDDEN = ("socket.", "subprocess.", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.system", "ctypes.")
"""Audit events (https://docs.python.org/3/library/audit_events.html) of what no rendering needs."""


class Job(NamedTuple):
    """What is to be rendered.

    :param task: without its recipients.
    :param include: the include directory.
    :param areas: whether attachments lie in areas by application.
    :param seconds: of processor that all of it may take.
    :param to: for whom the message is shown; None to look for faults only.
    :param own: that recipient's variables.
    :param variables: a trigger's.
    :param default_timezone: the clock of a schedule that names none.
    """

    task: PushTask
    include: Path
    areas: bool
    seconds: float
    to: str | None = None
    own: Mapping[str, Any] | None = None
    variables: Mapping[str, Any] | None = None
    default_timezone: str = "UTC"


def answer(job: Job) -> dict[str, Any]:
    """Carry out a job.

    :returns: ``{"message": …}``, or ``{"error": …}`` with field and words; ``late`` says that it took too long.
    """
    until = time.thread_time() + job.seconds
    limits = LIMITS._replace(until=until)
    try:
        if job.to is None:
            examine(job.task, include=job.include, areas=job.areas, limits=limits)
            return {"message": None}
        given: dict[str, Any] = {"include": job.include, "areas": job.areas, "limits": limits}
        given |= {"default_timezone": job.default_timezone}
        return {"message": message_for(job.task, job.to, job.own or {}, variables=job.variables or {}, **given)}
    except ContentError as error:
        return {"error": str(error), "field": error.field, "late": time.thread_time() >= until}
    except MemoryError:
        return {"error": "needs too much memory; make it simpler", "field": None, "late": False}
    except Exception as error:  # noqa: BLE001  (whatever it is, it is told)
        return {"unforeseen": f"{type(error).__name__}: {error}"[:500]}


def main(nice: int) -> None:
    """Answer one job after the other, until the parent closes the socket.

    :param nice: how far the process lets others go first.
    """
    parent = socket.socket(fileno=os.dup(0))
    os.nice(nice)
    _settle()
    with contextlib.suppress(OSError, EOFError):  # the parent has gone
        _send(parent, {"ready": os.getpid()})
        while True:
            job: Job = pickle.loads(_receive(parent))  # noqa: S301  (from the parent, who is trusted)
            # The end of what neither the clock in the template nor the parent has ended: the parent may have died.
            signal.setitimer(signal.ITIMER_REAL, job.seconds * CROWDED + 5)
            said = answer(job)
            said["leaves"] = _held() > KEPT
            _send(parent, said)
            signal.setitimer(signal.ITIMER_REAL, 0)
            if said["leaves"]:
                return


def _settle() -> None:
    """Import what the first job would have to wait for, and give away what no job needs."""
    from push_provider.channels import registry
    from push_provider.content import markdown_body

    markdown_body.document("ready")
    for name in registry.names():
        with contextlib.suppress(Exception):  # which a job of that channel says
            registry.task_model(name)
            registry.content_of(name)
    with contextlib.suppress(ValueError, OSError):  # macOS has no such limit
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.addaudithook(_refuse)


def _refuse(event: str, _arguments: tuple[Any, ...]) -> None:
    if event.startswith(_FORBIDDEN):
        raise PermissionError(f"{event} is nothing that a rendering does")


def _held() -> int:
    """Bytes that the process holds now."""
    try:
        pages = Path("/proc/self/statm").read_text().split()[1]
    except OSError:
        return 0
    # Not getrusage's maximum: on Linux that begins with what the parent held, who started this process.
    return int(pages) * resource.getpagesize()


def _send(parent: socket.socket, said: dict[str, Any]) -> None:
    data = written.python_dumps(said).encode()
    parent.sendall(LENGTH.pack(len(data)) + data)


def _receive(parent: socket.socket) -> bytes:
    (size,) = LENGTH.unpack(_exactly(parent, LENGTH.size))
    return _exactly(parent, size)


def _exactly(parent: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = parent.recv(min(size - len(data), 1024 * 1024))
        if not part:
            raise EOFError
        data += part
    return bytes(data)
