"""What the form of a push task takes care of: its recipients, its draft, and what it hands in."""

from __future__ import annotations

import re
from typing import Any

from screens import csv_file, go

MANUAL = {"schedule": {"kind": "manual"}, "execution": {"type": "loop"}}
REMOVE = "button[aria-label^='Remove form-']"


def apply(platform: Any, code: str, **fields: Any) -> None:
    text = {"subject": code, "content": "x", "content_type": "text"} if "channel" not in fields else {}
    platform.apply({"code": code, "name": code, **MANUAL, **text, "recipients": [f"{code}@example.com"], **fields})


def recipients(platform: Any, code: str) -> set[str]:
    query = "SELECT address FROM push_recipient AS r JOIN push_task AS t USING (list_id) WHERE t.code = %s"
    return {row[0] for row in platform.ledger(query, code)}


def begin(page: Any, code: str, rows: str = "") -> Any:
    """A form of a new mail that is triggered by hand, with a list of recipients."""
    go(page, "tasks/new")
    form = page.get_by_role("form", name="New push task")
    form.get_by_label("Name", exact=False).first.fill(code)
    form.get_by_label("Code").fill(code)
    form.get_by_label("When").select_option("manual")
    form.get_by_label("Subject").fill("Form")
    form.get_by_role("textbox", name="Content").fill("<p>x</p>")
    if rows:
        form.get_by_label("Recipients from a CSV or Excel file").set_input_files(csv_file("people.csv", rows))
    return form


def test_those_are_removed_whose_buttons_are_pressed_and_no_others(platform: Any, page: Any) -> None:
    form = begin(page, "form-remove", "to,n\n" + "".join(f"form-{n}@example.com,{n}\n" for n in range(12_000)))
    form.get_by_text("Recipients: 12000").wait_for()
    # Quicker than all can be looked at anew.
    form.locator(REMOVE).first.wait_for()
    page.evaluate(
        """(button) => {
            const [first, , third] = document.querySelectorAll(button);
            first.click();
            third.click();
            first.click();
        }""",
        REMOVE,
    )
    form.get_by_text("Recipients: 11998").wait_for()
    form.get_by_role("button", name="Remove form-4@example.com").dblclick()
    form.get_by_text("Recipients: 11997").wait_for()
    # By keys one stays in the list, and a key that is held takes away one.
    form.get_by_role("button", name="Remove form-6@example.com").focus()
    page.keyboard.down("Enter")
    page.keyboard.down("Enter")
    page.keyboard.up("Enter")
    form.get_by_text("Recipients: 11996").wait_for()
    page.wait_for_function("document.activeElement.getAttribute('aria-label') === 'Remove form-7@example.com'")
    form.get_by_role("button", name="Save").click()
    page.wait_for_url("**/plugin/push/tasks/form-remove")
    gone = {f"form-{n}@example.com" for n in (0, 2, 4, 6)}
    assert {f"form-{n}@example.com" for n in range(12_000)} - recipients(platform, "form-remove") == gone


def test_a_list_with_a_stray_quotation_mark_is_refused_by_its_line(page: Any) -> None:
    rows = 'to,name,city\na@example.com,"双11"会员,Hangzhou\nb@example.com,Li,Beijing\nc@example.com,"VIP",Ningbo\n'
    form = begin(page, "form-quotes", rows)
    form.get_by_text("people.csv cannot be read from line 2 on").wait_for()
    assert form.get_by_text("Recipients: 0").is_visible()


def test_a_draft_names_the_files_that_it_could_not_keep(page: Any) -> None:
    form = begin(page, "form-files", "to\nform-files@example.com\n")
    large = {"name": "large.pdf", "mimeType": "application/pdf", "buffer": bytes(2_000_000)}
    form.get_by_label("Attachments").first.set_input_files(large)
    form.get_by_text("Files that are too large for the draft: 1").wait_for()
    page.reload()
    page.get_by_test_id("draft").get_by_text("Files that were too large to be kept here: 1").wait_for()
    form.get_by_text("Recipients: 1").wait_for()


def test_a_draft_says_that_the_task_has_other_recipients_by_now(platform: Any, page: Any) -> None:
    apply(platform, "form-list")
    go(page, "tasks/form-list/edit")
    form = page.get_by_role("form")
    form.get_by_label("Recipients, one a line").fill("form-list@example.com\nform-list-two@example.com")
    page.wait_for_function("Object.values(localStorage).some((kept) => kept.includes('form-list-two'))")
    page.reload()
    shown = page.get_by_test_id("draft")
    shown.wait_for()
    assert not shown.get_by_text("other recipients since then").is_visible()
    apply(platform, "form-list", recipients=["form-list-new@example.com"])
    page.reload()
    shown.get_by_text("other recipients since then").wait_for()
    # It is so whatever is written in the draft meanwhile.
    form.get_by_label("Subject").fill("Another")
    page.wait_for_function("Object.values(localStorage).some((kept) => kept.includes('Another'))")
    page.reload()
    shown.get_by_text("other recipients since then").wait_for()


def test_a_null_that_a_change_cannot_make_is_refused_in_words(platform: Any, page: Any) -> None:
    apply(platform, "form-null", channel="websocket", data={"url": "x"}, recipients=["form-null"])
    go(page, "tasks/form-null/edit")
    form = page.get_by_role("form")
    form.get_by_label(re.compile("^Data")).fill('{"url": null}')
    form.get_by_role("button", name="Save").click()
    form.get_by_text("cannot become null in a push task that exists").wait_for()
    assert platform.ledger("SELECT spec->'data' FROM push_task WHERE code = 'form-null'") == [({"url": "x"},)]
    form.get_by_label(re.compile("^Data")).fill('{"link": "y"}')
    form.get_by_role("button", name="Save").click()
    page.wait_for_url("**/plugin/push/tasks/form-null")
    assert platform.ledger("SELECT spec->'data' FROM push_task WHERE code = 'form-null'") == [({"link": "y"},)]


def test_what_was_said_of_a_recipient_of_one_channel_is_not_said_of_another(page: Any) -> None:
    form = begin(page, "form-channel")
    form.get_by_label("Channel").select_option("sms")
    form.get_by_label("Recipients, one a line").fill("+999123456")  # whose country code nobody has
    form.get_by_text("Recipients: 1").wait_for()
    form.get_by_role("button", name="Save").click()
    form.get_by_text("wrong: 1").wait_for()
    form.get_by_label("Channel").select_option("app")
    form.get_by_text("wrong: 1").wait_for(state="hidden")


def test_a_push_task_that_is_too_large_is_refused_by_its_size(page: Any) -> None:
    rows = "".join(f"form-{number}@example.com,{'x' * 280}\n" for number in range(60_000))
    form = begin(page, "form-large", f"to,n\n{rows}")
    form.get_by_text("Recipients: 60000").wait_for()
    form.get_by_role("button", name="Save").click()
    form.get_by_text(re.compile(r"The push task has 1\d(\.\d)? MiB with its recipients and files")).wait_for()
