"""When the next try comes: what was said of each delivery, Airflow's own delay, and the retries that are left."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk import RetryAction

from push_provider.channels.base import Outcome, Result
from push_provider.exceptions import LedgerUnavailable, ProviderUnavailable, PushError
from push_provider.operators.push import EmailPushOperator
from push_provider.operators.retry import AsTheProviderSays, Waits, delay_of

OWN = 60.0
"""What Airflow would wait, in seconds."""


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def retry(*waits: float | None) -> list[Outcome]:
    return [Outcome(number, Result.RETRY, None, "busy", "not now", wait) for number, wait in enumerate(waits)]


@pytest.mark.parametrize(
    ("said", "retries", "seconds"),
    [
        ([], 3, None),
        ([2.0], 3, 2.0),
        ([120.0], 3, 120.0),
        ([120.0], 1, 120.0),
        ([3600.0], 1, 3600.0),
        ([3600.5], 3, None),  # more than is waited for
        ([3600.5, 2.0], 3, 2.0),
        ([None], 3, None),
        # The shortest first, as long as the longer ones get their try as well.
        ([2.0, 3600.0], 3, 2.0),
        ([2.0, 3600.0], 2, 2.0),
        ([2.0, 3600.0], 1, 3600.0),
        ([1.0, 2.0, 3600.0], 2, 2.0),
        ([1.0, 1.5, 2.0, 2.5, 3.0], 2, 2.5),
        # Where nothing was said, Airflow's own delay is due.
        ([None, 2.0], 3, 2.0),
        ([None, 2.0], 1, None),
        ([None, 120.0], 3, None),
        ([None, 120.0], 1, 120.0),
        ([None, 2.0, 120.0], 2, None),
    ],
)
def test_the_next_try(said: list[float | None], retries: int, seconds: float | None) -> None:
    waits = Waits(resend=False, clock=Clock())
    waits.note(retry(*said))
    waits.note([Outcome(98, Result.SENT), Outcome(99, Result.FAILED, None, "refused", "never", 7.0)])
    assert waits.seconds(OWN, retries) == seconds


def test_a_wait_begins_with_its_answer() -> None:
    clock = Clock()
    waits = Waits(resend=False, clock=clock)
    waits.note(retry(60.0))
    clock.now += 45
    waits.note(retry(10.0))
    clock.now += 5
    assert waits.seconds(OWN, 2) == 5.0
    assert waits.seconds(OWN, 1) == 10.0
    clock.now += 100
    assert waits.seconds(OWN, 1) == 0.0


def test_the_last_answer_of_a_kind_counts() -> None:
    clock = Clock()
    waits = Waits(resend=False, clock=clock)
    for _ in range(3):
        waits.note(retry(60.0))
        clock.now += 20
    assert waits.seconds(OWN, 1) == 40.0


@pytest.mark.parametrize(("resend", "seconds"), [(True, None), (False, 2.0)])
def test_what_nobody_can_tell_waits_for_airflow_if_it_is_sent_again(resend: bool, seconds: float | None) -> None:
    waits = Waits(resend=resend, clock=Clock())
    waits.note([*retry(2.0), Outcome(9, Result.UNKNOWN)])
    assert waits.seconds(OWN, 1) == seconds


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (ProviderUnavailable("busy", retry_after=2.0), 2.0),
        (ProviderUnavailable("busy", retry_after=7200.0), None),
        (ProviderUnavailable("away"), None),
        (LedgerUnavailable("away"), None),
    ],
)
def test_an_error_that_ended_the_try(error: PushError, seconds: float | None) -> None:
    waits = Waits(resend=False, clock=Clock())
    waits.note_error(error)
    assert waits.seconds(OWN, 1) == seconds


def test_a_wait_that_is_not_honoured_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        Waits(resend=False, clock=Clock()).note(retry(86_400.0))
    assert "asks to wait for 86400 s" in caplog.text


@pytest.mark.parametrize(
    ("fields", "tried", "seconds"),
    [
        ({"retry_delay": 60}, 4, 60.0),
        ({"retry_delay": 60, "retry_exponential_backoff": 2.0}, 1, 60.0),
        ({"retry_delay": 60, "retry_exponential_backoff": 2.0}, 4, 480.0),
        ({"retry_delay": 60, "retry_exponential_backoff": 2.0, "max_retry_delay": timedelta(hours=1)}, 10_000, 3600.0),
    ],
)
def test_airflow_s_own_delay(fields: dict[str, Any], tried: int, seconds: float) -> None:
    assert delay_of(EmailPushOperator(task_id="send", code="t", **fields), tried) == seconds


@pytest.mark.parametrize(
    ("error", "delay"),
    [
        (ProviderUnavailable("busy", retry_after=2.5), timedelta(seconds=2.5)),
        (ProviderUnavailable("busy", retry_after=0.0), timedelta()),
        (ProviderUnavailable("away"), None),
        (LedgerUnavailable("away"), None),
        (ValueError("a bug"), None),
    ],
)
def test_what_airflow_is_told(error: BaseException, delay: timedelta | None) -> None:
    policy = EmailPushOperator(task_id="send", code="t").retry_policy
    assert isinstance(policy, AsTheProviderSays)
    decision = policy.evaluate(error, 1, 3)
    assert decision.retry_delay == delay
    assert decision.action is (RetryAction.DEFAULT if delay is None else RetryAction.RETRY)
