"""The launcher of the platform: what ends it, and whom it tells."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from sandbox import signals

# The launcher with one part in place of PostgreSQL and Airflow, and a shutdown that says something, and waits until it
# may go on. With "terminal", its standard input is its terminal, as a shell makes it.
_LAUNCHER = """
import fcntl, os, sys, termios, time
from contextlib import contextmanager
from pathlib import Path
from sandbox import platform
from sandbox.parts import Parts, Program, stop

gate, log = sys.argv[1:3]
if sys.argv.pop() == "terminal":
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)

@contextmanager
def running(root, home, *, sandbox):
    program = Program("part", ["sleep", "60"], os.environ, Path(log))
    parts = Parts(print)
    parts.add(program, now=time.monotonic())
    try:
        platform._tell(f"ready {program.process.pid}", sys.stdout)
        yield platform.Platform("", parts)
    finally:
        platform._tell("ending", sys.stdout)
        while not os.path.exists(gate):
            time.sleep(0.01)
        stop([program])
        platform._tell("ended", sys.stdout)

platform.running = running
del sys.argv[1:]
sys.exit(platform.main())
"""


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """The file for which the shutdown waits."""
    return tmp_path / "gate"


def launcher(gate: Path, *words: str, before: tuple[str, ...] = ()) -> list[str]:
    return [*before, sys.executable, "-c", _LAUNCHER, str(gate), str(gate.with_name("part.log")), *words]


@contextlib.contextmanager
def started(command: list[str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends with the block in any case."""
    with subprocess.Popen(command, **options) as process:
        try:
            yield process
        finally:
            process.kill()


def is_there(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_all_and_the_next_ones_do_not_break_that_off(gate: Path, number: signal.Signals) -> None:
    with started(launcher(gate, "pipe"), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        word, pid = process.stdout.readline().split()
        assert word == b"ready"
        process.send_signal(number)
        assert process.stdout.readline() == b"ending\n"
        for again in (number, signal.SIGHUP):
            process.send_signal(again)
        gate.touch()
        assert process.stdout.read() == b"ended\n"
        assert process.wait(20) == 0
    assert not is_there(int(pid))


def test_a_terminal_that_is_closed_ends_all(gate: Path) -> None:
    ours, theirs = pty.openpty()
    command = launcher(gate, "terminal")
    with started(command, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        said = b""
        while not said.endswith(b"\n"):
            said += os.read(ours, 100)
        os.close(ours)
        word, pid = said.split()
        assert word == b"ready"
        gate.touch()
        assert process.wait(20) == 0
    assert not is_there(int(pid))


def test_nohup_keeps_it_from_ending(gate: Path) -> None:
    command = launcher(gate, "pipe", before=("sh", "-c", 'trap "" HUP; exec "$@"', "sh"))
    with started(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"ready ")
        caught = signal_mask(process.pid, "SigCgt")
        assert not caught & 1 << signal.SIGHUP - 1
        assert caught & 1 << signal.SIGTERM - 1
        assert signal_mask(process.pid, "SigIgn") & 1 << signal.SIGHUP - 1
        process.send_signal(signal.SIGTERM)
        gate.touch()
        assert process.wait(20) == 0


def signal_mask(pid: int, name: str) -> int:
    """A set of signals of a process (proc(5), /proc/pid/status), a bit each."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(f"{name}:")), 16)


def test_a_signal_whose_exception_got_lost_is_not_forgotten() -> None:
    ending = signals.Ending()
    assert not ending.wanted
    with pytest.raises(signals.Ended):
        ending.take(signal.SIGTERM, None)
    ending.take(signal.SIGTERM, None)
    assert ending.wanted


def test_what_must_not_be_broken_off_is_done_first() -> None:
    ending = signals.Ending()
    done = []

    def shut_down() -> None:
        with ending.held():
            with ending.held():
                ending.take(signal.SIGTERM, None)
                done.append("the inner")
            done.append("the outer")

    with pytest.raises(signals.Ended):
        shut_down()
    shut_down()  # a second signal has nothing to say
    assert done == ["the inner", "the outer"] * 2


def test_it_goes_on_where_nobody_reads_what_it_says() -> None:
    program = (
        "import sys\nfrom sandbox import platform\n"
        "sys.stdin.read()\n"
        "for stream in (sys.stdout, sys.stderr, sys.stdout, sys.stderr): platform._tell('so it goes', stream)"
    )
    pipe = subprocess.PIPE
    with started([sys.executable, "-c", program], stdin=pipe, stdout=pipe, stderr=pipe) as process:
        for stream in (process.stdout, process.stderr, process.stdin):
            assert stream is not None
            stream.close()
        assert process.wait(20) == 0
