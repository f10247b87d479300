"""The JSON API of the SMS, and the gateway's controls, on a sandbox process."""

from __future__ import annotations

import re
import signal
from datetime import datetime

import pytest
from alibabacloud_dysmsapi20170525 import models

from sandbox.sms_account import SIGN_NAME, TEMPLATE_CODE
from sandbox.sms_store import CHINA

WRITES = [
    ("DELETE", "/api/sms", None),
    ("DELETE", "/control/sms/calls", None),
    ("POST", "/control/sms/faults", {"kind": "drop"}),
    ("DELETE", "/control/sms/faults", None),
    ("PUT", "/control/sms/receipts", {"seconds": 0}),
    ("POST", "/control/sms/receipts", {}),
    ("POST", "/control/sms/signs", {"name": "新签名"}),
    ("POST", "/control/sms/templates", {"code": "SMS_7", "content": "好"}),
]


def _details(sandbox, phone="13800000001"):
    request = models.QuerySendDetailsRequest(
        phone_number=phone, send_date=f"{datetime.now(CHINA):%Y%m%d}", page_size=10, current_page=1
    )
    return sandbox.sms().query_send_details(request).body.sms_send_detail_dtos.sms_send_detail_dto


def test_a_list_says_what_was_sent(sandbox):
    sandbox.send_sms(out_id="order-7")
    answer = sandbox.request("/api/sms").json()
    (item,) = answer["items"]
    moment = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    assert re.fullmatch(moment, item["sent_at"])
    assert re.fullmatch(moment, item["receipt_at"])
    assert {name: item[name] for name in item if name not in ("id", "sent_at", "receipt_at", "biz_id")} == {
        "phone": "13800000001",
        "sign_name": SIGN_NAME,
        "template_code": TEMPLATE_CODE,
        "content": "【阿里云短信测试】您正在使用阿里云短信测试服务，体验验证码是：1234，如非本人操作，请忽略本短信！",
        "out_id": "order-7",
        "state": "delivered",
        "receipt_code": "DELIVERED",
    }
    assert answer["total_entries"] == 1
    assert sandbox.request(f"/api/sms/{item['id']}").json() == item
    assert sandbox.request("/api/sms/no-such").status == 404


@pytest.mark.parametrize(
    ("query", "phones"),
    [
        ("", ["13800000002", "13800000001"]),
        ("?to=0001", ["13800000001"]),
        ("?out_id=b", ["13800000002"]),
        ("?out_id=ab", []),
        ("?q=CODE-ONE", ["13800000001"]),
        ("?q=sms_154950909", ["13800000002", "13800000001"]),
        ("?limit=1", ["13800000002"]),
        ("?limit=1&offset=1", ["13800000001"]),
    ],
)
def test_the_list_is_filtered(sandbox, query, phones):
    sandbox.send_sms("13800000001", code="code-one", out_id="a")
    sandbox.send_sms("13800000002", code="2", out_id="b")
    assert [item["phone"] for item in sandbox.request(f"/api/sms{query}").json()["items"]] == phones


def test_nothing_new_is_304_and_a_receipt_is_new(sandbox):
    sandbox.request("/control/sms/receipts", "PUT", body={"seconds": None})
    sandbox.send_sms()
    answer = sandbox.request("/api/sms")
    assert answer.json()["items"][0]["state"] == "waiting"
    assert answer.json()["items"][0]["receipt_code"] is None
    etag = {"If-None-Match": answer.headers["ETag"]}
    assert sandbox.request("/api/sms", headers=etag).status == 304
    settled = sandbox.request("/control/sms/receipts", "POST", body={"code": "UNDELIV", "to": "0001"}).json()
    assert settled == {"settled": 1}
    answer = sandbox.request("/api/sms", headers=etag)
    assert answer.status == 200
    assert answer.json()["items"][0]["state"] == "failed"
    assert [(row.send_status, row.err_code) for row in _details(sandbox)] == [(2, "UNDELIV")]


def test_a_receipt_that_comes_by_itself_is_new(sandbox):
    sandbox.request("/control/sms/receipts", "PUT", body={"seconds": 0.2})
    sandbox.send_sms()
    etag = sandbox.request("/api/sms").headers["ETag"]
    while sandbox.request("/api/sms", headers={"If-None-Match": etag}).status == 304:
        pass
    assert sandbox.request("/api/sms").json()["items"][0]["state"] == "delivered"


def test_calls_are_counted_and_told(sandbox):
    sandbox.send_sms()
    sandbox.request("/control/sms/faults", "POST", body={"kind": "refuse", "code": "isv.OUT_OF_SERVICE"})
    request = models.GetSmsTemplateRequest(template_code=TEMPLATE_CODE)
    assert sandbox.sms().get_sms_template(request).body.code == "isv.OUT_OF_SERVICE"
    told = sandbox.request("/control/sms/calls").json()
    assert told["counts"] == {"SendSms": 1, "GetSmsTemplate": 1}
    assert [{name: call[name] for name in call if name != "at"} for call in told["calls"]] == [
        {"action": "GetSmsTemplate", "code": "isv.OUT_OF_SERVICE", "status": 200, "numbers": 0, "fault": "refuse"},
        {"action": "SendSms", "code": "OK", "status": 200, "numbers": 1, "fault": ""},
    ]
    assert sandbox.request("/control/sms/calls", "DELETE").json() == {"forgotten": 2}
    assert sandbox.request("/control/sms/calls").json() == {"counts": {}, "calls": []}


def test_faults_are_told_and_taken_back(sandbox):
    asked = {"kind": "http", "action": "SendSms", "times": None, "seconds": 0.5}
    added = sandbox.request("/control/sms/faults", "POST", body=asked)
    assert added.status == 201
    assert added.json()["status"] == 503
    assert sandbox.request("/control/sms/faults").json()["faults"] == [added.json()]
    assert sandbox.request("/control/sms/faults", "DELETE").json() == {"removed": 1}
    sandbox.send_sms()


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "kind"),
        ({"kind": "explode"}, "kind"),
        ({"kind": []}, "kind"),
        ({"kind": "drop", "color": "red"}, "color"),
        ({"kind": "drop", "action": "SendFax"}, "action"),
        ({"kind": "drop", "action": 1}, "action"),
        ({"kind": "drop", "times": 0}, "times"),
        ({"kind": "drop", "times": True}, "times"),
        ({"kind": "drop", "status": 99}, "status"),
        ({"kind": "drop", "seconds": -1}, "seconds"),
        ({"kind": "drop", "seconds": "1"}, "seconds"),
        ({"kind": "drop", "retry_after": "x"}, "retry_after"),
        ({"kind": "refuse", "code": None}, "code"),
    ],
)
def test_a_fault_that_cannot_be_is_refused_with_the_field(sandbox, body, named):
    answer = sandbox.request("/control/sms/faults", "POST", body=body)
    assert answer.status == 422
    assert answer.json()["detail"].startswith(f"{named}: ")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/control/sms/receipts", {}),
        ("PUT", "/control/sms/receipts", {"seconds": -1}),
        ("PUT", "/control/sms/receipts", {"seconds": True}),
        ("PUT", "/control/sms/receipts", {"seconds": 1, "x": 1}),
        ("POST", "/control/sms/receipts", {"code": ""}),
        ("POST", "/control/sms/receipts", {"to": 1}),
        ("POST", "/control/sms/receipts", {"when": 1}),
        ("POST", "/control/sms/signs", {}),
        ("POST", "/control/sms/signs", {"name": "x"}),
        ("POST", "/control/sms/signs", {"name": 5}),
        ("POST", "/control/sms/signs", {"name": "新签名", "status": "good"}),
        ("POST", "/control/sms/templates", {"code": "SMS_7"}),
        ("POST", "/control/sms/templates", {"code": "7", "content": "x"}),
        ("POST", "/control/sms/templates", {"code": "SMS_7", "content": ""}),
        ("POST", "/control/sms/templates", {"code": "SMS_7", "content": "x", "kind": "fax"}),
        ("POST", "/control/sms/templates", {"code": "SMS_7", "content": "x", "size": 1}),
        ("POST", "/control/sms/faults", []),
        ("POST", "/control/sms/faults", "x"),
    ],
)
def test_a_control_that_cannot_be_is_422(sandbox, method, path, body):
    assert sandbox.request(path, method, body=body).status == 422


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}]
)
def test_no_other_site_may_change_anything(sandbox, method, path, body, headers):
    assert sandbox.request(path, method, headers, body).status == 403
    # As a form would send it, without a preflight.
    assert sandbox.request(path, method, {**headers, "Content-Type": "text/plain"}, body).status in (403, 422)


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
def test_only_loopback_names_are_answered(sandbox, method, path, body):
    assert sandbox.request(path, method, {"Host": "evil.example"}, body).status == 421


@pytest.mark.slow
def test_signs_and_templates_are_added_and_outlive_the_process(start_sandbox, tmp_path):
    with start_sandbox(tmp_path) as running:
        assert running.request("/control/sms/signs", "POST", body={"name": "新签名"}).status == 201
        template = {"code": "SMS_7", "content": "好${a}", "name": "新"}
        assert running.request("/control/sms/templates", "POST", body=template).status == 201
        assert running.stop(signal.SIGKILL) == -signal.SIGKILL
    with start_sandbox(tmp_path) as running:
        account = running.request("/control/sms/account").json()
        assert "新签名" in [sign["name"] for sign in account["signs"]]
        request = models.SendSmsRequest(
            phone_numbers="13800000001", sign_name="新签名", template_code="SMS_7", template_param='{"a": "x"}'
        )
        assert running.sms().send_sms(request).body.code == "OK"
        assert running.request("/api/sms").json()["items"][0]["content"] == "【新签名】好x"


@pytest.mark.slow
def test_sms_survive_a_kill_and_only_the_newest_are_kept(start_sandbox, tmp_path):
    with start_sandbox(tmp_path, "--keep-sms", "3") as running:
        for number in range(5):
            running.send_sms(f"1380000000{number}")
        before = running.request("/api/sms").json()
        assert [item["phone"][-1] for item in before["items"]] == ["4", "3", "2"]
        assert running.stop(signal.SIGKILL) == -signal.SIGKILL
    with start_sandbox(tmp_path, "--keep-sms", "3") as running:
        assert running.request("/api/sms").json() == before
        running.send_sms("13800000009")
        assert running.request("/api/sms").json()["total_entries"] == 3
        # The number that has given way is not found by its number either.
        assert _details(running, "13800000002") == []


@pytest.mark.slow
def test_a_full_disk_refuses_the_sms_and_leaves_nothing_of_it(start_sandbox, tmp_path):
    # RLIMIT_FSIZE stands for the full disk: the kernel refuses to write more than this into one file.
    with start_sandbox(tmp_path, prefix=("prlimit", "--fsize=3000")) as running:
        request = models.SendSmsRequest(
            phone_numbers=",".join(f"1380000000{n}" for n in range(2)),
            sign_name=SIGN_NAME,
            template_code=TEMPLATE_CODE,
            template_param='{"code": "1"}',
        )
        codes = [running.sms().send_sms(request).body.code for _ in range(8)]
        assert set(codes) == {"OK", "isp.SYSTEM_ERROR"}
        kept = running.request("/api/sms").json()["total_entries"]
        assert kept == 2 * codes.count("OK")
        assert running.request("/control/sms/receipts", "POST", body={"to": "x"}).json() == {"settled": 0}
    with start_sandbox(tmp_path) as running:
        assert running.request("/api/sms").json()["total_entries"] == kept


@pytest.mark.slow
def test_the_environment_sets_the_key(start_sandbox, tmp_path, monkeypatch):
    with start_sandbox(tmp_path) as running:
        client = running.sms()
        assert running.stop() == 0
    monkeypatch.setenv("PUSH_SANDBOX_SMS_KEY_ID", "LTAI5tOther")
    monkeypatch.setenv("PUSH_SANDBOX_SMS_KEY_SECRET", "other")
    with start_sandbox(tmp_path) as running:
        running.send_sms()
        client._endpoint = f"127.0.0.1:{running.sms_port}"
        with pytest.raises(Exception, match="Specified access key is not found"):
            client.query_sms_sign_list(models.QuerySmsSignListRequest())
