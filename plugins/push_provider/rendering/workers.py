"""Has templates of strangers rendered in processes of their own, within what each asker may use of them.

There are two lanes. Whatever comes in is first given to the quick one, where a sound message takes some milliseconds
and none more than :data:`QUICK` seconds; what is not through by then begins anew in the slow one. Who has kept the
workers busy lately has no place in the quick one any more, so that everybody else's messages pass; and one worker of it
is kept for those who have not been noticed for a while.

A worker that is late, or whose asker has gone, is killed, and another started.
"""

from __future__ import annotations

import atexit
import contextlib
import math
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from push_provider import settings
from push_provider.exceptions import (
    ContentError,
    FieldError,
    RenderingBudget,
    RenderingUnavailable,
)
from push_provider.rendering.processes import STEP, Gone, Said, Worker, WorkerFault
from push_provider.rendering.worker import CROWDED, SLOW, Job
from push_provider.spending import Spending, fading

if TYPE_CHECKING:
    from push_provider.contract import PushTask

QUICK = 0.4
"""Seconds of one task in the quick lane. A large template of 3,000 tokens takes 0.15."""
REQUEST = 10.0
"""Seconds by the clock in the slow lane of all tasks of one request, or of one batch of messages."""
MINUTE = 20.0
"""Seconds of processor that one caller may use in a minute, and at once."""
_SHORT = 0.1
"""Tasks that take less are nobody's burden; a sound one takes a twentieth of it."""
_HEAVY = 1.0
"""Seconds of late after which a caller has no place in the quick lane."""
_KEPT = 0.98
"""Of what a caller has kept workers busy, how much is remembered a second later when it is asked who goes first."""


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
            _had.add(self.name, busy)


class _NoPlace(Exception):
    """Whoever waited has no place here any more."""


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


_remembered = fading(_KEPT, _SHORT / 2)
_spending = Spending(_unforgiven)
_had = Spending(_remembered)
"""Who has had the workers at all: a budget forgives sooner than strangers who come again and again may be forgotten."""


def _carried_out(task: PushTask, asker: Asker, **wanted: Any) -> Any:
    lanes = _lanes()
    # Nobody but the one recipient who is looked at is of interest, and there may be a million.
    alone = task.model_copy(update={"recipients": []})
    wanted["default_timezone"] = settings.default_timezone()
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
        said = lanes.slow.run(job._replace(seconds=room), asker, patience=min(SLOW * CROWDED, of_request))
        if said.crowded:
            raise RenderingBudget(
                "This machine is too busy just now to look at so slow a template. Try again later, or make it simpler.",
                retry_after=10,
            )
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


class _Lane:
    """Some workers, and whoever waits for one of them: who has had the least goes first, of several who came first.

    :param size: workers at a time.
    :param kept: how many of them are for callers alone who have not kept any busy lately.
    :param places: how many may wait; each of them holds a thread.
    :param nice: how far the workers let other processes go first.
    :param counts_all: a request's seconds are those of the clock, and not of the processor.
    """

    def __init__(self, size: int, places: int, *, kept: int = 0, nice: int, counts_all: bool) -> None:
        self._size = size
        self._kept = kept
        self._counts_all = counts_all
        self._nice = nice
        self._places = places
        self._idle: list[Worker] = []
        self._busy: Counter[str | None] = Counter()
        self._waiting: list[Asker] = []
        self._open = True
        self._turn = threading.Condition()

    def run(
        self, job: Job, asker: Asker, *, while_: Callable[[], bool] = _always, patience: float | None = None
    ) -> Said:
        """Have a job done.

        :param while_: whether the asker's place is still theirs when their turn comes.
        :param patience: seconds by the clock that it may take.
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
                said = worker.run(job, asker.gone, patience)
            finally:
                took = time.monotonic() - began
                # What others do to the machine is no caller's fault; but no request may hold a thread for ever, either.
                busy = max(worker.used() - used, took / CROWDED)
                asker.spend(busy, took if self._counts_all else busy)
            fit = said.document.get("leaves") is False
        finally:
            if not fit:
                _had.add(asker.name, _SHORT)  # the next one is not there at once
            self._give_back(worker, asker, fit=fit)
        return said

    def fill(self) -> None:
        """Start all workers."""
        with self._turn:
            self._idle += [Worker(self._nice) for _ in range(self._size - self._busy.total() - len(self._idle))]

    def close(self) -> None:
        """End all that are idle, and each other when its job is done."""
        with self._turn:
            self._open = False
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.end()

    def _take(self, asker: Asker, while_: Callable[[], bool]) -> Worker:
        with self._turn:
            if self._busy.total() + len(self._waiting) >= self._size + self._places:
                raise RenderingUnavailable(
                    "Too many templates are being looked at just now. Try again in a moment.", retry_after=2
                )
            self._waiting.append(asker)
            try:
                while self._next() is not asker or self._busy.total() >= self._open_to(asker):
                    if not self._turn.wait(STEP) and asker.gone():
                        raise Gone
                    if not while_():
                        raise _NoPlace
            finally:
                self._waiting.remove(asker)
                self._turn.notify_all()
            self._busy[asker.name] += 1
            while self._idle:
                worker = self._pick(asker)
                if worker.alive:
                    return worker
                worker.end()
        try:
            return Worker(self._nice)
        except RenderingUnavailable:
            self._leave(asker)
            raise

    def _next(self) -> Asker:
        # Of several the first.
        return min(self._waiting, key=lambda asker: (self._busy[asker.name], _had.of(asker.name)))

    def _open_to(self, asker: Asker) -> int:
        """How many workers may be busy, theirs included."""
        return self._size - self._kept if _had.of(asker.name) else self._size

    def _pick(self, asker: Asker) -> Worker:
        """One that is idle; those who often have theirs killed wait until the next one is there, and nobody else."""
        noticed = bool(_had.of(asker.name))
        place = next((n for n, one in enumerate(self._idle) if one.ready is not noticed), -1)
        return self._idle.pop(place)

    def _leave(self, asker: Asker) -> None:
        with self._turn:
            self._busy[asker.name] -= 1
            if not self._busy[asker.name]:
                del self._busy[asker.name]
            self._turn.notify_all()

    def _give_back(self, worker: Worker, asker: Asker, *, fit: bool) -> None:
        if not fit or not self._open:
            worker.end()
        with contextlib.suppress(RenderingUnavailable), self._turn:
            if self._open:
                self._idle.append(worker if fit else Worker(self._nice))
        self._leave(asker)


class _Lanes:
    def __init__(self) -> None:
        self.pid = os.getpid()
        self.quick = _Lane(3, 24, kept=1, nice=5, counts_all=False)
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
