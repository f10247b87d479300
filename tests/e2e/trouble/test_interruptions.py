"""What people do while an execution is sent: cancel the push task, clear the run, mark it. On the running platform."""

from __future__ import annotations

import collections
from typing import Any

from push_provider.channels.email.smtp_config import DEFAULT_MAX_CONNECTIONS

ALL = 60
"""Slow recipients: three seconds each, and as many at a time as there are connections."""


def begin(platform: Any, code: str, **fields: Any) -> str:
    """Trigger a mailing to slow recipients, and return its run when the first are on record."""
    platform.apply(
        {
            "code": code,
            "name": code,
            "subject": code,
            "content_type": "text",
            "content": "Hello",
            "schedule": {"kind": "manual"},
            "recipients": [f"slow+{number}@example.com" for number in range(ALL)],
            **fields,
        }
    )
    platform.await_dag(code)
    status, run = platform.trigger(code)
    assert status == 200, run
    platform.eventually(lambda: counts(platform, code)["sent"] or None, f"the first outcomes of {code}")
    return str(run["dag_run_id"])


def counts(platform: Any, code: str) -> collections.Counter[str]:
    query = """SELECT d.state, count(*) FROM push_delivery d JOIN push_execution e ON e.id = d.execution_id
               WHERE e.task_code = %s GROUP BY 1"""
    return collections.Counter(dict(platform.ledger(query, code)))


def state(platform: Any, code: str) -> Any:
    return platform.ledger("SELECT state, error FROM push_execution WHERE task_code = %s", code)


def test_a_cancel_while_it_is_sent_ends_it_between_two_mails(platform: Any) -> None:
    run = begin(platform, "cancelled-midway")
    platform.push("cancel", "cancelled-midway")
    platform.eventually(
        lambda: state(platform, "cancelled-midway")[0][0] == "cancelled" or None, "the execution to be cancelled"
    )
    told = counts(platform, "cancelled-midway")
    assert set(told) == {"sent", "cancelled"}
    # How soon after the cancel is the machine's affair; what nobody had begun by then is begun no more.
    assert set(platform.received(subject="cancelled-midway").values()) == {1}
    assert platform.received(subject="cancelled-midway").total() == told["sent"]
    assert platform.await_runs("cancelled-midway", 1) == ["success"]
    instances = platform.call(f"{platform.run_path('cancelled-midway', run)}/taskInstances")[1]["task_instances"]
    assert [instance["state"] for instance in instances] == ["skipped"]


def test_a_clear_while_it_is_sent_sends_to_nobody_twice_but_whose_answer_was_on_its_way(platform: Any) -> None:
    run = begin(platform, "cleared-midway")
    assert platform.clear("cleared-midway", run)[0] == 200
    platform.eventually(
        lambda: counts(platform, "cleared-midway")["sent"] == ALL or None, "all to be sent after the clear"
    )
    mails = platform.received(subject="cleared-midway")
    assert len(mails) == ALL
    # What a connection had handed over when the process ended is in doubt, and sent again under the same Message-ID.
    assert mails.total() - ALL <= DEFAULT_MAX_CONNECTIONS
    assert platform.await_runs("cleared-midway", 1) == ["success"]
    assert state(platform, "cleared-midway") == [("succeeded", None)]
