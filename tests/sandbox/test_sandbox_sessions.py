"""What a launcher leaves that is killed: ended by the next one, and nothing else is."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from push_provider.exceptions import ConfigurationError
from sandbox.parts import Program, end_session
from sandbox.sessions import Sessions

# A launcher with one part, until it is killed.
_LAUNCHER = """
import os, sys, time
from pathlib import Path
from sandbox.parts import Program
from sandbox.sessions import Sessions

home, *command = sys.argv[1:]
logs = Path(home, "logs")
with Sessions(Path(home), logs) as sessions:
    Program("part", command, {**os.environ, **sessions.mark}, logs / "part.log", sessions.note)
    print("started", flush=True)
    time.sleep(60)
"""
# A part that holds a port, and its worker in a process group of its own, as Airflow's are. "renamed": both write a
# title over their environment, as Airflow's API server does.
_PART = """
import os, signal, socket, sys, time
if sys.argv[2] == "renamed":
    from setproctitle import setproctitle
    setproctitle("airflow api_server")
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
def end(number, frame):
    os.write(1, b"ended in order\\n")
    os._exit(0)
if os.fork() == 0:
    os.setpgid(0, 0)
    os.write(1, b"worker %d\\n" % os.getpid())
else:
    signal.signal(signal.SIGTERM, end)
    os.write(1, b"leader %d\\n" % os.getpid())
time.sleep(60)
"""


def is_there(process: psutil.Process) -> bool:
    """Whether it runs; what init has not yet asked for does not."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


class Launched:
    """A launcher and its part."""

    def __init__(self, home: Path, kind: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.port = int(server.getsockname()[1])
        self.log = home / "logs" / "part.log"
        part = [sys.executable, "-c", _PART, str(self.port), kind]
        self.launcher = subprocess.Popen([sys.executable, "-c", _LAUNCHER, str(home), *part], stdout=subprocess.PIPE)
        assert self.launcher.stdout is not None
        assert self.launcher.stdout.readline() == b"started\n"
        self.leader, self.worker = self._process("leader"), self._process("worker")

    def _process(self, name: str) -> psutil.Process:
        deadline = time.monotonic() + 20
        while True:
            words = self.log.read_text().split()
            if name in words[:-1] and self.log.read_text().endswith("\n"):
                return psutil.Process(int(words[words.index(name) + 1]))
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def kill(self) -> None:
        """Kill the launcher alone."""
        self.launcher.kill()
        self.launcher.wait()
        assert self.launcher.stdout is not None
        self.launcher.stdout.close()


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., Launched]]:
    """Starts a launcher whose part is of a kind."""
    started: list[Launched] = []

    def launch(kind: str = "plain") -> Launched:
        started.append(Launched(tmp_path, kind))
        return started[-1]

    yield launch
    for one in started:
        one.kill()
        with contextlib.suppress(psutil.NoSuchProcess):
            one.leader.kill()
        end_session(one.leader.pid)


def next_start(home: Path) -> list[str]:
    """What the next launcher says before it looks at the ports."""
    said: list[str] = []
    with Sessions(home, home / "logs") as sessions:
        sessions.end_stale(said.append)
    return said


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["plain", "renamed"])
def test_what_a_killed_launcher_left_ends_in_order(tmp_path: Path, launch: Callable[..., Launched], kind: str) -> None:
    left = launch(kind)
    left.kill()
    assert is_there(left.leader)
    assert is_there(left.worker)
    assert not is_free(left.port)
    assert next_start(tmp_path) == ["Ending what an earlier start has left running …"]
    assert not is_there(left.leader)
    assert not is_there(left.worker)
    assert is_free(left.port)
    assert "ended in order" in left.log.read_text()
    assert next_start(tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["plain", "renamed"])
def test_a_worker_whose_leader_is_gone_ends_too(tmp_path: Path, launch: Callable[..., Launched], kind: str) -> None:
    left = launch(kind)
    left.kill()
    left.leader.kill()
    left.leader.wait(20)
    assert is_there(left.worker)
    assert len(next_start(tmp_path)) == 1
    assert not is_there(left.worker)


@pytest.mark.slow
def test_the_parts_of_a_launcher_that_lives_are_left_alone(tmp_path: Path, launch: Callable[..., Launched]) -> None:
    running = launch()
    with pytest.raises(ConfigurationError, match=r"Another \./scripts/run .*AIRFLOW_HOME="):
        next_start(tmp_path)
    assert is_there(running.leader)
    assert is_there(running.worker)


def test_a_number_that_is_somebody_else_s_by_now_harms_nobody(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "part.log").write_text("")
    # It reads our log, which is not to write it; and a platform of its own may have started it.
    env = {**os.environ, "PUSH_PLATFORM_HOME": str(tmp_path / "another")}
    command = ["tail", "-f", str(tmp_path / "logs" / "part.log")]
    with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, start_new_session=True) as stranger:
        try:
            (tmp_path / "sessions").write_text(f"{stranger.pid}\n{2**22 + 1}\nnonsense\n")
            assert next_start(tmp_path) == []
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_each_start_of_a_part_is_noted(tmp_path: Path) -> None:
    noted: list[int] = []
    program = Program("part", ["sleep", "60"], os.environ, tmp_path / "part.log", noted.append)
    try:
        program.process.kill()
        program.process.wait()
        program.restart()
        assert len(set(noted)) == 2
        assert noted[-1] == program.process.pid
    finally:
        program.process.kill()
        program.process.wait()
