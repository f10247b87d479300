"""Which processes a platform has started, noted in its folder: the next start ends those that a killed one left.

Each part leads a session of its own, and outlives a launcher that is killed: it would go on sending and hold its port::

    with Sessions(home, logs) as sessions:
        sessions.end_stale(print)
        sessions.note(process.pid)
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

from push_provider.exceptions import ConfigurationError
from sandbox import parts

if TYPE_CHECKING:
    import psutil

_MARK = "PUSH_PLATFORM_HOME"
"""A variable that only a platform's own processes have."""
_OUTPUT = (1, 2)


class Sessions:
    """The sessions of one platform. Only one launcher has them at a time, until the block ends or it dies.

    :param home: AIRFLOW_HOME, where they are noted.
    :param logs: the folder of the files that the parts write their output to.
    """

    def __init__(self, home: Path, logs: Path) -> None:
        self._home = home
        self._logs = logs
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        """Take them.

        :raises ConfigurationError: another launcher that lives has them.
        """
        self._home.mkdir(parents=True, exist_ok=True)
        file = (self._home / "sessions").open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.close()
            raise ConfigurationError(
                f"Another ./scripts/run has its platform in {self._home}. End it, or choose another folder: "
                "AIRFLOW_HOME=… ./scripts/run"
            ) from error
        self._file = file
        return self

    def __exit__(self, *_: object) -> None:
        assert self._file is not None
        self._file.close()

    @property
    def mark(self) -> Mapping[str, str]:
        """An environment variable that the processes must have."""
        return {_MARK: str(self._home)}

    def note(self, leader: int) -> None:
        """Note a session by the process that leads it, as soon as that is started."""
        assert self._file is not None
        self._file.write(f"{leader}\n")
        self._file.flush()

    def end_stale(self, say: Callable[[str], None]) -> None:
        """End what an earlier launcher has left, and forget its sessions.

        The parts are ended in order, and killed if they take too long: what is being sent is then on record.

        :param say: is told if there is something to end.
        """
        assert self._file is not None
        self._file.seek(0)
        noted = {int(line) for line in self._file if line.strip().isdecimal()}
        stale = [leader for leader, members in _members(noted).items() if any(map(self._is_ours, members))]
        if stale:
            say("Ending what an earlier start has left running …")
            parts.end_sessions(stale)
        self._file.truncate(0)

    def _is_ours(self, process: psutil.Process) -> bool:
        """Whether a process of a noted session is a platform's: the number may be somebody else's by now.

        The session's number is given to nobody as long as one of its processes lives, so one that is ours is enough.
        """
        import psutil

        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(_MARK) == str(self._home):
                return True
            # Airflow's API server and its workers write their title over their environment.
            return any(
                file.fd in _OUTPUT and Path(file.path).parent == self._logs.resolve() for file in process.open_files()
            )
        return False


def _members(leaders: set[int]) -> dict[int, list[psutil.Process]]:
    """The living processes of each of these sessions."""
    import psutil

    found: dict[int, list[psutil.Process]] = {}
    for pid in psutil.pids() if leaders else ():
        with contextlib.suppress(psutil.Error, OSError):
            if (leader := os.getsid(pid)) in leaders:
                found.setdefault(leader, []).append(psutil.Process(pid))
    return found
