"""How a person ends a program of the sandbox: Ctrl-C, SIGTERM, or a terminal that is closed."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Ended(Exception):  # not an error: somebody wants us to stop
    """SIGINT, SIGTERM or SIGHUP."""


class Ending:
    """What these signals do: the first one raises :class:`Ended`, the others are ignored.

    A terminal that is closed sends two, the kernel's and the shell's, and the second would break the shutdown off.

    :ivar wanted: whether there was one. Who looks ends also where the exception was lost, in a finalizer, say.
    """

    def __init__(self) -> None:
        self.wanted = False
        self._raised = False
        self._held = 0

    def take(self, _signal: int, _frame: FrameType | None) -> None:
        """Take a signal.

        :raises Ended: it is the first one.
        """
        self.wanted = True
        if not self._held:
            self._raise_once()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Have a signal that comes within the block take effect at its end.

        :raises Ended: one came.
        """
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
        if self.wanted and not self._held:
            self._raise_once()

    def _raise_once(self) -> None:
        if not self._raised:
            self._raised = True
            raise Ended


ending = Ending()
"""That of this process."""


def heed() -> None:
    """Have the signals end this process from here on; SIGHUP only unless it is ignored, as ``nohup`` has it."""
    for number in (signal.SIGINT, signal.SIGTERM):  # SIGINT also where a shell has a background job ignore it
        signal.signal(number, ending.take)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, ending.take)
