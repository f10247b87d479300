"""What the Push page takes care of: nothing is sent twice, changed in silence, or lost on its way to the ledger."""

from __future__ import annotations

import contextlib
import json
import re
from typing import TYPE_CHECKING, Any

from playwright.sync_api import Error
from screens import csv_file, go, settled

if TYPE_CHECKING:
    from screens import Opened

MANUAL = {"schedule": {"kind": "manual"}, "execution": {"type": "loop"}}


def apply(platform: Any, code: str, **fields: Any) -> None:
    text = {"subject": code, "content": "x", "content_type": "text", "recipients": [f"{code}@example.com"]}
    platform.apply({"code": code, "name": code, **MANUAL, **text, **fields})


def spec(platform: Any, code: str) -> Any:
    return platform.ledger("SELECT spec FROM push_task WHERE code = %s", code)[0][0]


def executions(platform: Any, code: str) -> int:
    count: int = platform.ledger("SELECT count(*) FROM push_execution WHERE task_code = %s", code)[0][0]
    return count


def test_a_trigger_whose_answer_got_lost_is_not_sent_again(platform: Any, page: Any) -> None:
    apply(platform, "care-once")
    platform.await_dag("care-once")
    lost: list[int] = []

    def lose(route: Any) -> None:
        if lost:
            route.continue_()
            return
        lost.append(route.fetch().status)
        route.abort()

    page.route("**/push/v1/tasks/care-once/trigger", lose)
    go(page, "tasks/care-once").get_by_role("button", name="Trigger…").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Begin an execution").click()
    dialog.get_by_text("The server does not answer").wait_for()
    # Somebody closes the dialog, and tries again in another one.
    dialog.get_by_role("button", name="Cancel").click()
    dialog.wait_for(state="hidden")
    page.get_by_role("button", name="Trigger…").first.click()
    dialog.get_by_role("button", name="Begin an execution").click()
    dialog.wait_for(state="hidden")
    assert lost == [202]
    assert executions(platform, "care-once") == 1
    # Whoever means it anew begins another one.
    page.get_by_role("button", name="Trigger…").first.click()
    page.get_by_role("dialog").get_by_role("button", name="Begin an execution").click()
    page.get_by_role("dialog").wait_for(state="hidden")
    assert executions(platform, "care-once") == 2


def test_a_second_click_while_lists_are_read_anew_triggers_nothing(platform: Any, page: Any) -> None:
    apply(platform, "care-twice")
    platform.await_dag("care-twice")
    go(page, "tasks?search=care-twice")
    settled(page)
    page.get_by_role("checkbox", name=re.compile("care-twice")).check(force=True)
    page.get_by_role("group").get_by_role("button", name="Trigger…").click()
    held: list[Any] = []
    page.route("**/push/v1/tasks?*", lambda route: held.append(route))  # the list does not come
    go_on = page.get_by_role("alertdialog").get_by_role("button", name="Yes, go on")
    go_on.click()
    platform.eventually(lambda: executions(platform, "care-twice") or None, "the execution")
    platform.eventually(lambda: held or page.wait_for_timeout(50), "the list to be asked for")
    page.wait_for_timeout(300)  # for what must not happen
    assert page.get_by_role("alertdialog").is_visible()
    assert go_on.count() == 0 or not go_on.is_enabled()
    page.unroute_all(behavior="ignoreErrors")
    for route in held:
        with contextlib.suppress(Error):  # one that is not wanted any more
            route.continue_()
    page.get_by_role("alertdialog").wait_for(state="hidden")
    assert executions(platform, "care-twice") == 1


def test_numbers_stay_as_they_are_written(platform: Any, page: Any) -> None:
    people = [{"to": "care-sum@example.com", "variables": {"sum": 12.50, "order": 20261005123456789012}}]
    body = {"code": "care-sum", "name": "Sum", "subject": "Sum", "content": "{{ sum }} {{ order }}", **MANUAL}
    text = json.dumps({**body, "channel": "email", "recipients": people, "variables": {"rate": 0.5}})
    exact = text.replace("12.5,", "12.50,").replace("0.5}", "0.500}")
    assert exact.count("12.50") == exact.count("0.500") == 1
    status = page.request.post(
        f"{platform.url}/push/v1/tasks", data=exact, headers={"Content-Type": "application/json"}
    ).status
    assert status == 201
    go(page, "tasks/care-sum/edit")
    form = page.get_by_role("form")
    form.get_by_label("Recipients, one a line").fill("care-sum-two@example.com")
    form.get_by_text("Recipients: 2").wait_for()
    form.get_by_role("button", name="Save").click()
    page.wait_for_url("**/plugin/push/tasks/care-sum")
    page.get_by_text('"rate": 0.500').wait_for()
    stored = platform.ledger(
        "SELECT variables::text FROM push_recipient AS r JOIN push_task AS t USING (list_id) "
        "WHERE t.code = 'care-sum' AND address = 'care-sum@example.com'"
    )
    assert "12.50" in stored[0][0]
    assert "20261005123456789012" in stored[0][0]


def test_a_configuration_keeps_what_its_form_does_not_know(platform: Any, page: Any) -> None:
    extra = {"enabled": True, "tenant": 20261005123456789012}
    account = {"connection_id": "care_mail", "conn_type": "push_email", "host": "127.0.0.1", "port": 2525}
    body = {**account, "login": "care@sandbox.example", "extra": json.dumps(extra)}
    assert platform.call("/api/v2/connections", body)[0] == 201
    go(page, "configurations/care_mail/edit").get_by_label("From name").fill("Care")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("care_mail is saved").wait_for()
    stored = json.loads(platform.call("/api/v2/connections/care_mail")[1]["extra"])
    assert stored == {**extra, "from_name": "Care"}
    platform.call("/api/v2/connections/care_mail", method="DELETE")


def test_a_copy_of_a_marketing_task_is_one(platform: Any, page: Any) -> None:
    apply(platform, "care-news", category="marketing")
    go(page, "tasks/new?copy=care-news")
    form = page.get_by_role("form")
    form.get_by_label("Code").fill("care-news-two")
    form.get_by_role("button", name="More settings").click()
    assert form.get_by_label("Category").input_value() == "marketing"
    form.get_by_role("button", name="Save").click()
    page.wait_for_url("**/plugin/push/tasks/care-news-two")
    page.get_by_text("Category").wait_for()
    assert spec(platform, "care-news-two")["category"] == "marketing"
    assert spec(platform, "care-news-two")["recipients"] == []  # which lie in a table of their own


def test_a_list_that_is_being_read_is_waited_for(platform: Any, page: Any) -> None:
    go(page, "tasks/new")
    form = page.get_by_role("form", name="New push task")
    form.get_by_label("Name", exact=False).first.fill("Many")
    form.get_by_label("Code").fill("care-many")
    form.get_by_label("When").select_option("manual")
    form.get_by_label("Subject").fill("Many")
    form.get_by_role("textbox", name="Content").fill("<p>x</p>")
    form.get_by_label("Recipients, one a line").fill("care-many@example.com")
    rows = "".join(f"care-many-{number}@example.com,{number}\n" for number in range(60_000))
    form.get_by_label("Recipients from a CSV or Excel file").set_input_files(csv_file("many.csv", f"to,n\n{rows}"))
    # As soon as the file is chosen, and as often as somebody who is impatient may press.
    page.evaluate("document.querySelector('form').requestSubmit()")
    form.get_by_text("Recipients: 60001").wait_for()
    form.get_by_role("button", name="Save").click()
    page.wait_for_url("**/plugin/push/tasks/care-many")
    assert platform.ledger("SELECT recipients FROM push_task WHERE code = 'care-many'") == [(60_001,)]


def test_a_form_begins_with_what_is_stored_now(platform: Any, page: Any) -> None:
    apply(platform, "care-stale", content="before")
    shown = go(page, "tasks/care-stale")
    shown.get_by_text("before").first.wait_for()
    apply(platform, "care-stale", content="after")
    shown.get_by_role("link", name="Edit").click()
    content = page.get_by_role("form").get_by_role("textbox", name="Content")
    content.wait_for()
    assert content.input_value() == "after"


def test_a_draft_changes_what_was_changed_in_it(platform: Any, page: Any) -> None:
    apply(platform, "care-draft", content="before")
    go(page, "tasks/care-draft/edit")
    form = page.get_by_role("form")
    form.get_by_label("Subject").fill("My subject")
    page.wait_for_function("Object.values(localStorage).some((kept) => kept.includes('My subject'))")
    go(page, "tasks")
    apply(platform, "care-draft", content="after", retries=7)
    go(page, "tasks/care-draft/edit")
    page.get_by_test_id("draft").wait_for()
    assert form.get_by_role("textbox", name="Content").input_value() == "after"
    form.get_by_role("button", name="Save").click()
    page.wait_for_url("**/plugin/push/tasks/care-draft")
    stored = spec(platform, "care-draft")
    assert (stored["subject"], stored["content"], stored["retries"]) == ("My subject", "after", 7)


def test_a_moment_is_on_the_clock_of_the_lists(platform: Any, opened: Opened) -> None:
    """Airflow's UI is set to Asia/Shanghai here, and the browser to UTC."""
    page = opened()
    go(page, "deliveries")
    field = page.get_by_label("From (GMT+8)")
    field.fill("2026-10-05T23:00")
    page.wait_for_url("**from=2026-10-05T15%3A00%3A00.000Z*")
    assert field.input_value() == "2026-10-05T23:00"
    execution = page.get_by_label("Execution", exact=True)
    execution.fill("1a")
    assert execution.input_value() == "1"
    page.wait_for_url("**execution=1")
    assert platform.is_healthy()


def test_the_cursor_stays_in_the_field_that_one_types_in(platform: Any, page: Any) -> None:
    """Airflow's UI takes what it has just loaded for another component at the first change of the address."""
    go(page, "deliveries")
    field = page.get_by_label("Execution", exact=True)
    field.press_sequentially("12345", delay=300)  # the filter is asked for after each of them
    assert field.input_value() == "12345"
    page.wait_for_url("**execution=12345")
    assert platform.is_healthy()
