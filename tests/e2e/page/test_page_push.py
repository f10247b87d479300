"""From nothing to a message that arrived, by the Push page alone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from screens import csv_file, go, settled

if TYPE_CHECKING:
    from screens import Opened


def test_a_mail_from_a_new_account_to_a_list(platform: Any, page: Any) -> None:
    port = platform.call("/api/v2/connections/push_email_default")[1]["port"]
    go(page, "configurations").get_by_role("link", name="Add Push Email").click()
    form = page.get_by_role("form", name="New configuration")
    form.get_by_label("Configuration id").fill("from_the_page")
    form.get_by_label("Sender address").fill("shop@sandbox.example")
    form.get_by_label("Mail server").fill("127.0.0.1")
    form.get_by_label(re.compile("^Port")).fill(str(port))
    form.get_by_label("From name").fill("The shop")
    form.get_by_role("button", name="Save").click()
    page.get_by_role("button", name="Test from_the_page").click()
    page.locator('[data-test="true"]').wait_for()
    stored = platform.call("/api/v2/connections/from_the_page")[1]
    assert (stored["conn_type"], stored["host"], stored["port"]) == ("push_email", "127.0.0.1", port)

    go(page, "tasks").get_by_role("link", name="New push task").first.click()
    form = page.get_by_role("form", name="New push task")
    form.get_by_label("Name", exact=False).first.fill("Invoice / 账单")
    form.get_by_label("Code").fill("page-invoice")
    form.get_by_label("Configuration").select_option("from_the_page")
    people = "address,name,sum\npage-one@example.com,Li Lei,12.50\npage-two@example.com,韩梅梅,012\nno address,X,1\n"
    people += "page-three@example.com,Wu, Zetian,8\n"  # whose sum would be " Zetian"
    form.get_by_label("Recipients from a CSV or Excel file").set_input_files(csv_file("people.csv", people))
    form.get_by_text("wrong: 2").first.wait_for()
    form.get_by_text("has more cells than the first row").wait_for()
    form.get_by_text("Leave out the wrong ones").click()
    form.get_by_label("Subject").fill("Invoice for {{ name }}")
    form.get_by_role("textbox", name="Content").fill("<p>Dear {{ name }}, you owe <b>{{ sum }}</b>.</p>")
    page.get_by_text("Invoice for Li Lei").wait_for()
    page.get_by_role("button", name="Next recipient").click()
    page.get_by_text("Invoice for 韩梅梅").wait_for()
    page.frame_locator("iframe").get_by_text("you owe 012").wait_for()
    form.get_by_role("button", name="Save").click()

    page.wait_for_url("**/plugin/push/tasks/page-invoice")
    page.locator('[data-state="finished"]').first.wait_for()
    settled(page)
    row = platform.ledger("SELECT id FROM push_execution WHERE task_code = 'page-invoice'")
    go(page, f"executions/{row[0][0]}")
    for address in ("page-one@example.com", "page-two@example.com"):
        page.get_by_role("button", name=address).wait_for()
    assert page.locator('tbody [data-state="sent"]').count() == 2
    page.get_by_role("button", name="page-two@example.com").click()
    story = page.get_by_role("dialog")
    story.get_by_text("Nothing went wrong.").wait_for()
    story.get_by_role("link", name="Open the run").wait_for()

    shown = go(page, "deliveries")
    page.get_by_role("button", name="page-one@example.com").wait_for()
    shown.get_by_label("Recipient (or 3 letters of it)").fill("PAGE-TW")
    page.wait_for_url("**search=PAGE-TW*")
    page.get_by_role("button", name="page-one@example.com").wait_for(state="hidden")
    page.get_by_role("button", name="page-two@example.com").wait_for()
    mail = platform.await_mail("page-two@example.com")
    assert (mail["Subject"], "shop@sandbox.example" in mail["From"]) == ("Invoice for 韩梅梅", True)
    assert platform.mails(to="page-one@example.com")
    assert not platform.mails(to="no address")
    assert not platform.mails(to="page-three@example.com")


def test_an_sms_with_its_parameters_as_fields(platform: Any, page: Any) -> None:
    go(page, "tasks/new")
    form = page.get_by_role("form", name="New push task")
    form.get_by_label("Name", exact=False).first.fill("Shipping / 发货")
    form.get_by_label("Code").fill("page-shipping")
    form.get_by_label("Channel").select_option("sms")
    form.get_by_label("Text of the template").fill("您的订单${code}已发货。")
    form.get_by_label("code", exact=True).last.fill("{{ order }}")
    form.get_by_label("Recipients, one a line").fill("number\torder\n13800138000\tA-1001\n13900139000\tA-1002")
    form.get_by_text(re.compile("charged as 1 SMS")).wait_for()
    form.get_by_role("button", name="Save").click()
    page.wait_for_url("**/plugin/push/tasks/page-shipping")
    page.locator('[data-state="finished"]').first.wait_for()
    (message, *_) = platform.sms(to="13900139000")
    assert "A-1002" in message["content"]


def test_a_test_to_me(platform: Any, page: Any) -> None:
    go(page, "tasks/new")
    form = page.get_by_role("form", name="New push task")
    form.get_by_label("Name", exact=False).first.fill("Newsletter")
    form.get_by_label("Subject").fill("News for {{ to }}")
    form.get_by_role("textbox", name="Content").fill("<p>News.</p>")
    form.get_by_role("button", name="Send a test to me").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Your address").fill("page-me@example.com")
    dialog.get_by_role("button", name="Send the test").click()
    dialog.get_by_role("link", name="See its delivery").wait_for()
    assert platform.await_mail("page-me@example.com")["Subject"] == "News for page-me@example.com"
    # Who has mended something elsewhere, a configuration say, sends it again, and it is sent.
    dialog.get_by_role("button", name="Send the test").click()
    platform.eventually(lambda: len(platform.mails(to="page-me@example.com")) == 2 or None, "the second test")
    # The push task itself does not exist: nobody has saved it.
    assert not platform.ledger("SELECT 1 FROM push_task WHERE name = 'Newsletter'")


def test_a_wrong_form_says_what_is_wrong_beside_each_field(page: Any) -> None:
    go(page, "tasks/new")
    form = page.get_by_role("form", name="New push task")
    form.get_by_label("Name", exact=False).first.fill("Wrong")
    form.get_by_label("Recipients, one a line").fill("wrong@example.com")
    form.get_by_label("Subject").fill("{{ name")
    form.get_by_role("textbox", name="Content").fill("<p>x</p>")
    form.get_by_label("When").select_option("cron")
    form.get_by_label("Cron expression").fill("61 * * * *")
    form.get_by_role("button", name="Save").click()
    cron = form.get_by_label("Cron expression")
    page.wait_for_function("document.querySelectorAll('form [aria-invalid=true]').length > 0")
    assert cron.get_attribute("aria-invalid") == "true"
    assert page.url.endswith("/tasks/new")
    cron.fill("0 9 * * *")
    form.get_by_role("button", name="Save").click()
    page.wait_for_function("document.querySelectorAll('form [aria-invalid=true]').length > 0")
    assert form.get_by_label("Subject").get_attribute("aria-invalid") == "true"


def test_what_is_typed_survives_a_reload(page: Any) -> None:
    go(page, "tasks/new")
    form = page.get_by_role("form", name="New push task")
    form.get_by_label("Name", exact=False).first.fill("Half done")
    form.get_by_label("Recipients, one a line").fill("draft@example.com")
    page.wait_for_function("Object.values(localStorage).some((kept) => kept.includes('draft@example.com'))")
    page.reload()
    page.get_by_test_id("draft").wait_for()
    assert form.get_by_label("Name", exact=False).first.input_value() == "Half done"
    typed = form.get_by_label("Recipients, one a line")
    assert typed.input_value() == "draft@example.com"
    # Whoever leaves right after the last key loses nothing, either.
    typed.fill("draft@example.com\nlast@example.com")
    page.reload()
    page.get_by_test_id("draft").wait_for()
    assert typed.input_value() == "draft@example.com\nlast@example.com"


def test_those_who_failed_get_it_again_and_no_one_else(platform: Any, page: Any) -> None:
    once = {"code": "page-again", "name": "Again", "subject": "Again", "content": "x", "retries": 0}
    gone = "bounce+again@example.com"
    platform.apply({**once, "recipients": ["page-again-good@example.com", gone]})
    platform.await_runs("page-again", 1)
    (execution, failed), *_ = platform.ledger("SELECT id, failed FROM push_execution WHERE task_code = 'page-again'")
    assert failed == 1
    go(page, f"executions/{execution}")
    page.get_by_role("button", name="Send failed ones again").click()
    page.get_by_role("alertdialog").get_by_role("button", name="Send failed ones again").click()
    page.get_by_text("1 failed and 0 in doubt are sent again").wait_for()

    def tried_twice() -> bool:
        query = "SELECT attempts FROM push_delivery WHERE execution_id = %s AND recipient = %s"
        return platform.ledger(query, execution, gone)[0][0] == 2

    platform.eventually(lambda: tried_twice() or None, "a second try")
    assert len(platform.mails(to="page-again-good@example.com")) == 1


@pytest.mark.parametrize(
    ("channel", "device", "fields"),
    [
        ("websocket", "user/page-user", {"Title": "Order {{ order }}", "Content": "On its way"}),
        ("app", "phone/page-phone", {"Title": "Order {{ order }}", "Content": "On its way"}),
    ],
)
def test_a_message_to_a_device_until_it_is_acknowledged(
    platform: Any, page: Any, opened: Opened, channel: str, device: str, fields: dict[str, str]
) -> None:
    """By the form, then as its user on the mailbox page, and back to the log: it is delivered."""
    code, (kind, name) = f"page-{channel}", device.split("/")
    go(page, "tasks/new")
    form = page.get_by_role("form", name="New push task")
    form.get_by_label("Name", exact=False).first.fill(f"By {channel}")
    form.get_by_label("Code").fill(code)
    form.get_by_label("Channel").select_option(channel)
    for label, text in fields.items():
        form.get_by_role("textbox", name=re.compile(f"^{label}")).fill(text)
    form.get_by_label("Recipients, one a line").fill(f"to\torder\n{name}\tA-7")
    page.get_by_text("Order A-7").first.wait_for()
    form.get_by_role("button", name="Save").click()
    page.wait_for_url(f"**/plugin/push/tasks/{code}")
    page.locator('[data-state="finished"]').first.wait_for()

    phone = opened(base_url=platform.mailbox)
    phone.goto(f"/#devices/{kind}%2F{name}")
    message = phone.locator(".got")
    message.get_by_role("heading", name="Order A-7").wait_for()
    message.get_by_role("button", name="Acknowledge").click()
    message.get_by_text("Acknowledged").wait_for()

    ((execution,),) = platform.ledger("SELECT id FROM push_execution WHERE task_code = %s", code)
    go(page, f"executions/{execution}")
    page.locator('tbody [data-state="delivered"]').wait_for()
