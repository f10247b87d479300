"""Every part of the platform is killed while it sends, and it goes on without help."""

from __future__ import annotations

from typing import Any

import psutil
import psycopg
import pytest

RECIPIENTS = 2000


def ledger(platform: Any, query: str, *values: Any) -> Any:
    """The first value that the ledger answers; None while it cannot."""
    try:
        return platform.ledger(query, *values)[0][0]
    except (psycopg.OperationalError, IndexError):
        return None


def begin(platform: Any, code: str) -> None:
    """Begin a mailing, and return when its first messages are sent."""
    platform.apply(
        {
            "code": code,
            "name": code,
            "subject": code,
            "content_type": "text",
            "content": "Hello {{ to }}",
            "retries": 20,
            "retry_delay": 1,
            "recipients": [f"{code}-{number}@example.com" for number in range(RECIPIENTS)],
        }
    )
    begun = (
        "SELECT true FROM push_delivery d JOIN push_execution e ON e.id = execution_id"
        " WHERE task_code = %s AND d.state = 'sent' LIMIT 1"
    )
    platform.eventually(lambda: ledger(platform, begun, code), f"the first mails of {code}")


def await_all(platform: Any, code: str) -> None:
    """Wait until everybody has the message."""
    state = "SELECT state FROM push_execution WHERE task_code = %s AND finished_at IS NOT NULL"
    assert platform.eventually(lambda: ledger(platform, state, code), f"the end of {code}") == "succeeded"
    got = {address for mail in platform.mails(subject=code) for address in mail["rcpt_to"]}
    assert len(got) == RECIPIENTS


@pytest.mark.parametrize(
    "names", [["scheduler"], ["dag-processor", "triggerer", "api-server", "sandbox"], ["postgres"]], ids="+".join
)
def test_what_is_killed_comes_back_and_all_get_the_mail(platform: Any, names: list[str]) -> None:
    before = len(platform.said)
    begin(platform, code := f"killed-{names[0]}")
    killed = {name: process for name in names if (process := platform.process_of(name))}
    assert len(killed) == len(names)
    family = [one for process in killed.values() for one in process.children(recursive=True)]
    for process in killed.values():
        process.kill()

    def all_back() -> bool | None:
        found = {name: platform.process_of(name) for name in names}
        return all(one and one.pid != killed[name].pid for name, one in found.items()) or None

    platform.eventually(all_back, f"other processes of {names}")
    assert not [one for one in family if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
    await_all(platform, code)
    platform.eventually(platform.is_healthy, "a healthy platform")
    said = "".join(platform.said[before:])
    for name in names:
        shown = "PostgreSQL" if name == "postgres" else name
        assert f"{shown} ended: killed by SIGKILL; its log: {platform.home}" in said
        assert f"{shown} was started again" in said
    assert ("keep messages in memory" in said) is ("sandbox" in names)


def test_postgresql_s_own_restarts_are_outlived(platform: Any) -> None:
    begin(platform, "backends")
    for _ in range(2):
        platform.eventually(platform.backend, "a connection to PostgreSQL").kill()
        platform.eventually(lambda: ledger(platform, "SELECT true"), "PostgreSQL")
    await_all(platform, "backends")
    platform.eventually(platform.is_healthy, "a healthy platform")
