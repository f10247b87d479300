"""When the next try of an execution comes: after the time that the provider said, where it said one."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow.sdk import RetryDecision, RetryPolicy

from push_provider.channels.base import Outcome, Result
from push_provider.exceptions import ProviderUnavailable, PushError

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context

log = logging.getLogger(__name__)

LONGEST = 3600.0
"""The longest wait that is honoured, in seconds: the longest of Aliyun's limits that pass (five messages an hour)."""


class Waits:
    """What was said of the deliveries that are to be tried again, and when each of them may be.

    :param resend: what nobody can tell is sent again by the next try.
    :param clock: seconds on a clock that only goes forward.
    """

    def __init__(self, *, resend: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._resend = resend
        self._clock = clock
        # How long, and until when at the latest; None: nothing was said, or too much.
        self._until: dict[float | None, float] = {}

    def note(self, outcomes: Iterable[Outcome]) -> None:
        """Note the answers of a chunk, when they come."""
        for outcome in outcomes:
            if outcome.result is Result.RETRY:
                self._note(outcome.retry_after)
            elif outcome.result is Result.UNKNOWN and self._resend:
                self._note(None)

    def note_error(self, error: PushError) -> None:
        """Note what ended the try before all was sent."""
        self._note(error.retry_after if isinstance(error, ProviderUnavailable) else None)

    def _note(self, said: float | None) -> None:
        if said is not None and said > LONGEST:
            log.warning("The provider asks to wait for %.0f s: more than an hour is left to Airflow's delay", said)
            said = None
        until = self._clock() + (said or 0.0)
        self._until[said] = max(until, self._until.get(said, until))

    def seconds(self, own: float, retries: int) -> float | None:
        """How long to wait now, in seconds; None leaves it to Airflow.

        The shortest wait comes first as long as retries are left for the longer ones: nobody waits an hour because
        another's number has had its five messages, and that one gets its try after the hour all the same.

        :param own: seconds that Airflow would wait, at least; they hold for deliveries of which nothing was said.
        :param retries: how many are left.
        """
        by_length = sorted(self._until, key=lambda said: own if said is None else said)
        if not by_length:
            return None
        chosen = max(0, len(by_length) - max(1, retries))
        if by_length[chosen] is None:
            return None
        until = max(self._until[said] for said in by_length[: chosen + 1] if said is not None)
        return max(0.0, until - self._clock())


def delay_of(operator: BaseOperator, tried: int) -> float:
    """Seconds that Airflow waits after a try of an operator if nobody says otherwise, at least.

    :param tried: the number of that try, from 1.
    """
    backoff = operator.retry_exponential_backoff or 1.0
    # A run that is cleared again and again has any number of tries.
    seconds = _seconds(operator.retry_delay) * backoff ** min(tried - 1, 100)
    return min(seconds, _seconds(operator.max_retry_delay)) if operator.max_retry_delay else seconds


def _seconds(delay: timedelta | float) -> float:
    return delay.total_seconds() if isinstance(delay, timedelta) else delay


class AsTheProviderSays(RetryPolicy):
    """Airflow's retry policy of push tasks: a :class:`ProviderUnavailable` that says when, else the task's delay."""

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,  # noqa: ARG002  (Airflow's signature)
        max_tries: int,  # noqa: ARG002
        context: Context | None = None,  # noqa: ARG002
    ) -> RetryDecision:
        """Decide; Airflow writes the reason to the task's log."""
        wait = exception.retry_after if isinstance(exception, ProviderUnavailable) else None
        if wait is None:
            return RetryDecision.default()
        return RetryDecision.retry(timedelta(seconds=wait), f"The provider asks to be left alone for {wait:.1f} s")
