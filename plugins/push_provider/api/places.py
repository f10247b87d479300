"""How much may be under way at a time, of what takes long, and how much of it for one caller."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from push_provider.api.problems import Problem


class Places:
    """So many at a time, in this process, and so many of them for one caller.

    :param what: is limited, for the answer to whoever is too many.
    :param total: for all callers.
    :param each: for one of them.
    :param code: of that answer.
    """

    def __init__(self, what: str, code: str, *, total: int, each: int) -> None:
        self._what = what
        self._code = code
        self.total = total
        self._each = each
        self._lock = threading.Lock()
        self._taken: Counter[str] = Counter()

    @contextmanager
    def place(self, caller: str) -> Iterator[None]:
        """Take a place.

        :raises Problem: 429, there is none.
        """
        with self._lock:
            if self._taken[caller] >= self._each:
                raise self._refusal(f"{self._each} of your {self._what} {'is' if self._each == 1 else 'are'} running")
            if self._taken.total() >= self.total:
                raise self._refusal(f"{self.total} {self._what} are running")
            self._taken[caller] += 1
        try:
            yield
        finally:
            with self._lock:
                self._taken[caller] -= 1
                self._taken += Counter()  # forgets who has none

    def _refusal(self, words: str) -> Problem:
        return Problem(429, self._code, f"{words}. Wait for one to end.", retry_after=5)


exports = Places("exports", "too-many-exports", total=4, each=1)
"""Each holds a connection to the ledger until the client has read it all."""
tests = Places("tests of a configuration", "too-many-tests", total=8, each=2)
"""Each holds a thread until the server has answered."""
