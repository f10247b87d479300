"""How much one application may have open at a time, over all doors but the command line."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from push_provider import settings
from push_provider.ledger import definitions

if TYPE_CHECKING:
    from sqlalchemy import Engine


class OpenTasks:
    """How close an application is to ``[push] max_open_tasks``.

    Near the limit every new task is counted exactly, one after the other, whatever server it comes to. Far from it that
    would only make them wait for each other, so a count of some seconds ago is enough.
    """

    def __init__(self) -> None:
        self._counts: dict[str | None, tuple[int, float]] = {}

    def limit(self, engine: Engine, app: str | None) -> int:
        """The limit that must be checked for a new task of an application; 0 if it is far."""
        limit = settings.max_open_tasks()
        if limit <= _NEAR:
            return limit
        count, until = self._counts.get(app, (0, 0.0))
        if time.monotonic() > until:
            count, until = definitions.count_open(engine, app, cap=limit), time.monotonic() + _RECENT_SECONDS
        self._counts[app] = (count + 1, until)
        return 0 if count + 1 < limit - _NEAR else limit


_NEAR = 2000
"""Tasks that may come within :data:`_RECENT_SECONDS`, over all servers."""
_RECENT_SECONDS = 5.0
open_tasks = OpenTasks()
