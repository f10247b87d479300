"""The processes that render templates of strangers, as the one that asks them sees them.

A worker (:mod:`push_provider.rendering.worker`) is a fresh interpreter, and never forked from this process, whose
threads and locks it would inherit. One that is late, or whose asker has gone, is of no use any more.
"""

from __future__ import annotations

import json
import os
import pickle
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from push_provider import written
from push_provider.exceptions import ContentError, LimitExceeded, RenderingUnavailable
from push_provider.rendering.worker import CROWDED, LENGTH, MEMORY, SLOW, Job

_GRACE = 1.0
"""Seconds that a worker has to say by itself that it is late."""
_START = 30.0
"""Seconds in which a worker must be ready; on an idle machine it takes a third of one."""
STEP = 0.1
"""Seconds after which somebody is looked for who has gone."""
_ANSWER = 32 * 1024 * 1024
"""Bytes of an answer: two bodies of a million characters fit, however JSON writes them."""
_MAIN = "from push_provider.rendering.worker import main; main({})"
_PASSED_ON = ("HOME", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "PATH", "PYTHONHOME", "PYTHONUTF8", "TZ")
"""All of the environment that a worker has: no option of Airflow, which may hold a secret."""


class Gone(Exception):
    """Whoever asked does not wait any more."""


class WorkerFault(Exception):
    """Something in a worker that nobody thought of; its words are in a line."""


class Said(NamedTuple):
    """What a worker answered; nothing of it is trusted."""

    document: Mapping[str, Any]

    @property
    def late(self) -> bool:
        """Whether there is no answer, because its seconds are over."""
        return self.document.get("late") is True

    @property
    def crowded(self) -> bool:
        """Whether it is late without having had its seconds: others keep the machine busy."""
        return self.document.get("crowded") is True

    def message(self) -> Any:
        """What was asked for.

        :raises ContentError: it cannot be rendered.
        :raises WorkerFault: it should have been.
        """
        if "unforeseen" in self.document:
            raise WorkerFault(str(self.document["unforeseen"])[:500])
        if "error" in self.document:
            error = (LimitExceeded if self.late else ContentError)(str(self.document["error"])[:1000])
            field = self.document.get("field")
            error.field = field if isinstance(field, str) else None
            raise error
        return self.document.get("message")


class Worker:
    """One process, used by one thread at a time; it is ready a moment after it was made.

    :param nice: how far it lets other processes go first.
    :raises RenderingUnavailable: it cannot be started.
    """

    def __init__(self, nice: int) -> None:
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-c", _MAIN.format(nice)],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    cwd="/",
                    env=_environment(),
                )
        except OSError as error:
            ours.close()
            raise RenderingUnavailable(f"No process can be started that renders templates: {error.strerror}") from error
        self._socket = ours
        self._ready = False

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    @property
    def ready(self) -> bool:
        """Whether it can begin at once."""
        return self._ready or bool(select.select([self._socket], [], [], 0)[0])

    def get_ready(self, gone: Callable[[], bool]) -> None:
        """Wait until it is ready.

        :raises RenderingUnavailable: it has not become so.
        :raises Gone: nobody waits for it.
        """
        until = time.monotonic() + _START
        if not self._ready and not self._receive(lambda: time.monotonic() >= until, gone):
            raise RenderingUnavailable("The process that renders templates does not start; this one's log says why.")
        self._ready = True

    def run(self, job: Job, gone: Callable[[], bool], patience: float | None = None) -> Said:
        """Have a job done; afterwards, unless it has answered, the worker is of no use.

        :param patience: seconds by the clock that it may take; left out, some more than the job's of processor.
        :raises Gone: nobody waits for the answer.
        """
        data = pickle.dumps(job, pickle.HIGHEST_PROTOCOL)
        patience = (job.seconds * CROWDED if patience is None else patience) + _GRACE
        used, until = self.used(), time.monotonic() + patience

        def late() -> bool:
            return self.used() - used > job.seconds + _GRACE

        try:
            self._socket.settimeout(patience)
            self._socket.sendall(LENGTH.pack(len(data)) + data)
        except OSError:
            said = None
        else:
            said = self._receive(lambda: late() or time.monotonic() >= until, gone)
        if said is not None:
            return Said(said)
        if late():
            return Said({"error": f"takes longer than {SLOW:g} s; make the template simpler", "late": True})
        if time.monotonic() >= until:
            return Said({"late": True, "crowded": True})
        return Said({"error": f"needs more than {MEMORY // 1024**2} MiB of memory; make it simpler"})

    def used(self) -> float:
        """Seconds of processor that it has used so far; where the system does not say so, those of the clock."""
        if sys.platform != "linux":
            return time.monotonic()
        try:
            return time.clock_gettime(~self._process.pid << 3 | 2)  # clock_getcpuclockid(3), as glibc has it
        except OSError:
            return 0.0

    def end(self) -> None:
        """Kill the process."""
        self._socket.close()
        self._process.kill()
        self._process.wait()

    def _receive(self, over: Callable[[], bool], gone: Callable[[], bool]) -> Mapping[str, Any] | None:
        """The next answer; None if none comes in time, or what comes is none."""
        head = self._exactly(LENGTH.size, over, gone)
        size = LENGTH.unpack(head)[0] if head else _ANSWER + 1
        body = self._exactly(size, over, gone) if size <= _ANSWER else None
        if body is None:
            return None
        try:
            said = json.loads(body, parse_float=written.number)
        except (ValueError, RecursionError):
            return None
        return said if isinstance(said, dict) else None

    def _exactly(self, size: int, over: Callable[[], bool], gone: Callable[[], bool]) -> bytes | None:
        data = bytearray()
        self._socket.settimeout(STEP)
        while len(data) < size:
            if over():
                return None
            try:
                part = self._socket.recv(min(size - len(data), 1024 * 1024))
            except TimeoutError:
                if gone():
                    raise Gone from None
                continue
            except OSError:
                return None
            if not part:
                return None
            data += part
        return bytes(data)


def _environment() -> dict[str, str]:
    path = os.pathsep.join(entry for entry in sys.path if entry)
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {**passed, "PYTHONPATH": path, "PYTHONNOUSERSITE": "1"}
