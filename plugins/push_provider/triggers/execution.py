"""The trigger that waits for the end of an execution, without a worker."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from push_provider.exceptions import PermanentError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class PushExecutionTrigger(BaseTrigger):
    """Fires when an execution has ended, or is gone. A ledger that is away is waited for.

    :param execution: its number in the ledger.
    :param poll_seconds: between two looks.
    """

    def __init__(self, *, execution: int, poll_seconds: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.execution = execution
        self.poll_seconds = poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class path and the arguments, as Airflow stores them."""
        path = f"{type(self).__module__}.{type(self).__qualname__}"
        return path, {"execution": self.execution, "poll_seconds": self.poll_seconds}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait; yields one event, whose payload is the number of the ``execution``."""
        while not await asyncio.to_thread(self._ended):  # noqa: ASYNC110  (another process ends it)
            await asyncio.sleep(self.poll_seconds)
        yield TriggerEvent({"execution": self.execution})  # type: ignore[no-untyped-call]

    def _ended(self) -> bool:
        from push_provider.ledger.engine import get_engine
        from push_provider.outcomes import looked

        try:
            return looked(get_engine(), self.execution, self.log) is not None
        except PermanentError:
            return True  # whoever waits is told the same
