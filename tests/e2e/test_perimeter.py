"""The development start, where nobody logs in: other sites get nothing of it, and Airflow's own screens work."""

from __future__ import annotations

import http.client
import http.server
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from browser import CHROMIUM, launched

# A name of the attacker's that points at this machine, as after DNS rebinding.
REBOUND = "rebound.example"


def ask(platform: Any, method: str, path: str, headers: dict[str, str], body: str | None = None) -> int:
    connection = http.client.HTTPConnection(urlsplit(platform.url).netloc, timeout=120)
    try:
        connection.request(method, path, body, headers)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:{port}", 201),
        ("localhost:{port}", 201),
        ("[::1]:{port}", 201),
        ("rebound.example:{port}", 421),
        ("127.0.0.1.rebound.example", 421),
        ("rebound.example@127.0.0.2", 421),
        ("[", 421),
        ("", 421),
    ],
)
def test_only_loopback_names_get_a_token(platform: Any, host: str, status: int) -> None:
    host = host.format(port=urlsplit(platform.url).port)
    assert ask(platform, "GET", "/auth/token", {"Host": host}) == status
    for path in ("/", "/api/v2/dags", "/ui/config", "/push/v1/tasks", "/auth/token/login", "/execution/health"):
        assert (ask(platform, "GET", path, {"Host": host}) == 421) is (status == 421), path


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),
        ({"Origin": "http://127.0.0.1:{port}"}, True),
        ({"Origin": "http://127.0.0.1:1"}, False),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
    ],
)
def test_only_own_pages_and_programs_change_something(platform: Any, headers: dict[str, str], allowed: bool) -> None:
    port = urlsplit(platform.url).port
    sent = {name: value.format(port=port) for name, value in headers.items()}
    for path in ("/api/v2/dags/nothing/dagRuns", "/push/v1/tasks/nothing/pause", "/api/v2/variables"):
        json = {"Content-Type": "application/json"}
        assert (ask(platform, "POST", path, {**sent, **json}, "{}") == 403) is not allowed, path


# --- in Chromium ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with launched(f"--host-resolver-rules=MAP {REBOUND} 127.0.0.1") as browser:
        yield browser.new_context(viewport={"width": 1280, "height": 1000})


@pytest.fixture(scope="module")
def neighbour() -> Iterator[str]:
    """An empty page on another port of this machine."""

    class Empty(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>Neighbour</title>")

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Empty) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_a_page_of_another_port_pauses_nothing_and_airflows_own_does(
    platform: Any, browser: Any, neighbour: str
) -> None:
    from playwright.sync_api import expect

    platform.apply(
        {
            "code": "perimeter",
            "name": "Perimeter",
            "subject": "x",
            "content": "x",
            "schedule": {"kind": "manual"},
            "execution": {"type": "loop"},
            "recipients": ["perimeter@example.com"],
        }
    )
    platform.await_dag("perimeter")

    def paused() -> tuple[bool, str]:
        """By Airflow, and by us."""
        return platform.await_dag("perimeter")["is_paused"], platform.call("/push/v1/tasks/perimeter")[1]["status"]

    page = browser.new_page()
    page.set_default_timeout(120_000)
    page.goto(f"{platform.url}/auth/token/login")  # its cookie is there from now on
    page.goto(f"{platform.url}/dags/push__perimeter")
    switch = page.get_by_role("checkbox").first
    switch.wait_for(state="attached")
    assert "_token" in {cookie["name"] for cookie in browser.cookies()}

    other = browser.new_page()
    other.goto(neighbour)
    before = paused()
    for path in ("/push/v1/tasks/perimeter/pause", "/push/v1/tasks/perimeter/cancel"):
        send = "url => fetch(url, {method: 'POST', mode: 'no-cors', credentials: 'include'}).then(() => 'sent')"
        assert other.evaluate(send, f"{platform.url}{path}") == "sent"
    other.set_content(f"<form method=post action='{platform.url}/push/v1/tasks/perimeter/pause'><button>Go</button>")
    other.get_by_role("button").click()
    other.get_by_text("A page of another site asks for this").wait_for()
    assert paused() == before == (False, before[1])

    # Airflow's own screen, with the same cookie: pause, go on, trigger.
    page.bring_to_front()
    for is_paused in (True, False):
        page.locator("label", has=page.get_by_role("checkbox")).first.click()
        confirm = page.get_by_role("dialog").get_by_role("button", name="Confirm")
        if confirm.is_visible():
            confirm.click()
        platform.await_dag("perimeter", is_paused=is_paused)
    page.get_by_role("button", name="Trigger").first.click()
    page.get_by_role("dialog").get_by_role("button", name="Trigger").last.click()
    platform.await_mail("perimeter@example.com")
    expect(page.get_by_role("checkbox").first).to_be_attached()


def test_a_name_that_was_pointed_here_shows_nothing(platform: Any, browser: Any) -> None:
    port = urlsplit(platform.url).port
    page = browser.new_page()
    answer = page.goto(f"http://{REBOUND}:{port}/")
    assert answer.status == 421
    token = page.evaluate("fetch('/auth/token').then(answer => answer.text())")
    assert "access_token" not in token
    assert "127.0.0.1 or localhost" in token
