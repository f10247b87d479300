"""``airflow`` commands without the two seconds of processor in which each of them imports Airflow.

One process has imported it, and runs each command in a fork of itself.
"""

from __future__ import annotations

import json
import os
import select
import shlex
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn, Self

LIMIT = 300.0
"""Seconds for which a command is waited for: less than a test may take, whose end does not say which command hangs."""
_USED = ("push_provider.cli.commands", "push_provider.ledger.definitions", "push_provider.rendering.workers")


class AirflowCommands:
    """Runs commands, one at a time.

    :param env: the environment of each.
    :param cwd: where it is run.
    """

    def __init__(self, env: Mapping[str, str], cwd: Path) -> None:
        self._env, self._cwd = env, cwd
        self._turn = threading.Lock()
        self._start()

    def _start(self) -> None:
        command, pipe = [sys.executable, __file__], subprocess.PIPE
        self._process = subprocess.Popen(command, env=self._env, cwd=self._cwd, stdin=pipe, stdout=pipe, text=True)

    def run(self, *arguments: str, limit: float = LIMIT) -> subprocess.CompletedProcess[str]:
        """Run ``airflow`` with these arguments.

        :param limit: seconds after which it is ended.
        :raises TimeoutError: it was; the text says what it had printed.
        """
        asked, told = self._process.stdin, self._process.stdout
        assert asked is not None
        assert told is not None
        with self._turn, tempfile.NamedTemporaryFile() as out, tempfile.NamedTemporaryFile() as err:
            asked.write(json.dumps([out.name, err.name, *arguments]) + "\n")
            asked.flush()
            if not select.select([told], [], [], limit)[0]:
                self._kill()
                self._start()
                said = (out.read() + err.read()).decode()
                raise TimeoutError(
                    f"airflow {shlex.join(arguments)} took more than {limit:.0f} s, and had said: {said}"
                )
            code = told.readline()
            assert code, "the process that runs commands has ended"
            return subprocess.CompletedProcess(arguments, int(code), out.read().decode(), err.read().decode())

    def _kill(self) -> None:
        """Kill the process, and the command that it runs."""
        import psutil

        for process in [*psutil.Process(self._process.pid).children(recursive=True), self._process]:
            process.kill()
        self._process.communicate()

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _main() -> None:
    import importlib

    from airflow.cli import cli_parser

    cli_parser.get_parser()
    for name in _USED:
        importlib.import_module(name)
    for line in sys.stdin:
        child = os.fork()
        if not child:
            _carry_out(*json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _carry_out(out: str, err: str, *arguments: str) -> NoReturn:
    """Run a command, and end."""
    from airflow.__main__ import main

    for number, path in ((0, os.devnull), (1, out), (2, err)):
        os.dup2(os.open(path, os.O_RDWR), number)
    sys.argv = ["airflow", *arguments]
    code = 0
    try:
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(bool(end.code))
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:  # noqa: BLE001  (as the interpreter does)
        traceback.print_exc()
        code = 1
    for stream in (sys.stdout, sys.stderr):
        if not stream.closed:  # "airflow connections export -" closes its own
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    _main()
