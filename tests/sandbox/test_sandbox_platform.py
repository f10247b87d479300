"""The launcher of the platform: what ends it, whom it tells, which ports it takes, and when it prepares."""

from __future__ import annotations

import contextlib
import os
import pty
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from push_provider.exceptions import ConfigurationError, ProviderUnavailable
from sandbox import platform, signals

ROOT = Path(__file__).parents[2]

# The launcher with one part in place of PostgreSQL and Airflow, and a shutdown that says something, and waits until it
# may go on. With "terminal", its standard input is its terminal, as a shell makes it.
_LAUNCHER = """
import fcntl, os, signal, sys, termios, time
from contextlib import contextmanager
from pathlib import Path
from sandbox import platform
from sandbox.parts import Parts, Program, stop

gate, log = sys.argv[1:3]
how = sys.argv.pop()
if how != "nohup":
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests themselves may run under nohup
if how == "terminal":
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
    command = launcher(gate, "nohup", before=("sh", "-c", 'trap "" HUP; exec "$@"', "sh"))
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


# --- ports --------------------------------------------------------------------------------------------


def test_two_ports_are_never_the_same() -> None:
    platform._each_another({"PUSH_PORT": 8080, "PUSH_SANDBOX_SMS_PORT": 8026, "PUSH_SANDBOX_REDIS_PORT": 8028})
    with pytest.raises(ConfigurationError, match=r"^PUSH_PORT and PUSH_SANDBOX_SMS_PORT are both 8026"):
        platform._each_another({"PUSH_PORT": 8026, "PUSH_SANDBOX_HTTP_PORT": 8025, "PUSH_SANDBOX_SMS_PORT": 8026})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("PUSH_PORT", "PUSH_SANDBOX_SMS_PORT"),
        ("PUSH_SANDBOX_SMTP_PORT", "PUSH_SANDBOX_CENTRIFUGO_PORT"),
        ("PUSH_SANDBOX_HTTP_PORT", "PUSH_SANDBOX_KAFKA_PORT"),
    ],
)
def test_a_start_with_one_port_for_two_parts_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], one: str, other: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["run"])
    monkeypatch.setattr(signals, "heed", lambda: None)  # those of this process are pytest's
    for variable, value in (("AIRFLOW_HOME", str(tmp_path / "home")), (one, "8030"), (other, "8030")):
        monkeypatch.setenv(variable, value)
    assert platform.main() == 2
    assert capsys.readouterr().err == f"{one} and {other} are both 8030. Choose another port for one of them\n"
    assert not (tmp_path / "home").exists()


# --- what is prepared ---------------------------------------------------------------------------------


class Checkout:
    """A checkout with what a start prepares, and programs that only note how they are called."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "checkout"
        for path in ("plugins/push_provider/ledger/migrations", "include/tasks"):
            shutil.copytree(ROOT / path, self.root / path, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "plugins/push_provider/ledger/schema.py", self.root / "plugins/push_provider/ledger")
        (self.root / "sandbox").mkdir()
        for path in [ROOT / "sandbox" / "prepare.py", *(ROOT / "sandbox").glob("*_account.py")]:
            shutil.copy(path, self.root / "sandbox")
        self.home = folder / "home"
        self.home.mkdir()
        self._calls = folder / "calls"
        self.program = folder / "program"
        self.program.write_text(f'#!/bin/sh\necho "$1 $2" >> {self._calls}\n')
        self.program.chmod(0o755)

    def start(self, ports: tuple[int, ...] = (1, 2, 3, 4)) -> list[str]:
        """Which commands a start runs."""
        self._calls.write_text("")
        program = str(self.program)
        platform._prepare(self.home, os.environ, program, program, ports, self.root, lambda text: None)
        return self._calls.read_text().splitlines()


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


ALL = ["db migrate", "push migrate", "-m sandbox.prepare"]


def edit(file: Path) -> None:
    """Change a file, or make one."""
    with file.open("a") as opened:
        opened.write("# changed\n")


def test_a_second_start_prepares_nothing(checkout: Checkout) -> None:
    assert checkout.start() == ALL
    assert checkout.start() == []


@pytest.mark.parametrize(
    "path",
    [
        "plugins/push_provider/ledger/migrations/versions/0999_what_was_pulled.py",
        "plugins/push_provider/ledger/migrations/env.py",
        "plugins/push_provider/ledger/schema.py",
        "sandbox/prepare.py",
        "sandbox/app_account.py",
        "include/tasks/another.yaml",
    ],
)
def test_a_start_after_a_pull_prepares_what_came_with_it(checkout: Checkout, path: str) -> None:
    assert checkout.start() == ALL
    edit(checkout.root / path)
    assert checkout.start() == ALL
    assert checkout.start() == []


def test_an_example_that_somebody_edits_brings_nothing_back(checkout: Checkout) -> None:
    checkout.start()
    edit(next((checkout.root / "include" / "tasks").glob("*.yaml")))
    assert checkout.start() == []


def test_other_ports_are_prepared_for(checkout: Checkout) -> None:
    checkout.start()
    assert checkout.start((1, 2, 3, 5)) == ALL
    assert checkout.start(()) == ALL


def test_what_could_not_be_prepared_is_tried_again(checkout: Checkout) -> None:
    sound = checkout.program.read_text()
    checkout.program.write_text(f"{sound}echo 'no such role' >&2\nexit 1\n")
    with pytest.raises(ProviderUnavailable, match=r"(?s)db migrate failed:.*no such role"):
        checkout.start()
    checkout.program.write_text(sound)
    assert checkout.start() == ALL
