"""Airflow's own screens as a person uses them, in the machine's Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from browser import CHROMIUM, launched

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def page(platform: Any) -> Iterator[Any]:
    with launched() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 1000}, base_url=platform.url)
        page.set_default_timeout(120_000)
        yield page


def test_the_form_takes_recipients_one_a_line(platform: Any, page: Any) -> None:
    platform.await_dag("order-notice")
    page.goto("/dags/push__order-notice")
    page.get_by_role("button", name="Trigger").first.click()
    form = page.get_by_role("dialog")
    form.get_by_text("This task has none of its own: name at least one.").wait_for()
    form.get_by_placeholder("Enter each string on a new line").fill("form-one@example.com\nform-two@example.com")
    form.get_by_role("button", name="Trigger").last.click()
    assert "A-1001" in platform.await_mail("form-one@example.com")["Subject"]
    assert "A-1001" in platform.await_mail("form-two@example.com")["Subject"]


def test_a_mail_account_is_a_form_with_a_list_of_services(page: Any) -> None:
    page.goto("/connections")
    page.get_by_role("button", name="Add Connection").click()
    form = page.get_by_role("dialog")
    form.get_by_role("combobox").first.click()
    page.keyboard.type("push")
    page.get_by_role("option", name="Push Email").click()
    for label in ("authUser", "authPass"):
        form.get_by_text(label).first.wait_for()
    form.get_by_text("Extra Fields", exact=True).click()
    form.get_by_text("Mail service").first.wait_for()


def test_an_sms_account_is_a_form(page: Any) -> None:
    page.goto("/connections")
    page.get_by_role("button", name="Add Connection").click()
    form = page.get_by_role("dialog")
    form.get_by_role("combobox").first.click()
    page.keyboard.type("push")
    page.get_by_role("option", name="Push Aliyun SMS").click()
    for label in ("accessKeyId", "secretAccessKey"):
        form.get_by_text(label).first.wait_for()
    form.get_by_text("Extra Fields", exact=True).click()
    for label in ("签名", "模板 CODE", "参数说明", "启用"):
        form.get_by_text(label).first.wait_for()


def test_a_finished_task_cannot_be_triggered(platform: Any, page: Any) -> None:
    platform.await_dag("welcome", timetable_summary="closed")
    page.goto("/dags/push__welcome")
    button = page.get_by_role("button", name="Trigger").first
    button.wait_for()
    assert button.is_disabled()


MARKUP = "<img src=x onerror='window.taken=1'><script>window.taken=1</script>[a](javascript:window.taken=1)"


def test_markup_in_a_task_is_text_on_every_screen(platform: Any, page: Any) -> None:
    """Airflow's screens, the description of our API, and the mailbox."""
    whose = {"name": f"N{MARKUP}", "owner": "o<img src=x onerror='window.taken=1'>", "app": "a<b onmouseover=1>"}
    mail = {"subject": f"S{MARKUP}", "content": MARKUP, "content_type": "text", "variables": {MARKUP: MARKUP}}
    manual = {"schedule": {"kind": "manual"}, "execution": {"type": "loop"}}
    platform.apply({"code": "markup", **whose, **mail, **manual, "recipients": ["markup@example.com"]})
    platform.await_dag("markup")
    status, run = platform.trigger("markup", {"variables": {"x": MARKUP}})
    assert status == 200, run
    assert platform.await_mail("markup@example.com")["Subject"] == mail["subject"]
    # A recipient that is no address fails the run, with the words in its log and in the audit log.
    assert platform.trigger("markup", {"recipients": [f"{MARKUP}@example.com"]})[0] in (200, 400)
    dag = "/dags/push__markup"
    task = f"{dag}/runs/{run['dag_run_id']}/tasks/send"
    screens = ["/dags?name_pattern=markup", dag, f"{dag}/runs", f"{dag}/details", f"{dag}/code", f"{dag}/events", task]
    screens += [f"{task}/rendered_templates", "/dag_runs", "/task_instances", "/events", "/connections", "/plugins"]
    shown = 0
    for screen in [*screens, "/push/docs", f"{platform.mailbox}/"]:
        page.goto(screen)
        page.wait_for_load_state("networkidle")
        assert page.evaluate("window.taken ?? null") is None, screen
        assert page.locator("img[src=x], a[href^='javascript:']").count() == 0, screen
        shown += "onerror=" in page.locator("body").inner_text()
    assert shown >= 3, "the markup itself is to be seen, as text"
    page.goto(dag)
    page.get_by_role("button", name="Trigger").first.click()
    page.get_by_role("dialog").get_by_text("recipients").first.wait_for()
    assert page.evaluate("window.taken ?? null") is None
