"""The processes of the platform: each is watched, and started again when it ends.

A part that ends is told of, with its exit code or signal. What it leaves behind is ended, and it is started again: at
once the first time, later each time that it ends soon after its start. One that goes on ending is given up::

    parts = Parts(print)
    parts.add(program, now=time.monotonic())
    while True:
        parts.keep(time.monotonic())
        time.sleep(0.5)
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from push_provider.exceptions import ProviderUnavailable
from sandbox import signals

if TYPE_CHECKING:
    import psutil

SOON = 30.0
"""Seconds: a part that ends within them may not work at all, one that ends later has worked."""
WAITS = (0.0, 1.0, 2.0, 4.0, 8.0)
"""Seconds before a part is started again, the first time that it ends soon after its start, the second …"""
_STOP_SECONDS = 15.0
_TAIL = 4


class Part(Protocol):
    """Something that runs, and can be started again when it has ended."""

    name: str
    log: Path

    def poll(self) -> int | None:
        """Its exit code as :class:`subprocess.Popen` gives it, None while it runs."""

    def restart(self) -> None:
        """End what is left of it, and start it again.

        :raises ProviderUnavailable: it does not start.
        """

    def tail(self) -> str:
        """The last lines that it logged since it was started."""


def written_since(log: Path, offset: int) -> str:
    """The last lines of a log file, of what was written beyond ``offset`` bytes."""
    with contextlib.suppress(OSError), log.open("rb") as file:
        file.seek(max(offset, log.stat().st_size - 20_000))
        return "\n".join(file.read().decode(errors="replace").splitlines()[-_TAIL:])
    return ""


class Program:
    """A process of the platform, with its output in a log file; running from here on.

    :param env: its whole environment.
    :param note: takes the number of its session each time that it is started.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        env: Mapping[str, str],
        log: Path,
        note: Callable[[int], object] = lambda _: None,
    ) -> None:
        self.name = name
        self.log = log
        self._command = list(command)
        self._env = dict(env)
        self._note = note
        log.parent.mkdir(parents=True, exist_ok=True)
        self._start()

    def _start(self) -> None:
        with signals.ending.held(), self.log.open("ab") as output:
            self._offset = output.tell()
            self.process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self._env,
                start_new_session=True,  # Ctrl-C reaches only us, and we end the others in order
            )
            self._note(self.process.pid)

    def restart(self) -> None:
        """End what is left of it, and start it again."""
        end_session(self.process.pid)
        self._start()

    def poll(self) -> int | None:
        """Its exit code, None while it runs."""
        with signals.ending.held():  # which would leave the lock of Popen behind, and nobody could wait for it
            return self.process.poll()

    def tail(self) -> str:
        """The last lines that it logged since it was started."""
        return written_since(self.log, self._offset)

    def check(self) -> None:
        """Complain if it has ended.

        :raises ProviderUnavailable: with the end of its log.
        """
        code = self.poll()
        if code is not None:
            raise ProviderUnavailable(f"{self.name} ended: {how(code)} ({self.log}):\n{self.tail()}")


def stop(programs: Sequence[Program]) -> None:
    """End all processes, at the same time, and whatever they have started."""
    with signals.ending.held():
        for program in programs:
            program.process.terminate()
        deadline = time.monotonic() + _STOP_SECONDS
        for program in programs:
            try:
                program.process.wait(max(deadline - time.monotonic(), 0.0))
            except subprocess.TimeoutExpired:
                program.process.kill()
                program.process.wait()
            end_session(program.process.pid)


def end_sessions(leaders: Sequence[int]) -> None:
    """End sessions that somebody else has started, as :func:`stop` ends ours, at the same time."""
    import psutil

    processes = []
    for leader in leaders:
        with contextlib.suppress(psutil.NoSuchProcess):  # it has ended, and others of its session have not
            processes.append(psutil.Process(leader))
            processes[-1].terminate()
    end(psutil.wait_procs(processes, timeout=_STOP_SECONDS)[1])
    for leader in leaders:
        end_session(leader)


def end_session(leader: int) -> None:
    """End the processes of a session whose leader has ended: an orphan must not go on sending, nor hold a port.

    Airflow's workers and their tasks have process groups of their own, and are all in their scheduler's session.
    """
    import psutil

    orphans = []
    for pid in psutil.pids():
        with contextlib.suppress(psutil.Error, OSError):
            if pid != leader and os.getsid(pid) == leader:
                orphans.append(psutil.Process(pid))
    end(orphans)


def end(processes: Sequence[psutil.Process]) -> None:
    """Kill processes, and wait until they are gone."""
    import psutil

    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=5)


def how(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):
        return f"killed by {signal.Signals(-code).name}"
    return f"killed by signal {-code}"


class Parts:
    """Keeps parts running.

    :param say: takes what is to be told, a line or some.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._kept: list[_Kept] = []

    def add(
        self,
        part: Part,
        *,
        now: float,
        prepare: Callable[[], bool] = lambda: True,
        ground: Callable[[], object] = lambda: None,
        loses: str = "",
    ) -> None:
        """Keep a part that runs; those added first are looked after first.

        :param now: the present moment of a clock in seconds.
        :param prepare: does what must be done before it is started again; false: it cannot be started yet.
        :param ground: what it stands on; if that is another one at its end than at its start, the end was no fault
            of its own, and does not count.
        :param loses: what goes with its process, in a sentence.
        """
        self._kept.append(_Kept(part, prepare, ground, loses))
        self._kept[-1].note_start(now)

    def keep(self, now: float) -> None:
        """Look after all parts once.

        :param now: the present moment of the same clock.
        :raises ProviderUnavailable: a part ended again and again.
        """
        for one in self._kept:
            if one.due is None and (code := one.part.poll()) is not None:
                self._ended(one, now, how(code), one.part.tail() if code >= 0 else "")  # what was killed said nothing
            if one.due is not None and now >= one.due and one.prepare():
                one.note_start(now)
                try:
                    one.part.restart()
                except ProviderUnavailable as error:
                    self._ended(one, now, str(error))
                else:
                    self._say(f"{one.part.name} was started again")

    def _ended(self, one: _Kept, now: float, why: str, tail: str = "") -> None:
        name = one.part.name
        lines = [f"{name} ended: {why}; its log: {one.part.log}", *(f"  {line}" for line in tail.splitlines())]
        if not one.patient(now):
            lines.append(f"{name} ended {one.soon} times within {SOON:.0f} s of its start, and is given up")
            raise ProviderUnavailable("\n".join(lines))
        self._say("\n".join(lines + [one.loses] * bool(one.loses)))


class _Kept:
    """A part, and when it was or is to be started."""

    def __init__(self, part: Part, prepare: Callable[[], bool], ground: Callable[[], object], loses: str) -> None:
        self.part = part
        self.prepare = prepare
        self.ground = ground
        self.loses = loses
        self.soon = 0
        """How many times in a row it has ended soon after its start."""
        self.due: float | None = None
        """When it is to be started again; None while it runs."""

    def note_start(self, now: float) -> None:
        self.started, self.started_on, self.due = now, self.ground(), None

    def patient(self, now: float) -> bool:
        """Note that it ended; whether it is started again."""
        if self.ground() != self.started_on:
            self.due = now
            return True
        self.soon = self.soon + 1 if now - self.started < SOON else 0
        if self.soon > len(WAITS):
            return False
        self.due = now + WAITS[max(self.soon - 1, 0)]
        return True
