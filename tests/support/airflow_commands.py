"""``airflow`` commands without the two seconds of processor in which each of them imports Airflow.

One process has imported it, and runs each command in a fork of itself.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn, Self

_USED = ("push_provider.cli.commands", "push_provider.ledger.definitions", "push_provider.rendering.workers")


class AirflowCommands:
    """Runs commands, one at a time.

    :param env: the environment of each.
    :param cwd: where it is run.
    """

    def __init__(self, env: Mapping[str, str], cwd: Path) -> None:
        self._turn = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, __file__], env=env, cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``airflow`` with these arguments."""
        asked, told = self._process.stdin, self._process.stdout
        assert asked is not None
        assert told is not None
        with self._turn, tempfile.NamedTemporaryFile() as out, tempfile.NamedTemporaryFile() as err:
            asked.write(json.dumps([out.name, err.name, *arguments]) + "\n")
            asked.flush()
            code = told.readline()
            assert code, "the process that runs commands has ended"
            return subprocess.CompletedProcess(arguments, int(code), out.read().decode(), err.read().decode())

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
