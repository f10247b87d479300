"""Parts of the platform that end: told of, cleared away, started again, given up."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from push_provider.exceptions import ProviderUnavailable
from sandbox.parts import SOON, WAITS, Parts, Program, how, stop

# Ends with the code that the file named by its first argument holds, when there is one; prints what it is.
_SCRIPT = """
import os, sys, time
print("pid", os.getpid(), flush=True)
while not os.path.exists(sys.argv[1]):
    time.sleep(0.01)
print("the last words", flush=True)
sys.exit(int(open(sys.argv[1]).read()))
"""
# A worker with a process group of its own, as Airflow's are, that holds a port.
_FAMILY = """
import os, socket, sys, time
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
if os.fork() == 0:
    os.setpgid(0, 0)
    os.write(1, b"worker %d\\n" % os.getpid())  # at once: the other one writes, too
os.write(1, b"ready\\n")
time.sleep(600)
"""
_DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(600)
"""


@pytest.fixture
def programs() -> Iterator[list[Program]]:
    """Whose processes end with the test."""
    started: list[Program] = []
    yield started
    stop(started)


def eventually(there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class Watch:
    """Parts with one program, a clock that the test sets, and what was said."""

    def __init__(self, tmp_path: Path, programs: list[Program]) -> None:
        self.now = 1000.0
        self.said: list[str] = []
        self.end = tmp_path / "end"
        self.may_start = True
        self.ground = 1
        command = [sys.executable, "-c", _SCRIPT, str(self.end)]
        self.program = Program("worker", command, os.environ, tmp_path / "worker.log")
        programs.append(self.program)
        self.parts = Parts(self.said.append)
        self.parts.add(
            self.program,
            now=self.now,
            prepare=lambda: self.may_start,
            ground=lambda: self.ground,
            loses="Its memory is lost.",
        )

    def keep(self, after: float = 0.0) -> list[str]:
        """Look after the program, so many seconds later, and return what is said."""
        self.said.clear()
        self.now += after
        self.parts.keep(self.now)
        return list(self.said)

    def exit(self, code: int) -> None:
        """Have the process exit by itself."""
        self.end.write_text(str(code))
        self.program.process.wait(20)
        self.end.unlink()


@pytest.fixture
def watch(tmp_path: Path, programs: list[Program]) -> Watch:
    return Watch(tmp_path, programs)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "exit code 0"),
        (3, "exit code 3"),
        (-9, "killed by SIGKILL"),
        (-15, "killed by SIGTERM"),
        (-11, "killed by SIGSEGV"),
        (-77, "killed by signal 77"),
    ],
)
def test_how_a_process_ended(code: int, words: str) -> None:
    assert how(code) == words


def test_what_runs_is_left_alone(watch: Watch) -> None:
    before = watch.program.process.pid
    assert watch.keep() == watch.keep(after=10_000) == []
    assert watch.program.process.pid == before


@pytest.mark.parametrize("code", [0, 3])
def test_what_ends_by_itself_is_told_with_its_last_words(watch: Watch, code: int) -> None:
    watch.exit(code)
    told, again = watch.keep(after=SOON)
    assert told.splitlines() == [
        f"worker ended: exit code {code}; its log: {watch.program.log}",
        f"  pid {watch.program.log.read_text().split()[1]}",
        "  the last words",
        "Its memory is lost.",
    ]
    assert again == "worker was started again"
    assert watch.program.poll() is None


def test_what_was_killed_is_told_with_the_signal(watch: Watch) -> None:
    watch.program.process.kill()
    watch.program.process.wait()
    told, _ = watch.keep(after=SOON)
    assert told == f"worker ended: killed by SIGKILL; its log: {watch.program.log}\nIts memory is lost."


def test_last_words_are_those_of_the_process_that_ended(watch: Watch) -> None:
    for _ in range(2):
        watch.exit(1)
        told, _ = watch.keep(after=SOON)
        assert told.count("the last words") == 1


def test_it_waits_until_it_may_start(watch: Watch) -> None:
    watch.may_start = False
    watch.exit(1)
    assert len(watch.keep()) == 1
    assert watch.keep(after=100) == []
    watch.may_start = True
    assert watch.keep() == ["worker was started again"]


def test_what_ends_soon_again_and_again_waits_longer_and_is_given_up(watch: Watch) -> None:
    for wait in WAITS:
        watch.exit(1)
        said = watch.keep(after=SOON - 1)
        assert len(said) == (2 if wait == 0 else 1)
        if wait:
            assert watch.keep(after=wait - 0.1) == []
            assert watch.keep(after=0.1) == ["worker was started again"]
    watch.exit(1)
    with pytest.raises(ProviderUnavailable, match=r"(?s)exit code 1; its log: .*the last words.*given up") as error:
        watch.keep()
    assert f"{len(WAITS) + 1} times" in str(error.value)


def test_what_works_for_a_while_is_started_for_ever(watch: Watch) -> None:
    for _ in range(2 * len(WAITS)):
        watch.exit(1)
        assert len(watch.keep(after=SOON)) == 2


def test_what_ends_with_its_ground_is_not_to_blame(watch: Watch) -> None:
    for _ in range(2 * len(WAITS)):
        watch.ground += 1
        watch.exit(1)
        assert len(watch.keep(after=1)) == 2


def test_a_start_that_fails_counts_as_an_end(watch: Watch, programs: list[Program]) -> None:
    class Stubborn(Program):
        def restart(self) -> None:
            raise ProviderUnavailable("it will not start")

    stubborn = Stubborn("stubborn", [sys.executable, "-c", ""], os.environ, watch.program.log)
    programs.append(stubborn)
    watch.parts.add(stubborn, now=watch.now)
    stubborn.process.wait(20)
    said = watch.keep()
    assert [line.split(";")[0] for line in said] == [
        "stubborn ended: exit code 0",
        "stubborn ended: it will not start",
    ]
    for wait in WAITS[1:-1]:
        assert len(watch.keep(after=wait)) == 1
    with pytest.raises(ProviderUnavailable, match=r"stubborn ended: it will not start.*\n.*given up"):
        watch.keep(after=WAITS[-1])


@pytest.mark.slow
@pytest.mark.parametrize("ending", [Program.restart, lambda program: stop([program])])
def test_nothing_that_it_left_goes_on(
    tmp_path: Path, programs: list[Program], ending: Callable[[Program], None]
) -> None:
    port, log = free_port(), tmp_path / "family.log"
    program = Program("family", [sys.executable, "-c", _FAMILY, str(port)], os.environ, log)
    programs.append(program)
    eventually(lambda: log.read_text().count("ready") == 2)
    worker = psutil.Process(int(log.read_text().split("worker ")[1].split()[0]))
    program.process.kill()
    program.process.wait()
    assert worker.is_running()
    assert os.getpgid(worker.pid) == worker.pid
    ending(program)
    assert not worker.is_running()
    if program.poll() is None:  # and its successor has the port
        eventually(lambda: log.read_text().count("ready") == 4)
        assert program.poll() is None


def test_a_stop_ends_what_does_not_want_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.parts._STOP_SECONDS", 0.2)
    program = Program("deaf", [sys.executable, "-c", _DEAF], os.environ, tmp_path / "deaf.log")
    eventually(lambda: "ready" in program.log.read_text())
    stop([program])
    assert program.poll() == -signal.SIGKILL
