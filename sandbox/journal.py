"""A folder that one process uses at a time, and a file of JSON lines in it that outlives the process."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from push_provider.exceptions import ConfigurationError


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Make the folder if it is missing, and keep other processes out of it while the context lasts.

    :raises ConfigurationError: the folder cannot be used, or another sandbox uses it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigurationError(
            f"The folder {folder} cannot be used ({error.strerror}); choose another with --folder"
        ) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(
                f"Another sandbox uses the folder {folder}; stop it or choose another with --folder"
            ) from None
        yield
    finally:
        os.close(lock)


class Journal:
    """A file with one JSON object a line. It is open for appending after the first :meth:`rewrite`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines = 0
        self._file: int | None = None

    def read(self) -> Iterator[dict[str, Any]]:
        """Every object that can be read: a process may have been killed in the middle of a line."""
        try:
            lines = self.path.read_text("utf-8", "replace").splitlines()
        except FileNotFoundError:
            return
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict):
                yield entry

    def append(self, entries: Iterable[dict[str, Any]]) -> None:
        """Write lines at the end, all or none. They outlive the process (but not the machine).

        :raises OSError: they could not be written, and nothing of them is left.
        """
        assert self._file is not None, "the journal is closed"
        lines = [json.dumps(entry) for entry in entries]
        block = "".join(f"{line}\n" for line in lines).encode()
        before = os.lseek(self._file, 0, os.SEEK_END)
        try:
            # A full disk may take a part before it refuses the rest.
            while block:
                block = block[os.write(self._file, block) :]
        except OSError:
            os.ftruncate(self._file, before)
            raise
        self.lines += len(lines)

    def rewrite(self, entries: Iterable[dict[str, Any]]) -> None:
        """Write the file anew with these lines only.

        :raises OSError: it could not be written, and the file is as it was.
        """
        part = self.path.with_suffix(".part")
        lines = [json.dumps(entry) + "\n" for entry in entries]
        try:
            part.write_text("".join(lines))
            part.rename(self.path)
        except OSError:
            part.unlink(missing_ok=True)
            raise
        file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        self.close()
        self._file = file
        self.lines = len(lines)

    def close(self) -> None:
        """Nothing more is appended."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
