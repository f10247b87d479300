"""Devices on the sandbox's page: users and phones, what they got, and acknowledging it in their place."""

from __future__ import annotations

import http.server
import json
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from sandbox.app_store import AppMessage, AppStore
from sandbox.centrifugo_account import API_KEY
from sandbox.centrifugo_streams import Streams
from sandbox.devices import Devices


@contextmanager
def acknowledging(status: int = 204) -> Iterator[tuple[str, list[str]]]:
    """Somebody who takes acknowledgements: the address of links, and the paths that were asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


class Two:
    """Streams and phones, and their devices."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0
        self.streams = Streams(clock=lambda: self.now)
        self.phones = AppStore()
        self.devices = Devices(self.streams, self.phones)

    def publish(self, user: str, **message: Any) -> None:
        self.now += 1
        self.streams.publish(f"push:#{user}", msgspec.Raw(json.dumps(message).encode()))

    def push(self, to: str, vendor: str, kind: str, body: str, raw: Any) -> None:
        self.now += 1
        at = datetime.fromtimestamp(self.now, UTC)
        self.phones.add(AppMessage(self.phones.name(), at, vendor, "1", "device", to, kind, "Title", body, raw))


@pytest.fixture
def two() -> Two:
    return Two()


def test_whoever_got_something_last_is_first(two: Two) -> None:
    two.publish("ann", id="m1", title="One")
    two.push("d1", "fcm", "notification", "Body", {"data": {}})
    two.publish("bob", content="Text alone")
    two.publish("ann", id="m2", title="Two")
    items, total = two.devices.find()
    assert total == 3
    assert [(one["id"], one["title"], one["count"]) for one in items] == [
        ("user/ann", "Two", 2),
        ("user/bob", "Text alone", 1),
        ("phone/d1", "Title", 1),
    ]
    assert [one["id"] for one in two.devices.find(text="D1")[0]] == ["phone/d1"]
    assert [one["id"] for one in two.devices.find(limit=1, offset=1)[0]] == ["user/bob"]


LINK = "https://push.example.com/push/v1/receipts/x"


@pytest.mark.parametrize(
    ("vendor", "kind", "body", "raw", "data", "text"),
    [
        ("fcm", "notification", "Body", {"data": {"n": "1", "acknowledge": LINK}}, {"n": "1"}, "Body"),
        ("fcm", "message", "", {"data": {"content": "C", "title": "T", "acknowledge": LINK}}, None, "C"),
        (
            "aliyun",
            "notification",
            "Body",
            {"Notification": {"Android": {"ExtParameters": json.dumps({"n": "1", "acknowledge": LINK})}}},
            {"n": "1"},
            "Body",
        ),
        ("aliyun", "message", json.dumps({"id": "k", "content": "C", "acknowledge": LINK}), {}, {"id": "k"}, "C"),
    ],
)
def test_what_a_phone_got(two: Two, vendor: str, kind: str, body: str, raw: Any, data: Any, text: str) -> None:
    two.push("d1", vendor, kind, body, raw)
    found = two.devices.get("phone/d1")
    assert found is not None
    (message,) = found["messages"]
    assert (message["body"], message["data"], message["can_acknowledge"]) == (text, data, True)


@pytest.mark.parametrize("raw", [{}, {"Notification": {}}, {"Notification": {"Android": {"ExtParameters": "{"}}}])
def test_what_has_no_data_is_shown_without(two: Two, raw: Any) -> None:
    two.push("d1", "aliyun", "notification", "Body", raw)
    found = two.devices.get("phone/d1")
    assert found is not None
    assert [(one["body"], one["data"], one["can_acknowledge"]) for one in found["messages"]] == [("Body", None, False)]


def test_somebody_who_got_nothing_yet_may_be_acted_as(two: Two) -> None:
    found = two.devices.get("user/new")
    assert found is not None
    assert (found["messages"], found["at"]) == ([], None)
    assert [two.devices.get(name) for name in ("", "user/", "else/x", "x")] == [None] * 4


@pytest.mark.parametrize("status", [204, 404])
def test_an_acknowledgement_uses_the_message_s_own_link(two: Two, status: int) -> None:
    with acknowledging(status) as (address, asked):
        two.publish("ann", id="m1", acknowledge=f"{address}/receipts/of-m1")
        before = two.devices.version
        assert two.devices.acknowledge("user/ann", "m1") == status
        assert asked == ["/receipts/of-m1"]
        assert two.devices.version != before
    found = two.devices.get("user/ann")
    assert found is not None
    assert (found["messages"][0]["answer"], found["acknowledged"]) == (status, int(status == 204))


def test_no_other_link_is_used(two: Two) -> None:
    two.publish("ann", id="m1", acknowledge="file:///etc/passwd")
    two.publish("ann", id="m2")
    asked = [("user/ann", "m1"), ("user/ann", "m2"), ("user/bob", "m1"), ("user/ann", "none")]
    assert [two.devices.acknowledge(*one) for one in asked] == [None] * 4


def test_where_nobody_answers_it_says_so(two: Two) -> None:
    two.publish("ann", id="m1", acknowledge="http://127.0.0.1:9/x")
    assert two.devices.acknowledge("user/ann", "m1") == 0


# --- the page -------------------------------------------------------------------------------------------


def publish(sandbox: Any, user: str, **message: Any) -> None:
    body = json.dumps({"channel": f"push:#{user}", "data": message}).encode()
    headers = {"X-API-Key": API_KEY, "Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{sandbox.centrifugo_port}/api/publish", body, headers)
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert "error" not in json.load(answer)


def test_nothing_new_is_304(sandbox: Any) -> None:
    etag = sandbox.request("/api/devices").headers["ETag"]
    assert sandbox.request("/api/devices", headers={"If-None-Match": etag}).status == 304
    publish(sandbox, "etag", title="New")
    assert sandbox.request("/api/devices", headers={"If-None-Match": etag}).status == 200


def test_another_site_acknowledges_nothing(sandbox: Any) -> None:
    with acknowledging() as (address, asked):
        publish(sandbox, "far", id="far", acknowledge=f"{address}/x")
        body = {"device": "user/far", "message": "far"}
        headers = {"Origin": "https://evil.example.com"}
        assert sandbox.request("/api/devices/acknowledge", "POST", headers, body).status == 403
        assert asked == []
        assert sandbox.request("/api/devices/acknowledge", "POST", body=body).json() == {"status": 204}
        assert sandbox.request("/api/devices/acknowledge", "POST", body={**body, "message": "x"}).status == 404


@pytest.mark.slow
def test_what_comes_in_is_seen_and_acknowledged(sandbox: Any, visit: Any) -> None:
    with acknowledging() as (address, asked):
        page = visit(f"http://127.0.0.1:{sandbox.http_port}/#devices", locale="en-US")
        page.get_by_label("Act as", exact=True).select_option("user")
        page.get_by_label("User id, or device, account or alias").fill("li/lei?")
        page.get_by_role("button", name="Act", exact=True).click()
        page.get_by_text("Nothing yet.").wait_for()
        publish(sandbox, "li/lei?", id="page-1", title="<b>Your order</b>", content="On its way", data={"n": 1},
                acknowledge=f"{address}/receipts/page-1")  # fmt: skip
        message = page.locator("[data-message='page-1']")
        assert message.get_by_role("heading").inner_text() == "<b>Your order</b>"
        assert '"n": 1' in message.inner_text()
        message.get_by_role("button", name="Acknowledge").click()
        message.get_by_text("Acknowledged").wait_for()
        assert asked == ["/receipts/page-1"]
        page.reload()
        page.get_by_text("Acknowledged").wait_for()
        page.get_by_role("button", name="中文").click()
        page.get_by_text("已确认").wait_for()
