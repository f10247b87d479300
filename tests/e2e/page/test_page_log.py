"""Rejected messages, help, the list of many push tasks, and what a role may not do, on the Push page."""

from __future__ import annotations

import json
import re
from typing import Any

import psycopg
from screens import Opened, go, settled


def produce(kafka: str, message: dict[str, Any]) -> None:
    """One message to the topic that the platform reads."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": kafka})
    producer.produce("task.push.info", json.dumps(message).encode())
    assert producer.flush(60) == 0


def test_a_rejected_message_is_shown_and_replayed(platform: Any, page: Any) -> None:
    code = "page-later"
    message = {"task": code, "recipients": ["page-later@example.com"]}
    produce(platform.kafka, message)
    platform.eventually(
        lambda: platform.ledger("SELECT 1 FROM push_rejected WHERE task_code = %s", code) or None, "a rejected message"
    )
    go(page, "rejected")
    settled(page)
    row = page.locator("tbody tr").filter(has_text=code)
    row.get_by_role("button", name=re.compile("^Show message")).click()
    page.get_by_role("dialog").get_by_text("page-later@example.com").first.wait_for()
    page.get_by_role("dialog").get_by_role("button", name="Close").first.click()
    page.get_by_role("dialog").wait_for(state="hidden")
    manual = {"schedule": {"kind": "manual"}, "execution": {"type": "loop"}}
    platform.apply({"code": code, "name": "Later", "subject": "Later", "content": "x", **manual})
    platform.await_dag(code)
    row.get_by_role("button", name=re.compile("^Replay message")).click()
    assert platform.await_mail("page-later@example.com")["Subject"] == "Later"


def test_help_is_the_documentation(opened: Opened) -> None:
    for language, title in (("en", "Push tasks"), ("zh-CN", "推送任务")):
        page = opened(language=language)
        go(page, "help/push-tasks")
        page.get_by_role("article", name=title).wait_for()
        settled(page)
        page.get_by_role("article").locator("a[href$='help/sms']").first.click()
        page.wait_for_url("**/plugin/push/help/sms")
        page.get_by_role("article").get_by_text("SMS_").first.wait_for()


def fill(ledger: str, count: int) -> None:
    """Put finished push tasks into the ledger that nobody has to make DAGs of."""
    columns = "code, name, channel, spec, list_id, execution_type, max_executions, executions, status, schedule_since"
    statement = f"COPY push_task ({columns}, shard, revision) FROM STDIN"
    with psycopg.connect(ledger) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT setval('push_recipient_list', nextval('push_recipient_list') + %s)", [count])
        (last,) = cursor.fetchone() or (0,)
        lists = range(last - count + 1, last + 1)
        with cursor.copy("COPY push_list (list_id, addresses) FROM STDIN") as copy:
            for number, of_list in enumerate(lists):
                copy.write_row((of_list, f"person-{number:05d}@example.com"))
        with cursor.copy(statement) as copy:
            for number, of_list in enumerate(lists):
                copy.write_row(finished(number, of_list))


def finished(number: int, of_list: int) -> tuple[Any, ...]:
    """The row of a push task that is done with."""
    from push_provider.ledger.tables import shard_of

    code = f"many-{number:05d}"
    spec = {
        "code": code,
        "name": f"Many {number:05d}",
        "channel": "email",
        "schedule": {"kind": "now"},
        "execution": {"type": "once"},
        "subject": "Many",
        "content": "x",
        "recipients": [],
    }
    done = ("once", 1, 1, "finished", "2026-01-01T00:00:00Z", shard_of(code), 1)
    return code, spec["name"], "email", json.dumps(spec), of_list, *done


def test_ten_thousand_push_tasks(platform: Any, opened: Opened) -> None:
    """The list is a page of them, and a part of a name or of an address finds one."""
    fill(platform.env["AIRFLOW__PUSH__SQL_ALCHEMY_CONN"].replace("+psycopg", ""), 10_000)
    page = opened()
    go(page, "tasks?order_by=name")
    page.get_by_text(re.compile("^1–25 of")).wait_for()
    page.get_by_label("Name or address").fill("many-07777")
    page.get_by_text("1–1 of 1").wait_for()
    page.get_by_role("link", name="Many 07777").wait_for()
    page.get_by_label("Name or address").fill("person-04321@exam")
    page.get_by_role("link", name="Many 04321").wait_for()
    assert "search=" in page.url
