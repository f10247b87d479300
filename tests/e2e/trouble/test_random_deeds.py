"""A walk of random deeds over a dozen push tasks: afterwards the ledger, Airflow and the mailbox tell one story.

``PUSH_TEST_DEEDS`` says how many (60), ``PUSH_TEST_SEED`` draws the same ones again.
"""

from __future__ import annotations

import os
import random
from typing import Any

import psycopg
import pytest
from random_deeds import Deeds

TASKS = 12
_FULL = "SELECT 1 FROM dag WHERE dag_id = %s AND exceeds_max_non_backfill"


def none_left(platform: Any, query: str) -> bool | None:
    """Whether a query of the ledger finds nothing; None if it does, or cannot be asked."""
    try:
        return not platform.ledger(query) or None
    except psycopg.OperationalError:
        return None


@pytest.mark.timeout(1800)
def test_after_a_thousand_deeds_all_tell_the_same_story(platform: Any) -> None:
    seed = int(os.environ.get("PUSH_TEST_SEED", random.randrange(10**6)))
    deeds = Deeds(platform, seed, TASKS)
    print(f"PUSH_TEST_SEED={seed}")
    deeds.prepare()
    deeds.do(int(os.environ.get("PUSH_TEST_DEEDS", "60")))
    print(dict(deeds.done), "refused:", dict(deeds.refused))

    platform.eventually(platform.is_healthy, "all parts to be back")
    for code in deeds.codes:  # what was paused may go on, now that all is quiet
        platform.await_dag(code)
        platform.eventually(
            lambda code=code: (
                platform.call(f"/api/v2/dags/push__{code}", {"is_paused": False}, "PATCH")[0] == 200 or None
            ),
            f"{code} to be resumed",
        )
        if platform.ledger("SELECT 1 FROM push_task WHERE code = %s AND spec->'schedule'->>'kind' = 'cron'", code):
            platform.apply({**_stored(platform, code), "schedule": {"kind": "daily", "time": "03:00"}})

    # Every execution ends.
    open_ = "SELECT id FROM push_execution WHERE finished_at IS NULL"
    platform.eventually(lambda: none_left(platform, open_), "all executions to end", 900)
    half = "SELECT id FROM push_delivery WHERE state IN ('pending', 'sending') LIMIT 1"
    assert platform.ledger(half) == []

    # Every open push task has its DAG, and what is due by the clock its next run.
    for code in deeds.codes:
        platform.await_dag(code, is_stale=False, has_import_errors=False, is_paused=False)
        platform.eventually(
            lambda code=code: not platform.metadata(_FULL, f"push__{code}") or None, f"{code} to take runs"
        )
        assert platform.trigger(code, {"recipients": [f"{code}@example.org"]})[0] == 200
        platform.await_mail(f"{code}@example.org")
    due = "SELECT count(*) FROM dag WHERE dag_id LIKE 'push\\_\\_deed-%%' AND next_dagrun_create_after IS NOT NULL"
    clocks = "SELECT code FROM push_task WHERE code LIKE 'deed-%%' AND status <> 'cancelled'"
    daily = platform.ledger(f"{clocks} AND spec->'schedule'->>'kind' = 'daily'")
    assert platform.metadata(due)[0][0] >= len(daily) > 0

    # Nobody got more than the deeds explain, and the ledger's story is that of the mailbox.
    mails = platform.received(subject="deed-")
    rows = platform.ledger(
        """SELECT d.recipient, d.state, d.attempts, d.error_code FROM push_delivery d
           JOIN push_execution e ON e.id = d.execution_id WHERE d.recipient LIKE '%%+d%%@example.com'"""
    )
    told = {recipient: (state, attempts, code) for recipient, state, attempts, code in rows}
    assert len(told) == len(rows)
    unplanned: set[tuple[str, str]] = set()
    for recipient, run in deeds.run_of.items():
        got = mails[recipient]
        assert got <= 1 + deeds.excuses[run] + deeds.kills, (recipient, run, got)
        if recipient not in told:  # the trigger was refused, or its run ended before it was planned
            assert got == 0, recipient
            if run[0] in deeds.codes and run[1] != "?":
                unplanned.add(run)
            continue
        state, attempts, _ = told[recipient]
        assert got <= attempts, (recipient, told[recipient], got)
        if state == "sent":
            assert got >= 1, (recipient, run)
        elif state in ("failed", "cancelled") and attempts <= 1:
            assert got == 0, (recipient, told[recipient], got)
    twice = sum(count - 1 for recipient, count in mails.items() if recipient in deeds.run_of and count > 1)
    print(f"{len(told)} recipients, {mails.total()} mails, {twice} twice, {len(unplanned)} runs ended unplanned")

    # What ended before it was planned is on record, too, and no run was taken for another one of its id.
    anew = "SELECT task_code, error FROM push_execution WHERE error LIKE '%%another one was made under the same id'"
    assert platform.ledger(anew) == []
    runs = "SELECT task_code, run_id FROM push_execution"
    platform.eventually(
        lambda: unplanned - deeds.binned <= set(platform.ledger(runs)) or None, f"all of {unplanned} to be on record"
    )


def _stored(platform: Any, code: str) -> dict[str, Any]:
    task: dict[str, Any] = platform.call(f"/push/v1/tasks/{code}")[1]["task"]
    return task
