"""Whoever is logged out while the Push page is open is led to Airflow's login, and from there back to what they did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from browser import CHROMIUM, logged_in

if TYPE_CHECKING:
    from api_server import ApiServer

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")]


def log_in(page: Any) -> None:
    """Fill in Airflow's login, to which somebody has been led."""
    page.wait_for_url("**/auth/login?*")
    page.get_by_label("Username").fill("user")
    page.get_by_label("Password").fill("user")
    page.get_by_role("button", name="Sign in").click()


@pytest.mark.parametrize(
    "token", [pytest.param(None, id="none"), pytest.param("no.such.token", id="one that is none of Airflow's")]
)
def test_the_login_leads_back(server: ApiServer, token: str | None) -> None:
    code = server.create(app="shop")
    place = f"/plugin/push/tasks/{code}?from=a%20link"
    refused: list[int] = []
    with logged_in(server.url, server.token("user")) as page:
        page.goto(place)
        page.get_by_role("button", name="Trigger…").first.wait_for()
        page.on("response", lambda answer: "/push/v1/" in answer.url and refused.append(answer.status))
        page.context.clear_cookies()
        if token is not None:
            page.context.add_cookies([{"name": "_token", "value": token, "url": server.url}])
        page.wait_for_url("**/auth/login?*")
        assert parse_qs(urlsplit(page.url).query)["next"] == [place]
        assert refused[-1] == (401 if token is None else 403)
        log_in(page)
        page.wait_for_url(f"**{place}")
        page.get_by_role("button", name="Trigger…").first.wait_for()


def test_what_was_entered_is_still_there(server: ApiServer) -> None:
    with logged_in(server.url, server.token("user")) as page:
        page.goto("/plugin/push/tasks/new")
        form = page.get_by_role("form", name="New push task")
        form.get_by_label("Subject").fill("As it was")
        page.context.clear_cookies()
        form.get_by_role("textbox", name="Content").fill("<p>As it was entered last</p>")
        log_in(page)
        page.get_by_test_id("draft").wait_for()
        assert form.get_by_label("Subject").input_value() == "As it was"
        assert form.get_by_role("textbox", name="Content").input_value() == "<p>As it was entered last</p>"
