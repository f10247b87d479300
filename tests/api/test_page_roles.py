"""The Push page offers nobody what their role may not do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from browser import CHROMIUM, logged_in

if TYPE_CHECKING:
    from api_server import ApiServer

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")]


def offered(page: Any, code: str) -> dict[str, bool]:
    """What the page offers of what changes something."""
    page.goto("/plugin/push/tasks")
    page.get_by_role("region", name="Push tasks").locator(f'[data-row="{code}"]').wait_for()
    page.locator(f'[data-row="{code}"]').get_by_role("button", name="More actions").click()
    menu = page.get_by_role("menu")
    menu.get_by_role("menuitem", name="Executions (log)").wait_for()
    found = {name: menu.get_by_role("menuitem", name=name).count() > 0 for name in ("Trigger…", "Edit", "Delete…")}
    page.keyboard.press("Escape")
    shown = page.get_by_test_id("push-page")
    return {
        **found,
        "new": shown.get_by_role("link", name="New push task").count() > 0,
        "configurations": shown.get_by_role("link", name="Configurations", exact=True).count() > 0,
    }


@pytest.mark.parametrize(
    ("role", "writes", "configures"), [("viewer", False, False), ("user", True, False), ("op", True, True)]
)
def test_under_simple_auth(server: ApiServer, role: str, writes: bool, configures: bool) -> None:
    code = server.create(known=True, app="shop")
    with logged_in(server.url, server.token(role)) as page:
        found = offered(page, code)
        page.goto("/plugin/push/configurations")
        page.get_by_test_id("push-page").wait_for()
        page.wait_for_load_state("networkidle")
        adds = page.get_by_role("link", name="Add Push Email")
        if configures:
            adds.first.wait_for()
        else:
            assert adds.count() == 0
    assert found == {
        **dict.fromkeys(("Trigger…", "Edit", "Delete…", "new"), writes),
        "configurations": configures,
    }


def test_who_is_not_logged_in_gets_nothing_of_it(server: ApiServer) -> None:
    answer = server.call("GET", "/push/page/any/push.js", role=None)
    assert answer.status == 401
