"""What a task's log says of an execution: how far it is, who did not get it and why, and what to do about it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from push_provider.channels.base import Outcome
    from push_provider.ledger.closing import Counts

_PROGRESS_SECONDS = 4.5
"""Seconds between two lines of progress; with the half second of a turn, five at most."""
_FAILURES = 10
"""Failures that are written to the task's log."""


class Progress:
    """Says in the task's log how far a long execution is, every few seconds."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self._left = 0
        self._done: Counter[str] = Counter()
        self._began = self._told = time.monotonic()

    def begin(self, left: int) -> None:
        """Begin with so many who are left."""
        self._left = left
        self._began = self._told = time.monotonic()

    def note(self, outcomes: Sequence[Outcome]) -> None:
        """Count outcomes, and say so if it is time; called at least every half second."""
        self._done.update(outcome.result.value for outcome in outcomes)
        now = time.monotonic()
        if not self._left or now - self._told < _PROGRESS_SECONDS:
            return
        self._told = now
        done = self._done.total()
        kinds = ", ".join(f"{count} {result}" for result, count in sorted(self._done.items())) or "no answer yet"
        self._log.info("%s of %s done (%s), %.1f a second", done, self._left, kinds, done / (now - self._began))


def summary_of(counts: Counts) -> str:
    """The numbers of an execution in a line."""
    return (
        f"{counts.sent} of {counts.total} sent, {counts.failed} failed, {counts.unknown} unknown, "
        f"{counts.cancelled} cancelled, {counts.pending} to be tried again"
    )


def tell_failures(log: Any, engine: Engine, execution: int, counts: Counts) -> None:
    """Write the first who did not get it to the task's log, one a line."""
    from push_provider.ledger import deliveries

    for row in deliveries.troubled(engine, execution, limit=_FAILURES):
        log.warning("%s %s: %s %s", row.recipient, row.state.value, row.error_code or "", row.error_text or "")
    more = counts.failed + counts.unknown - _FAILURES
    if more > 0:
        log.warning("… and %s more: airflow push deliveries --execution %s", more, execution)


def remedy(execution: int, counts: Counts, gone: int, *, resend: bool) -> str:
    """What a person can do for those who did not get it.

    :param gone: how many of those that failed have an address that is gone.
    """
    said = [f"Who and why: airflow push deliveries --execution {execution}."]
    if gone:
        said.append(f"The address of {gone} is gone, and gets nothing more: airflow push suppressions.")
    if again := counts.failed - gone + (counts.unknown if resend else 0):
        said.append(f"Clear this task to send again to the {again} who did not get it, and to no one else.")
    if counts.unknown and not resend:
        said.append(
            f"Nobody can tell whether the {counts.unknown} that are unknown have got it, and clearing sends them "
            "nothing: a redrive by REST with unknown: true does."
        )
    return " ".join(said)
