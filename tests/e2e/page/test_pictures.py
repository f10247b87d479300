"""The pictures of the documentation: its screens in English and in Chinese, and what it looks like elsewhere.

``PUSH_PICTURES=docs/images ./scripts/test tests/e2e/page/test_pictures.py`` makes them anew.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from screens import Opened, go, settled

FOLDER = os.environ.get("PUSH_PICTURES")

pytestmark = pytest.mark.skipif(FOLDER is None, reason="PUSH_PICTURES names no folder")

ONCE = {"channel": "email", "content_type": "html", "retries": 0}
INVOICE = {
    **ONCE,
    "code": "invoice",
    "name": "Invoice / 账单",
    "owner": "lilei",
    "subject": "Invoice for {{ name }} / {{ name }} 的账单",
    "content": "<h2>Dear {{ name }} / 您好</h2><p>You owe <b>{{ sum }}</b> yuan. / 应付 <b>{{ sum }}</b> 元。</p>",
    "schedule": {"kind": "now"},
    "recipients": [
        {"to": "lilei@example.com", "variables": {"name": "Li Lei", "sum": "12.50"}},
        {"to": "hanmeimei@example.com", "variables": {"name": "韩梅梅", "sum": "012"}},
        {"to": "bounce+gone@example.com", "variables": {"name": "Lucy", "sum": "7.00"}},
    ],
}
REPORT = {
    **ONCE,
    "code": "morning-report",
    "name": "Morning report / 晨报",
    "subject": "Figures / 数据",
    "content": "<p>Figures / 数据</p>",
    "schedule": {"kind": "daily", "time": "09:00", "timezone": "Asia/Shanghai"},
    "execution": {"type": "loop"},
    "recipients": ["board@example.com"],
}


@pytest.fixture(scope="module")
def screens(platform: Any) -> dict[str, str]:
    """Name of each picture, and where its screen is."""
    platform.await_runs("welcome", 1)
    platform.apply(REPORT, INVOICE)
    platform.await_runs("invoice", 1)
    ((execution,),) = platform.ledger("SELECT id FROM push_execution WHERE task_code = 'invoice'")
    return {
        "overview": "",
        "tasks": "tasks",
        "task": "tasks/invoice",
        "new-task": "tasks/invoice/edit",
        "execution": f"executions/{execution}",
        "deliveries": "deliveries",
        "configurations": "configurations",
        "configuration": "configurations/new/push_email",
        "rejected": "rejected",
    }


def take(page: Any, path: str, name: str) -> None:
    """Open a screen and keep its picture."""
    assert FOLDER is not None
    go(page, path)
    settled(page)
    page.wait_for_timeout(1000)  # charts draw themselves, colours fade in
    page.screenshot(path=str(Path(FOLDER) / f"page-{name}.png"), animations="disabled")


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_screens(opened: Opened, screens: dict[str, str], language: str) -> None:
    page = opened(language=language, width=1440, height=900)
    for name, path in screens.items():
        take(page, path, name if language == "en" else f"{name}-{language}")


def test_in_the_dark_and_on_a_phone(opened: Opened, screens: dict[str, str]) -> None:
    take(opened(theme="dark", width=1440, height=900), screens["overview"], "overview-dark")
    take(opened(width=430, height=860), screens["new-task"], "new-task-phone")


@pytest.mark.usefixtures("screens")
def test_the_mailbox_page(platform: Any, opened: Opened) -> None:
    live = {"channel": "websocket", "title": "Tea is cheaper now", "content": "Dear Li Lei, tea costs 9.50."}
    users = {"code": "price-drop", "name": "Price drop", "data": {"product": "Tea"}, "recipients": ["lilei", "han"]}
    phone = {"code": "parcel", "name": "Parcel", "channel": "app", "title": "Parcel P-1", "content": "At your door."}
    platform.apply(
        {**live, **users},
        {**phone, "recipients": ["3f2a0c1d9b8e4f6a"]},
    )
    for code in ("price-drop", "parcel"):
        platform.await_runs(code, 1)
    page = opened(base_url=platform.mailbox, width=1180, height=680)
    for name, path, ready in (
        ("mailbox", "/", "you@example.com"),
        ("devices", "/#devices/user%2Flilei", "Tea is cheaper now"),
    ):
        page.goto(path)
        page.get_by_text(ready).first.click()
        page.wait_for_timeout(1500)
        page.screenshot(path=str(Path(str(FOLDER)) / f"{name}.png"), animations="disabled")
