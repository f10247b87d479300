"""Has templates of strangers rendered in processes of their own, within what each asker may use of them.

There are two lanes. Whatever comes in is first given to the quick one, where a sound message takes some milliseconds
and none more than :data:`QUICK` seconds; what is not through by then begins anew in the slow one. Who has kept the
workers busy lately has no place in the quick one any more, so that everybody else's messages pass.

The workers (:mod:`push_provider.rendering.worker`) are fresh interpreters, and never forked from this process, whose
threads and locks they would inherit. One that is late, or whose asker has gone, is killed, and another started.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import math
import os
import pickle
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from push_provider import settings
from push_provider.exceptions import (
    ContentError,
    FieldError,
    LimitExceeded,
    RenderingBudget,
    RenderingUnavailable,
)
from push_provider.rendering.worker import LENGTH, MEMORY, Job
from push_provider.spending import Spending

if TYPE_CHECKING:
    from push_provider.contract import PushTask

QUICK = 0.4
"""Seconds of one task in the quick lane. A large template of 3,000 tokens takes 0.15."""
SLOW = 5.0
"""Seconds of one task in the slow lane."""
REQUEST = 10.0
"""Seconds in the slow lane of all tasks of one request, or of one batch of messages."""
MINUTE = 20.0
"""Seconds of processor that one caller may use in a minute, and at once."""
_SHORT = 0.1
"""Tasks that take less are nobody's burden; a sound one takes a twentieth of it."""
_HEAVY = 1.0
"""Seconds of late after which a caller has no place in the quick lane."""
_CROWDED = 4
"""Seconds of waiting that count as one, if a worker gets less of the processor than it would use."""
_GRACE = 1.0
"""Seconds that a worker has to say by itself that it is late."""
_START = 30.0
"""Seconds in which a worker must be ready; on an idle machine it takes a third of one."""
_STEP = 0.1
"""Seconds after which somebody is looked for who has gone."""
_ANSWER = 32 * 1024 * 1024
"""Bytes of an answer: two bodies of a million characters fit, however JSON writes them."""
_MAIN = "from push_provider.rendering.worker import main; main({})"
_PASSED_ON = ("HOME", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "PATH", "PYTHONHOME", "PYTHONUTF8", "TZ")
"""All of the environment that a worker has: no option of Airflow, which may hold a secret."""


def _never() -> bool:
    return False


def _always() -> bool:
    return True


class Asker:
    """For whom something is rendered: one request, one batch of messages or one command.

    :param name: whose budget it uses; None for somebody who has none.
    :param gone: whether they do not wait any more.
    :param seconds: in the slow lane, for all that they ask for here.
    :param shared: several people stand behind the name, and each may try the quick lane.
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        gone: Callable[[], bool] = _never,
        seconds: float = REQUEST,
        shared: bool = False,
    ) -> None:
        self.name = name
        self.gone = gone
        self.left = seconds
        self.shared = shared

    def may_be_quick(self) -> bool:
        """Whether they have a place in the quick lane."""
        return self.shared or _spending.of(self.name) < _HEAVY

    def spend(self, busy: float, whole: float) -> None:
        """Note that a worker was busy for them.

        :param busy: seconds that it costs the caller.
        :param whole: seconds that it costs the request.
        """
        if busy >= _SHORT:
            self.left -= whole
            _spending.add(self.name, busy)


class Gone(Exception):
    """Whoever asked does not wait any more."""


class _NoPlace(Exception):
    """Whoever waited has no place here any more."""


class WorkerFault(Exception):
    """Something in a worker that nobody thought of; its words are in a line."""


def faults(task: PushTask, asker: Asker) -> list[FieldError]:
    """What is wrong with a task's templates and attachments: each is compiled or read, as when it is sent.

    :raises RenderingBudget: the asker has used up what they may.
    :raises RenderingUnavailable: no worker can be had just now.
    :raises Gone: nobody wants to know.
    """
    try:
        _carried_out(task, asker)
    except ContentError as error:
        field = error.field or "content"
        return [FieldError(field, str(error).removeprefix(f"{field}: "))]
    return []


def preview(
    task: PushTask, asker: Asker, to: str, own: Mapping[str, Any], variables: Mapping[str, Any] = {}
) -> Mapping[str, Any]:
    """The message as one recipient would get it, as plain values that come from a process nobody trusts.

    :param to: the recipient's address.
    :param own: the recipient's variables.
    :param variables: a trigger's.
    :raises ContentError: it cannot be rendered.
    :raises RenderingBudget: the asker has used up what they may; for the others see :func:`faults`.
    """
    message = _carried_out(task, asker, to=to, own=dict(own), variables=dict(variables))
    if not isinstance(message, dict):
        raise WorkerFault("a worker's answer holds no message")
    return message


def start() -> None:
    """Start what a process that serves people will need, so that its first caller does not wait for it."""
    _lanes().quick.fill()


def close() -> None:
    """End all workers of this process."""
    global _current
    with _guard:
        lanes, _current = _current, None
    if lanes is not None and lanes.pid == os.getpid():
        lanes.quick.close()
        lanes.slow.close()


# --- budgets --------------------------------------------------------------------------------------------


def _unforgiven(spent: float, seconds: float) -> float:
    """What callers have kept workers busy for is forgotten at the rate of the budget."""
    return max(0.0, spent - seconds * MINUTE / 60)


_spending = Spending(_unforgiven)


def _carried_out(task: PushTask, asker: Asker, **wanted: Any) -> Any:
    lanes = _lanes()
    # Nobody but the one recipient who is looked at is of interest, and there may be a million.
    alone = task.model_copy(update={"recipients": []})
    job = Job(alone, settings.include_dir(), settings.attachment_areas(), QUICK, **wanted)
    if asker.may_be_quick():
        with contextlib.suppress(_NoPlace):
            quick = job if asker.left > 0 else job._replace(seconds=_SHORT)
            said = lanes.quick.run(quick, asker, while_=asker.may_be_quick)
            if not said.late:
                return said.message()
    of_caller = MINUTE - _spending.of(asker.name)
    of_request = asker.left
    room = min(SLOW, of_request, of_caller)
    if room > 0:
        said = lanes.slow.run(job._replace(seconds=room), asker)
        if not said.late or room >= SLOW:
            return said.message()
    if of_request < of_caller:
        raise RenderingBudget(
            f"All templates of one request or batch may take {REQUEST:g} s to be looked at, and these take longer. "
            "Make them simpler, or send fewer at a time.",
            retry_after=1,
        )
    raise RenderingBudget(
        f"Looking at your templates has taken {MINUTE:g} s of the last minute, which is all that one caller may take. "
        "Wait, and make them simpler.",
        # What was spent may be some less by now: a busy machine takes longer than it counts.
        retry_after=max(1, math.ceil((_spending.of(asker.name) - MINUTE + 1) * 60 / MINUTE)),
    )


# --- lanes ----------------------------------------------------------------------------------------------


class _Said(NamedTuple):
    """What a worker answered; nothing of it is trusted."""

    document: Mapping[str, Any]

    @property
    def late(self) -> bool:
        return self.document.get("late") is True

    def message(self) -> Any:
        if "unforeseen" in self.document:
            raise WorkerFault(str(self.document["unforeseen"])[:500])
        if "error" in self.document:
            error = (LimitExceeded if self.late else ContentError)(str(self.document["error"])[:1000])
            field = self.document.get("field")
            error.field = field if isinstance(field, str) else None
            raise error
        return self.document.get("message")


class _Lane:
    """Some workers, and whoever waits for one of them, in the order in which they came; but others of one name wait.

    :param size: workers at a time.
    :param places: how many may wait; each of them holds a thread.
    :param nice: how far the workers let other processes go first.
    :param counts_all: a request's seconds are those of the clock, and not of the processor.
    """

    def __init__(self, size: int, places: int, *, nice: int, counts_all: bool) -> None:
        self._size = size
        self._counts_all = counts_all
        self._nice = nice
        self._places = places
        self._idle: list[_Worker] = []
        self._busy: Counter[str | None] = Counter()
        self._waiting: list[Asker] = []
        self._open = True
        self._turn = threading.Condition()

    def run(self, job: Job, asker: Asker, *, while_: Callable[[], bool] = _always) -> _Said:
        """Have a job done.

        :param while_: whether the asker's place is still theirs when their turn comes.
        :raises RenderingUnavailable: too many wait, or no worker can be started.
        :raises Gone: the asker has gone.
        :raises _NoPlace: the place was not theirs any more.
        """
        worker = self._take(asker, while_)
        fit = False
        try:
            worker.get_ready(asker.gone)
            began, used = time.monotonic(), worker.used()
            try:
                said = worker.run(job, asker.gone)
            finally:
                took = time.monotonic() - began
                # What others do to the machine is no caller's fault; but no request may hold a thread for ever, either.
                busy = max(worker.used() - used, took / _CROWDED)
                asker.spend(busy, took if self._counts_all else busy)
            fit = said.document.get("leaves") is False
        finally:
            self._give_back(worker, asker, fit=fit)
        return said

    def fill(self) -> None:
        """Start all workers."""
        with self._turn:
            self._idle += [_Worker(self._nice) for _ in range(self._size - self._busy.total() - len(self._idle))]

    def close(self) -> None:
        """End all that are idle, and each other when its job is done."""
        with self._turn:
            self._open = False
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.end()

    def _take(self, asker: Asker, while_: Callable[[], bool]) -> _Worker:
        with self._turn:
            if self._busy.total() + len(self._waiting) >= self._size + self._places:
                raise RenderingUnavailable(
                    "Too many templates are being looked at just now. Try again in a moment.", retry_after=2
                )
            self._waiting.append(asker)
            try:
                while self._busy.total() >= self._size or self._next() is not asker:
                    if not self._turn.wait(_STEP) and asker.gone():
                        raise Gone
                    if not while_():
                        raise _NoPlace
            finally:
                self._waiting.remove(asker)
                self._turn.notify_all()
            self._busy[asker.name] += 1
            while self._idle:
                worker = self._idle.pop()
                if worker.alive:
                    return worker
                worker.end()
        try:
            return _Worker(self._nice)
        except RenderingUnavailable:
            self._leave(asker)
            raise

    def _next(self) -> Asker:
        return min(self._waiting, key=lambda asker: self._busy[asker.name])  # of several the first

    def _leave(self, asker: Asker) -> None:
        with self._turn:
            self._busy[asker.name] -= 1
            if not self._busy[asker.name]:
                del self._busy[asker.name]
            self._turn.notify_all()

    def _give_back(self, worker: _Worker, asker: Asker, *, fit: bool) -> None:
        if not fit or not self._open:
            worker.end()
        with contextlib.suppress(RenderingUnavailable), self._turn:
            if self._open:
                self._idle.append(worker if fit else _Worker(self._nice))
        self._leave(asker)


class _Lanes:
    def __init__(self) -> None:
        self.pid = os.getpid()
        self.quick = _Lane(2, 24, nice=5, counts_all=False)
        self.slow = _Lane(2, 4, nice=15, counts_all=True)


_current: _Lanes | None = None
_guard = threading.Lock()


def _lanes() -> _Lanes:
    global _current
    with _guard:
        if _current is None or _current.pid != os.getpid():
            if _current is None:
                atexit.register(close)
            _current = _Lanes()
        return _current


# --- workers --------------------------------------------------------------------------------------------


class _Worker:
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
        return self._process.poll() is None

    def get_ready(self, gone: Callable[[], bool]) -> None:
        """Wait until it is ready.

        :raises RenderingUnavailable: it has not become so.
        :raises Gone: nobody waits for it.
        """
        if not self._ready and not self._receive(time.monotonic() + _START, gone):
            raise RenderingUnavailable("The process that renders templates does not start; this one's log says why.")
        self._ready = True

    def run(self, job: Job, gone: Callable[[], bool]) -> _Said:
        """Have a job done; afterwards, unless it has answered, the worker is of no use.

        :raises Gone: nobody waits for the answer.
        """
        data = pickle.dumps(job, pickle.HIGHEST_PROTOCOL)
        until = time.monotonic() + job.seconds + _GRACE
        try:
            self._socket.settimeout(job.seconds + _GRACE)
            self._socket.sendall(LENGTH.pack(len(data)) + data)
        except OSError:
            said = None
        else:
            said = self._receive(until, gone)
        if said is not None:
            return _Said(said)
        if time.monotonic() >= until:
            return _Said({"error": f"takes longer than {SLOW:g} s; make the template simpler", "late": True})
        return _Said({"error": f"needs more than {MEMORY // 1024**2} MiB of memory; make it simpler"})

    def used(self) -> float:
        """Seconds of processor that it has used so far, where the system says so; else 0."""
        if sys.platform != "linux":
            return 0.0
        try:
            return time.clock_gettime(~self._process.pid << 3 | 2)  # clock_getcpuclockid(3), as glibc has it
        except OSError:
            return 0.0

    def end(self) -> None:
        """Kill the process."""
        self._socket.close()
        self._process.kill()
        self._process.wait()

    def _receive(self, until: float, gone: Callable[[], bool]) -> Mapping[str, Any] | None:
        """The next answer; None if none comes, or what comes is none."""
        head = self._exactly(LENGTH.size, until, gone)
        size = LENGTH.unpack(head)[0] if head else _ANSWER + 1
        body = self._exactly(size, until, gone) if size <= _ANSWER else None
        if body is None:
            return None
        try:
            said = json.loads(body)
        except (ValueError, RecursionError):
            return None
        return said if isinstance(said, dict) else None

    def _exactly(self, size: int, until: float, gone: Callable[[], bool]) -> bytes | None:
        data = bytearray()
        while len(data) < size:
            left = until - time.monotonic()
            if left <= 0:
                return None
            self._socket.settimeout(min(left, _STEP))
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
