"""Lists of the Push page: their filters as somebody types, moments that are none, and pages that are no more."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from screens import go, settled

MANUAL = {"schedule": {"kind": "manual"}, "execution": {"type": "loop"}}
TEXT = {"subject": "List", "content": "x", "content_type": "text"}


def reject(platform: Any, code: str, count: int = 1, value: str = "{}") -> None:
    """Put messages into the ledger that could not be used, of a push task."""
    platform.ledger(
        'INSERT INTO push_rejected (position, topic, partition, "offset", reason, task_code, value) '
        "SELECT gen_random_uuid(), 'lists', 0, number, 'no', %s, convert_to(%s, 'UTF8') "
        "FROM generate_series(1, %s) AS number RETURNING id",
        code,
        value,
        count,
    )


# --- filters --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slower", [1, 8])
def test_what_is_typed_while_a_filter_is_asked_for_stays(platform: Any, page: Any, slower: int) -> None:
    """Also where the page is drawn long after the address has changed."""
    go(page, "tasks")
    settled(page)
    page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": slower})
    field = page.get_by_label("Name or address")
    field.press_sequentially("Stock ")
    page.wait_for_url("**search=Stock")
    settled(page)
    page.keyboard.type("report of May", delay=120)  # a pause after which a filter is asked for, after each
    settled(page)
    assert field.input_value() == "Stock report of May"
    page.wait_for_url("**search=Stock+report+of+May")
    # What comes from elsewhere is shown.
    page.get_by_role("button", name="Clear filters").click()
    platform.eventually(lambda: field.input_value() == "" or None, "an empty field")


SET_TWO = """async () => {
  const set = (selector, value, event) => {
    const field = document.querySelector(`[role=search] ${selector}`);
    Object.getOwnPropertyDescriptor(Object.getPrototypeOf(field), "value").set.call(field, value);
    field.dispatchEvent(new Event(event, { bubbles: true }));
  };
  set("select", "failed", "change");
  for (let turn = 0; turn < 20; turn++) await null; // the address has changed, and is not drawn yet
  set("input[type=datetime-local]", "2026-11-30T09:00", "input");
}"""


def test_of_two_filters_that_are_set_at_once_both_hold(page: Any) -> None:
    go(page, "deliveries")
    settled(page)
    page.evaluate(SET_TWO)
    page.wait_for_url("**from=2026-11-30T01%3A00%3A00.000Z*")
    assert "state=failed" in page.url


def test_a_year_of_other_than_four_digits_is_not_asked_for(page: Any) -> None:
    shown = go(page, "deliveries")
    field = page.get_by_label("From (GMT+8)")
    for year in ("20260", "0002"):  # and what a year is for a moment while it is typed
        field.fill(f"{year}-11-30T09:00")
        settled(page)
        assert field.input_value() == f"{year}-11-30T09:00"
        assert "from=" not in page.url
    field.fill("2026-11-30T09:00:30")
    page.wait_for_url("**from=2026-11-30T01%3A00%3A30.000Z*")
    assert field.input_value() == "2026-11-30T09:00:30"
    shown.get_by_role("button", name="Clear filters").click()
    page.wait_for_url("**/deliveries")


@pytest.mark.parametrize(
    "address",
    [
        "deliveries?from=yesterday",
        "executions?to=2026-10-05T00:00:00+08:00",  # as a link says it whose + is not escaped
        "rejected?from=%2B020260-11-30T09:00:00Z",
        "tasks?last_run_from=2026-13-01T00:00:00Z",
    ],
)
def test_a_link_with_a_moment_that_is_none_says_so(page: Any, address: str) -> None:
    shown = go(page, address)
    name = address.partition("?")[2].partition("=")[0]
    shown.get_by_text("Refused").wait_for()
    assert name in shown.inner_text()
    shown.get_by_role("button", name="Clear filters").click()
    shown.get_by_text("Refused").wait_for(state="hidden")


OLDER = """(() => {
    const { DateTimeFormat } = Intl;
    const check = (options) => {
        if (options?.timeZone === "Asia/Tokyo") throw new RangeError("Invalid time zone specified: Asia/Tokyo");
    };
    Intl.DateTimeFormat = new Proxy(DateTimeFormat, {
        apply: (...call) => (check(call[2][1]), Reflect.apply(...call)),
        construct: (...call) => (check(call[1][1]), Reflect.construct(...call)),
    });
})()"""
"""A browser that was made before there was this time zone."""


def test_a_time_zone_that_the_browser_does_not_know(platform: Any, page: Any) -> None:
    code = "lists-zone"
    when = {"kind": "at", "at": "2031-10-05T09:00:00+09:00", "timezone": "Asia/Tokyo"}
    platform.apply({"code": code, "name": "Zone", **TEXT, "schedule": when, "recipients": ["lists-zone@example.com"]})
    page.add_init_script(OLDER)
    go(page, f"tasks/{code}").get_by_text("2031-10-05T09:00:00+09:00 (Asia/Tokyo)").wait_for()
    go(page, f"tasks/{code}/edit")
    form = page.get_by_role("form")
    form.wait_for()
    assert form.get_by_label("Date and time").input_value() == "2031-10-05T08:00"  # Asia/Shanghai, as the lists
    form.get_by_label("When").select_option("daily")
    form.get_by_label("Time zone").fill("Asia/Tokyo")
    # Nine o'clock there is eight o'clock on the user's own clock.
    page.get_by_test_id("next-executions").get_by_text("08:00:00 GMT+8").first.wait_for()


# --- pages ----------------------------------------------------------------------------------------------------


def test_back_is_the_page_before(platform: Any, page: Any) -> None:
    reject(platform, "lists-back", 11)
    go(page, "rejected?task=lists-back&limit=10")
    page.get_by_role("button", name="Next page").click()
    page.get_by_text("11–11 of 11").wait_for()
    page.go_back()
    page.get_by_text("1–10 of 11").wait_for()
    assert page.url.endswith("rejected?task=lists-back&limit=10")


def test_a_page_whose_rows_are_gone_is_left(platform: Any, page: Any) -> None:
    code = "lists-gone"
    platform.apply({"code": code, "name": "Gone", **TEXT, **MANUAL})
    platform.await_dag(code)
    reject(platform, code, 11, f'{{"task": "{code}", "recipients": ["{code}@example.com"]}}')
    go(page, f"rejected?task={code}&replayed=false&limit=10&offset=10")
    page.get_by_text("11–11 of 11").wait_for()
    page.get_by_role("button", name="Replay message").click()
    page.get_by_text("1–10 of 10").wait_for()
    assert "offset" not in page.url
    assert page.locator("tbody tr").count() == 10


@pytest.mark.parametrize(
    ("list_", "last"),
    [
        ("tasks?search=welcome", "1–1 of 1"),
        ("executions?task=welcome", "1–1 of 1"),
        ("deliveries?task=welcome", "1–1 of 1"),
        ("rejected?task=lists-beyond", "26–26 of 26"),
    ],
)
def test_a_link_to_a_page_that_there_is_no_more_leads_to_the_last(
    platform: Any, page: Any, list_: str, last: str
) -> None:
    platform.await_runs("welcome", 1)
    if list_.startswith("rejected"):
        reject(platform, "lists-beyond", 26)
    go(page, f"{list_}&offset=5000")
    page.get_by_text(last, exact=True).wait_for()


def test_lists_end_with_words(platform: Any, page: Any) -> None:
    reject(platform, "lists-end", 10_030)
    try:
        go(page, "rejected?task=lists-end&offset=9975")
        page.get_by_role("button", name="Next page").click()
        page.get_by_text("10001–10025 of more than 10000").wait_for()
        page.get_by_text("narrow the filters").wait_for()
        assert page.get_by_role("button", name="Next page").is_disabled()
        assert page.get_by_role("button", name="Previous page").is_enabled()
        go(page, "rejected?task=lists-end&offset=20000")
        page.get_by_text("10001–10025 of more than 10000").wait_for()
    finally:
        platform.ledger("DELETE FROM push_rejected WHERE task_code = 'lists-end' RETURNING 1")


def test_a_message_as_json_has_its_numbers_as_they_came(platform: Any, page: Any) -> None:
    reject(platform, "lists-digits", value='{"order": 20261005123456789012, "sum": 12.50}')
    go(page, "rejected?task=lists-digits").get_by_role("button", name="Show message").click()
    message = page.get_by_role("dialog").get_by_role("region", name="The message")
    message.wait_for()
    assert message.inner_text() == '{\n  "order": 20261005123456789012,\n  "sum": 12.50\n}'


# --- what is large ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["/dags/push__{}/plugin/push-deliveries", "/plugin/push/tasks/{}"])
def test_a_task_of_many_recipients_is_seldom_asked_for(platform: Any, page: Any, place: str) -> None:
    """It comes with all of them, and is shown beside what is asked for every few seconds."""
    code = "lists-large"
    people = [f"lists-large-{number}@example.com" for number in range(1_001)]
    platform.apply({"code": code, "name": "Large", **TEXT, **MANUAL, "recipients": people})
    platform.await_dag(code)
    asked: Counter[str] = Counter()
    page.on("request", lambda request: asked.update([request.url.partition("/push/v1/")[2].partition("?")[0]]))
    page.clock.install()
    page.goto(place.format(code))
    page.get_by_text("Large" if "tasks" in place else "0 executions so far").first.wait_for()
    settled(page)
    for _ in range(3):
        with page.expect_response("**/push/v1/executions?*"):
            page.clock.fast_forward(5_000)
    assert asked["executions"] >= 4
    assert asked[f"tasks/{code}"] == 1
