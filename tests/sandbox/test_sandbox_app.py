"""The sandbox's app push: what Aliyun's own SDK is answered, what its page shows, and its controls."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from alibabacloud_push20160801.client import Client
from alibabacloud_push20160801.models import MassPushV2Request, PushTask
from alibabacloud_tea_openapi.exceptions import AlibabaCloudException
from alibabacloud_tea_openapi.utils_models import Config

from sandbox.app_account import APP_KEY
from sandbox.app_aliyun import SAME_FOR, AppService
from sandbox.app_store import AppMessage, AppStore
from sandbox.sms_refusal import Refusal
from sandbox.sms_signature import access_key


def client(sandbox, **fields):
    key, secret = access_key()
    own = {"access_key_id": key, "access_key_secret": secret, "endpoint": f"127.0.0.1:{sandbox.sms_port}"}
    return Client(Config(**{**own, "protocol": "http", **fields}))


def task(to="d1", **fields):
    return {
        "Target": {"Type": "DEVICE", "Value": to},
        "Notification": {"Title": "Title 标题", "Body": "Body"},
        **fields,
    }


def push(sandbox, *tasks, token=None, key=APP_KEY, **fields):
    request = MassPushV2Request(
        app_key=key, idempotent_token=token, push_tasks=[PushTask().from_map(one) for one in tasks]
    )
    return client(sandbox, **fields).mass_push_v2(request).body.message_ids


@pytest.fixture
def phones(shared_sandbox):
    for path in ("/api/app", "/control/app/calls", "/control/app/faults"):
        assert shared_sandbox.request(path, "DELETE").status == 200
    return shared_sandbox


def test_what_is_pushed_is_shown(phones):
    names = push(phones, task("d1"), task("d2", Notification={"Title": "Other", "Body": "B"}))
    answer = phones.request("/api/app")
    items = answer.json()["items"]
    assert [item["id"] for item in items] == names[::-1]
    assert {name: items[1][name] for name in ("vendor", "app", "target", "to", "kind", "title", "body")} == {
        "vendor": "aliyun",
        "app": str(APP_KEY),
        "target": "device",
        "to": "d1",
        "kind": "notification",
        "title": "Title 标题",
        "body": "Body",
    }
    assert phones.request(f"/api/app/{names[0]}").json() == items[1]
    assert phones.request("/api/app/none").status == 404
    assert phones.request("/api/app?q=other").json()["total_entries"] == 1
    assert phones.request("/api/app?to=d1").json()["total_entries"] == 1
    etag = {"If-None-Match": answer.headers["ETag"]}
    assert phones.request("/api/app", headers=etag).status == 304
    assert phones.request("/control/app/calls").json()["counts"] == {"MassPushV2": 1}
    assert phones.request("/api/app", "DELETE").json() == {"removed": 2}


def test_a_token_pushes_once(phones):
    token = str(uuid.uuid4())
    assert push(phones, task(), token=token) == push(phones, task(), token=token)
    assert phones.request("/api/app").json()["total_entries"] == 1


def test_a_token_holds_for_a_quarter_of_an_hour():
    now = [datetime(2026, 5, 6, tzinfo=UTC)]
    store = AppStore(clock=lambda: now[0])
    service = AppService(store)
    parameters = {"AppKey": str(APP_KEY), "IdempotentToken": str(uuid.uuid4()), "PushTasks": json.dumps([task()])}
    counts = []
    for after in (timedelta(), SAME_FOR - timedelta(seconds=1), SAME_FOR):
        now[0] = datetime(2026, 5, 6, tzinfo=UTC) + after
        service.call("MassPushV2", parameters)
        counts.append(store.find()[1])
    assert counts == [1, 1, 2]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"AppKey": None}, "MissingAppKey"),
        ({"AppKey": "1"}, "InvalidAppKey.Format"),
        ({"IdempotentToken": "x"}, "InvalidIdempotentToken.Format"),
        ({"PushTasks": None}, "MissingPushTasks"),
        ({"PushTasks": "{"}, "InvalidPushTasks.Format"),
        ({"PushTasks": "[]"}, "InvalidPushTasks.Format"),
        ({"PushTasks": [task()] * 101}, "InvalidPushTasks.Format"),
        ({"PushTasks": [{}]}, "InvalidTarget.Format"),
        ({"PushTasks": [task(Target={"Type": "TAG", "Value": "a"})]}, "InvalidTarget.Format"),
        ({"PushTasks": [task(Options={"ExpireTime": "tomorrow"})]}, "InvalidExpireTime.Format"),
        ({"PushTasks": [task(Notification=None)]}, "MissingNotification"),
        ({"PushTasks": [task(Notification={"Title": "x" * 51, "Body": "b"})]}, "InvalidTitle.Format"),
        ({"PushTasks": [task(Notification={"Title": "t", "Body": "x" * 201})]}, "InvalidBody.Format"),
        ({"PushTasks": [task(Message={"Body": "x" * 4000})]}, "InvalidMessage.Format"),
        (
            {"PushTasks": [task(Notification={"Title": "t", "Body": "b", "Ios": {"ExtParameters": "1"}})]},
            "InvalidExtParameters.Format",
        ),
        ({"PushTasks": [task("invalid-1")]}, "InvalidDeviceId.Format"),
        ({"PushTasks": [task("busy-1")]}, "Throttling.User"),
    ],
)
def test_what_cannot_be_is_refused_as_a_whole(change, code):
    store = AppStore()
    parameters = {"AppKey": str(APP_KEY), "PushTasks": json.dumps([task()])}
    for name, value in change.items():
        parameters[name] = json.dumps(value) if isinstance(value, list) else value
    with pytest.raises(Refusal) as caught:
        AppService(store).call("MassPushV2", {name: value for name, value in parameters.items() if value is not None})
    assert caught.value.code == code
    assert store.find()[1] == 0


def test_signatures_are_checked(phones):
    with pytest.raises(AlibabaCloudException, match="Specified signature does not match") as caught:
        push(phones, task(), access_key_secret="another")
    assert caught.value.code == "SignatureDoesNotMatch"


def test_it_fails_when_it_is_told_to(phones):
    fault = {"kind": "refuse", "code": "AccountInDebt", "message": "Pay.", "status": 400}
    assert phones.request("/control/app/faults", "POST", body=fault).status == 201
    assert len(phones.request("/control/app/faults").json()["faults"]) == 1
    with pytest.raises(AlibabaCloudException) as caught:
        push(phones, task())
    assert caught.value.code == "AccountInDebt"
    assert len(push(phones, task())) == 1
    assert phones.request("/control/app/faults", "POST", body={"kind": "sleep"}).status == 422
    (told, refused) = phones.request("/control/app/calls").json()["calls"]
    assert (told["code"], told["numbers"], refused["code"]) == ("", 1, "AccountInDebt")


@pytest.mark.parametrize(
    ("method", "path"), [("DELETE", "/api/app"), ("DELETE", "/control/app/calls"), ("POST", "/control/app/faults")]
)
def test_pages_of_other_sites_change_nothing(phones, method, path):
    headers = {"Origin": "https://example.com"}
    assert phones.request(path, method, headers, {"kind": "drop"} if method == "POST" else None).status == 403


def test_the_oldest_give_way():
    store = AppStore(keep=2)
    now = datetime(2026, 5, 6, tzinfo=UTC)
    for number in range(3):
        name = store.name()
        store.add(AppMessage(name, now, "aliyun", "1", "device", f"d{number}", "message", "", "", {}))
    assert [one.to for one in store.find()[0]] == ["d2", "d1"]


@pytest.mark.e2e
@pytest.mark.parametrize(("locale", "kind"), [("en-GB", "Notification"), ("zh-CN", "通知")])
def test_the_page_shows_them(phones, visit, locale, kind):
    from playwright.sync_api import expect

    page = visit(f"http://127.0.0.1:{phones.http_port}/", locale=locale)
    page.keyboard.press("p")
    page.wait_for_selector("#welcome code >> text=invalid-")
    push(phones, task("d1"), task("d2"))
    expect(page.locator(".row.app")).to_have_count(2)
    page.fill("#search", "d2")
    expect(page.locator(".row")).to_have_count(1)
    page.click(".row")
    page.wait_for_selector(f"#message .state >> text={kind}")
    page.wait_for_selector("#message pre >> text=DEVICE")
    page.click("#delete")
    page.click("#ask .red")
    page.wait_for_selector("#welcome:not([hidden]) code >> text=invalid-")
