"""Marketing fills its own pool and no other: service messages never wait behind it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

POOL = "/api/v2/pools/push_marketing"


def apply(platform: Any, code: str, recipients: list[str], **fields: Any) -> None:
    task = {"code": code, "name": code, "subject": code, "content_type": "text", "content": "Hello"}
    task |= {"schedule": {"kind": "manual"}, "execution": {"type": "loop"}, "recipients": recipients}
    platform.apply({**task, **fields})
    platform.await_dag(code)


def slots(platform: Any) -> int | None:
    status, pool = platform.call(POOL)
    return pool["slots"] if status == 200 else None


def instance(platform: Any, code: str, column: str) -> Any:
    """What Airflow has of the newest task instance of a push task."""
    query = f"SELECT {column} FROM task_instance WHERE dag_id = %s ORDER BY queued_dttm DESC NULLS FIRST LIMIT 1"
    return next((value for (value,) in platform.metadata(query, f"push__{code}")), None)


def resize(platform: Any, slots: int) -> None:
    """Give the pool another size, as Airflow's page of pools does: with all of its fields."""
    _, pool = platform.call(POOL)
    whole = {"pool": pool["name"], "slots": slots, "include_deferred": pool["include_deferred"]}
    status, answer = platform.call(POOL, whole, method="PATCH")
    assert status == 200, answer


@pytest.fixture
def narrow(platform: Any) -> Iterator[None]:
    """A pool of one slot, as an operator makes it."""
    platform.eventually(lambda: slots(platform), "the pool to be there")
    resize(platform, 1)
    yield
    resize(platform, 8)


@pytest.mark.usefixtures("narrow")
def test_service_does_not_wait_for_marketing(platform: Any) -> None:
    # Three seconds each.
    apply(platform, "newsletter", [f"slow+news-{n}@example.com" for n in range(60)], category="marketing")
    apply(platform, "offer", ["offer@example.com"], category="marketing")
    apply(platform, "verification", ["verification@example.com"])
    assert platform.trigger("newsletter")[0] == 200
    platform.eventually(lambda: instance(platform, "newsletter", "state") == "running" or None, "the newsletter")
    assert platform.trigger("offer")[0] == 200
    platform.eventually(lambda: instance(platform, "offer", "state") == "scheduled" or None, "the offer to wait")
    assert platform.trigger("verification")[0] == 200
    platform.await_mail("verification@example.com")
    assert instance(platform, "newsletter", "state") == "running"
    assert instance(platform, "offer", "state") == "scheduled"
    assert platform.mails(to="offer@example.com") == []
    assert slots(platform) == 1  # nobody has set it back
    platform.push("cancel", "newsletter")
    platform.await_mail("offer@example.com")


def test_a_changed_category_holds_for_the_next_run(platform: Any) -> None:
    for category, pool in (("marketing", "push_marketing"), ("service", "default_pool")):
        apply(platform, "regrouped", [f"{category}@example.com"], category=category)
        tags = [{"push:marketing"}, set()][category == "service"]

        def tagged(tags: set[str] = tags) -> bool | None:
            found = platform.metadata("SELECT name FROM dag_tag WHERE dag_id = 'push__regrouped'")
            return {name for (name,) in found} & {"push:marketing"} == tags or None

        platform.eventually(tagged, f"the DAG to be one of {category}")
        assert platform.trigger("regrouped")[0] == 200
        platform.await_mail(f"{category}@example.com")
        assert instance(platform, "regrouped", "pool") == pool


def test_a_pool_that_somebody_deletes_comes_back(platform: Any) -> None:
    apply(platform, "poolless", ["poolless@example.com"], category="marketing")
    platform.eventually(lambda: slots(platform), "the pool to be there")
    assert platform.call(POOL, method="DELETE")[0] == 204
    assert platform.trigger("poolless")[0] == 200
    platform.await_mail("poolless@example.com")
    assert slots(platform) == 8
