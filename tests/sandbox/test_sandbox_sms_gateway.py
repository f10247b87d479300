"""The SMS gateway, called by Aliyun's own SDK over HTTP."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from alibabacloud_dysmsapi20170525 import models
from alibabacloud_dysmsapi20170525.client import Client
from alibabacloud_tea_openapi.exceptions import ClientException, ServerException, ThrottlingException
from alibabacloud_tea_openapi.utils_models import Config
from darabonba.exceptions import UnretryableException
from darabonba.runtime import RuntimeOptions

from sandbox.sms_account import SIGN_NAME, TEMPLATE_CODE, Sign, Template
from sandbox.sms_faults import NUMBERS, Fault
from sandbox.sms_gateway import SmsGateway
from sandbox.sms_http import in_thread
from sandbox.sms_store import CHINA, SmsStore

KEY, SECRET = "LTAI5tTest", "a-secret-of-the-test"


class Clock:
    """A clock that is set."""

    def __init__(self):
        self.offset = timedelta()

    def __call__(self):
        return datetime.now(UTC) + self.offset


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def gateway(tmp_path, clock):
    with SmsStore(tmp_path, clock=clock) as store:
        yield SmsGateway(store, {KEY: SECRET})


@pytest.fixture
def address(gateway):
    with in_thread(gateway) as served:
        yield served


def _client(address, key=KEY, secret=SECRET, **options):
    return Client(Config(access_key_id=key, access_key_secret=secret, endpoint=address, protocol="http", **options))


@pytest.fixture
def client(address):
    return _client(address)


def _send(
    client, phone="13800000001", sign=SIGN_NAME, template=TEMPLATE_CODE, param='{"code": "1234"}', patience=20, **more
):
    request = models.SendSmsRequest(
        phone_numbers=phone, sign_name=sign, template_code=template, template_param=param, **more
    )
    return client.send_sms_with_options(
        request, RuntimeOptions(read_timeout=patience * 1000, connect_timeout=20_000)
    ).body


def _batch(client, phones, signs=None, params=None, template="SMS_100000001", **more):
    signs = [SIGN_NAME] * len(phones) if signs is None else signs
    params = [{"name": f"n{i}", "order": f"o{i}"} for i in range(len(phones))] if params is None else params
    request = models.SendBatchSmsRequest(
        phone_number_json=phones if isinstance(phones, str) else json.dumps(phones),
        sign_name_json=signs if isinstance(signs, str) else json.dumps(signs),
        template_code=template,
        template_param_json=params if isinstance(params, str) else json.dumps(params),
        **more,
    )
    return client.send_batch_sms(request).body


def _details(client, phone="13800000001", date=None, size=50, page=1, biz_id=None):
    date = date or f"{datetime.now(CHINA):%Y%m%d}"
    request = models.QuerySendDetailsRequest(
        phone_number=phone, send_date=date, page_size=size, current_page=page, biz_id=biz_id
    )
    return client.query_send_details(request).body


def _rows(body):
    return body.sms_send_detail_dtos.sms_send_detail_dto


# --- what it does -----------------------------------------------------------------------------------


def test_one_sms_is_taken_shown_and_received(client, gateway):
    sent = _send(client, phone="+8613800000001", param='{"code": "1 +~&=%"}', out_id="order-7")
    assert (sent.code, sent.message) == ("OK", "OK")
    assert sent.request_id
    (sms,), total = gateway.store.find()
    assert total == 1
    assert (sms.phone, sms.out_id, sms.biz_id) == ("13800000001", "order-7", sent.biz_id)
    assert sms.content.startswith("【阿里云短信测试】")
    assert "验证码是：1 +~&=%，" in sms.content
    details = _details(client, phone="+8613800000001", biz_id=sent.biz_id)
    assert details.total_count == "1"
    (row,) = _rows(details)
    assert (row.phone_num, row.send_status, row.err_code) == ("13800000001", 3, "DELIVERED")
    assert (row.out_id, row.template_code, row.content) == ("order-7", TEMPLATE_CODE, sms.content)
    assert datetime.strptime(row.send_date, "%Y-%m-%d %H:%M:%S").replace(tzinfo=CHINA) == sms.sent_at.replace(
        microsecond=0
    )
    assert row.receive_date >= row.send_date


def test_one_call_sends_to_a_thousand(client, gateway):
    phones = [f"138{number:08}" for number in range(1000)]
    assert _send(client, phone=",".join(phones)).code == "OK"
    assert gateway.counts == {"SendSms": 1}
    assert [sms.phone for sms in reversed(gateway.store.find(limit=1000)[0])] == phones
    assert _send(client, phone=",".join([*phones, "13900000000"])).code == "isv.MOBILE_COUNT_OVER_LIMIT"
    assert gateway.store.find()[1] == 1000


def test_a_batch_gives_each_number_its_own_text(client, gateway):
    sent = _batch(client, ["13800000001", "8613800000002"], signs=[SIGN_NAME, "推送平台"], out_id="x")
    assert sent.code == "OK"
    second, first = gateway.store.find()[0]
    assert (first.phone, first.content) == ("13800000001", "【阿里云短信测试】尊敬的n0，您的订单o0已发货。")
    assert (second.phone, second.content) == ("13800000002", "【推送平台】尊敬的n1，您的订单o1已发货。")
    assert {first.biz_id, second.biz_id} == {sent.biz_id}
    assert [row.out_id for row in _rows(_details(client, "13800000002", biz_id=sent.biz_id))] == ["x"]


def test_two_hundred_recipients_are_two_calls(client, gateway):
    for start in (0, 100):
        assert _batch(client, [f"138{number:08}" for number in range(start, start + 100)]).code == "OK"
    assert gateway.counts == {"SendBatchSms": 2}
    assert [(call.action, call.numbers, call.code) for call in gateway.calls] == [("SendBatchSms", 100, "OK")] * 2


def test_a_template_without_parameters_takes_none(client, gateway):
    assert _send(client, template="SMS_100000002", param=None).code == "OK"
    request = models.SendBatchSmsRequest(
        phone_number_json='["13800000001"]', sign_name_json=f'["{SIGN_NAME}"]', template_code="SMS_100000002"
    )
    assert client.send_batch_sms(request).body.code == "OK"
    assert gateway.store.find()[1] == 2


def test_details_are_paged_and_of_one_day_of_china(client, clock):
    clock.offset = timedelta(seconds=0)
    sent = [_send(client, out_id=str(number)).biz_id for number in range(5)]
    pages = [_details(client, size=2, page=page) for page in (1, 2, 3, 4)]
    assert [[row.out_id for row in _rows(page)] for page in pages] == [["4", "3"], ["2", "1"], ["0"], []]
    assert {page.total_count for page in pages} == {"5"}
    assert [row.out_id for row in _rows(_details(client, biz_id=sent[2]))] == ["2"]
    assert _rows(_details(client, date=f"{datetime.now(CHINA) - timedelta(days=1):%Y%m%d}")) == []
    assert _rows(_details(client, phone="13800000009")) == []


def test_a_receipt_comes_when_its_time_is_there(client, gateway, clock):
    gateway.service.receipt_seconds = 60.0
    _send(client)
    (row,) = _rows(_details(client))
    assert (row.send_status, row.err_code, row.receive_date) == (1, None, None)
    clock.offset = timedelta(seconds=61)
    (row,) = _rows(_details(client))
    assert (row.send_status, row.err_code) == (3, "DELIVERED")


def test_receipts_that_never_come_can_be_told_to(client, gateway):
    gateway.service.receipt_seconds = None
    _send(client, phone="13800000001,13800000002")
    assert gateway.store.settle("MOBILE_SEND_LIMIT", to="0002") == 1
    assert _rows(_details(client, "13800000001"))[0].send_status == 1
    (row,) = _rows(_details(client, "13800000002"))
    assert (row.send_status, row.err_code) == (2, "MOBILE_SEND_LIMIT")


def test_templates_and_signs_are_told(client, gateway):
    template = client.get_sms_template(models.GetSmsTemplateRequest(template_code="SMS_100000001")).body
    assert (template.code, template.template_status, template.template_type) == ("OK", "1", "1")
    assert template.template_content == "尊敬的${name}，您的订单${order}已发货。"
    rejected = client.get_sms_template(models.GetSmsTemplateRequest(template_code="SMS_100000005")).body
    assert rejected.template_status == "2"
    assert rejected.audit_info.reject_info
    none = client.get_sms_template(models.GetSmsTemplateRequest(template_code="SMS_9")).body
    assert none.code == "isv.SMS_TEMPLATE_ILLEGAL"
    signs = client.query_sms_sign_list(models.QuerySmsSignListRequest()).body
    assert signs.total_count == 4
    first = signs.sms_sign_list[0]
    assert (first.sign_name, first.audit_status) == (SIGN_NAME, "AUDIT_STATE_PASS")
    page = client.query_sms_sign_list(models.QuerySmsSignListRequest(page_index=2, page_size=3)).body
    assert [s.audit_status for s in page.sms_sign_list] == ["AUDIT_STATE_NOT_PASS"]
    templates = client.query_sms_template_list(models.QuerySmsTemplateListRequest(page_size=50)).body
    assert TEMPLATE_CODE in [t.template_code for t in templates.sms_template_list]
    sign = client.get_sms_sign(models.GetSmsSignRequest(sign_name=SIGN_NAME)).body
    assert (sign.code, sign.sign_status) == ("OK", 1)
    assert client.get_sms_sign(models.GetSmsSignRequest(sign_name="x")).body.code == "isv.SMS_SIGNATURE_ILLEGAL"
    gateway.store.account.add_template(Template("SMS_7", "好${a}${b}${a}"))
    gateway.store.account.add_sign(Sign("新签名"))
    assert _send(client, template="SMS_7", sign="新签名", param='{"a": "1", "b": "2"}').code == "OK"
    assert gateway.store.find()[0][0].content == "【新签名】好121"


def _missing(model, path=""):
    """Fields that the SDK's model knows and the answer lacked, or has with another type."""
    gaps = []
    annotations = type(model).__init__.__annotations__
    for name, kind in annotations.items():
        if name == "return":
            continue
        value = getattr(model, name)
        plain = {"str": str, "int": int, "bool": bool}.get(kind)
        if value is None or (plain and type(value) is not plain):
            gaps.append(f"{path}{name}: {value!r} is no {kind}")
        for child in value if isinstance(value, list) else [value]:
            if hasattr(child, "to_map"):
                gaps += _missing(child, f"{path}{name}.")
    return gaps


@pytest.mark.parametrize(
    "call",
    [
        _send,
        lambda client: _batch(client, ["13800000001"]),
        lambda client: (_send(client, out_id="x"), _details(client))[1],
        lambda client: client.get_sms_template(models.GetSmsTemplateRequest(template_code=TEMPLATE_CODE)).body,
        lambda client: client.get_sms_sign(models.GetSmsSignRequest(sign_name=SIGN_NAME)).body,
        lambda client: client.query_sms_sign_list(models.QuerySmsSignListRequest()).body,
        lambda client: client.query_sms_template_list(models.QuerySmsTemplateListRequest()).body,
    ],
    ids=["SendSms", "SendBatchSms", "QuerySendDetails", "GetSmsTemplate", "GetSmsSign", "SignList", "TemplateList"],
)
def test_every_field_that_the_sdk_reads_is_there_with_its_type(client, call):
    assert _missing(call(client)) == []


# --- what it refuses --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"sign": "没有"}, "isv.SMS_SIGNATURE_ILLEGAL"),
        ({"sign": "审核中的签名"}, "isv.SMS_SIGNATURE_ILLEGAL"),
        ({"template": "SMS_1"}, "isv.SMS_TEMPLATE_ILLEGAL"),
        ({"template": "SMS_100000004"}, "isv.SMS_TEMPLATE_ILLEGAL"),
        ({"phone": "1380000000"}, "isv.MOBILE_NUMBER_ILLEGAL"),
        ({"phone": "13800000001,"}, "isv.MOBILE_NUMBER_ILLEGAL"),
        ({"phone": "85212345678"}, "isv.MOBILE_NUMBER_ILLEGAL"),
        ({"phone": "１３８００００００01"}, "isv.MOBILE_NUMBER_ILLEGAL"),
        ({"phone": "13800000001", "template": "SMS_100000003", "param": "x"}, "isv.INVALID_JSON_PARAM"),
        ({"phone": "+8613800000001", "template": "SMS_100000003"}, "isv.DOMESTIC_NUMBER_NOT_SUPPORTED"),
        ({"phone": "x", "template": "SMS_100000003"}, "isv.MOBILE_NUMBER_ILLEGAL"),
        ({"param": "{"}, "isv.INVALID_JSON_PARAM"),
        ({"param": "[]"}, "isv.INVALID_JSON_PARAM"),
        ({"param": '{"code": 1}'}, "isv.INVALID_JSON_PARAM"),
        ({"param": "{}"}, "isv.TEMPLATE_MISSING_PARAMETERS"),
        ({"param": None}, "isv.TEMPLATE_MISSING_PARAMETERS"),
        ({"param": json.dumps({"code": "x" * 36})}, "isv.PARAM_LENGTH_LIMIT"),
        ({"out_id": "x" * 256}, "isv.INVALID_PARAMETERS"),
    ],
)
def test_an_sms_that_cannot_be_is_refused_with_its_code(client, gateway, changes, code):
    assert _send(client, **changes).code == code
    assert len(gateway.store) == 0


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"phones": [f"138{n:08}" for n in range(101)]}, "isv.MOBILE_COUNT_OVER_LIMIT"),
        ({"phones": []}, "isv.INVALID_PARAMETERS"),
        ({"phones": "x"}, "isv.INVALID_JSON_PARAM"),
        ({"phones": "{}"}, "isv.INVALID_JSON_PARAM"),
        ({"phones": [13800000001]}, "isv.INVALID_PARAMETERS"),
        ({"phones": ["13800000001", "x"]}, "isv.MOBILE_NUMBER_ILLEGAL"),
        ({"phones": ["13800000001"], "signs": [SIGN_NAME, SIGN_NAME]}, "isv.INVALID_PARAMETERS"),
        ({"phones": ["13800000001"], "signs": ["没有"]}, "isv.SMS_SIGNATURE_ILLEGAL"),
        ({"phones": ["13800000001"], "signs": [[]]}, "isv.INVALID_PARAMETERS"),
        ({"phones": ["13800000001"], "params": []}, "isv.INVALID_PARAMETERS"),
        ({"phones": ["13800000001"], "params": ["x"]}, "isv.INVALID_JSON_PARAM"),
        ({"phones": ["13800000001"], "params": [{"name": "x"}]}, "isv.TEMPLATE_MISSING_PARAMETERS"),
        ({"phones": ["13800000001"], "template": "SMS_1"}, "isv.SMS_TEMPLATE_ILLEGAL"),
    ],
)
def test_a_batch_that_cannot_be_is_refused_whole(client, gateway, changes, code):
    assert _batch(client, **changes).code == code
    assert len(gateway.store) == 0


def test_a_template_for_abroad_takes_numbers_from_abroad(client, gateway):
    assert _send(client, phone="85212345678,+14155550100", template="SMS_100000003").code == "OK"
    assert [sms.phone for sms in gateway.store.find()[0]] == ["14155550100", "85212345678"]
    assert len(_rows(_details(client, "85212345678"))) == 1


@pytest.mark.parametrize(
    ("phone", "mainland", "abroad"),
    [
        ("13800138000", "13800138000", "13800138000"),  # abroad, it is +1 380 013 8000
        ("8613800138000", "13800138000", "isv.DOMESTIC_NUMBER_NOT_SUPPORTED"),
        ("+8613800138000", "13800138000", "isv.DOMESTIC_NUMBER_NOT_SUPPORTED"),
        ("008613800138000", "13800138000", "isv.DOMESTIC_NUMBER_NOT_SUPPORTED"),
        ("14155552671", "14155552671", "14155552671"),
        ("+14155552671", "14155552671", "14155552671"),  # the mainland does not mind the plus
        ("0014155552671", "isv.MOBILE_NUMBER_ILLEGAL", "14155552671"),
        ("85290001234", "isv.MOBILE_NUMBER_ILLEGAL", "85290001234"),
        ("+85290001234", "isv.MOBILE_NUMBER_ILLEGAL", "85290001234"),
        ("886912345678", "isv.MOBILE_NUMBER_ILLEGAL", "886912345678"),
    ],
)
def test_numbers_as_templates_of_both_kinds_take_them(client, gateway, phone, mainland, abroad):
    for template, expected in ((TEMPLATE_CODE, mainland), ("SMS_100000003", abroad)):
        code = _send(client, phone=phone, template=template).code
        assert (gateway.store.find(limit=1)[0][0].phone if code == "OK" else code) == expected


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"size": 51}, "isv.INVALID_PARAMETERS"),
        ({"size": "x"}, "isv.INVALID_PARAMETERS"),
        ({"page": 0}, "isv.INVALID_PARAMETERS"),
        ({"date": "2026-01-31"}, "isv.INVALID_PARAMETERS"),
        ({"date": "20260231"}, "isv.INVALID_PARAMETERS"),
        ({"phone": "x"}, "isv.MOBILE_NUMBER_ILLEGAL"),
    ],
)
def test_a_query_that_cannot_be_is_refused(client, changes, code):
    assert _details(client, **changes).code == code


@pytest.mark.parametrize(
    ("call", "parameter"),
    [
        (lambda client: _send(client, phone=None), "PhoneNumbers"),
        (lambda client: _send(client, sign=None), "SignName"),
        (lambda client: _send(client, template=None), "TemplateCode"),
        (lambda client: client.send_batch_sms(models.SendBatchSmsRequest()), "PhoneNumberJson"),
        (lambda client: client.query_send_details(models.QuerySendDetailsRequest(phone_number="1")), "SendDate"),
        (lambda client: client.get_sms_template(models.GetSmsTemplateRequest()), "TemplateCode"),
        (lambda client: client.get_sms_sign(models.GetSmsSignRequest()), "SignName"),
    ],
)
def test_a_missing_parameter_is_an_http_error(client, call, parameter):
    with pytest.raises(ClientException) as refused:
        call(client)
    assert refused.value.status_code == 400
    assert refused.value.code == f"Missing{parameter}"
    assert refused.value.data["Recommend"].startswith("https://api.aliyun.com/troubleshoot")
    assert refused.value.data["RequestId"] in refused.value.message


def test_an_action_that_is_not_served_is_not_found(client, gateway):
    with pytest.raises(ClientException) as refused:
        client.delete_sms_sign(models.DeleteSmsSignRequest(sign_name="x"))
    assert (refused.value.status_code, refused.value.code) == (404, "InvalidAction.NotFound")
    assert gateway.counts == {"": 1}


@pytest.mark.parametrize(
    ("key", "secret", "code", "status"),
    [
        ("LTAI5tNobody", SECRET, "InvalidAccessKeyId.NotFound", 404),
        (KEY, "changed", "SignatureDoesNotMatch", 400),
    ],
)
def test_a_wrong_key_or_secret_is_refused(address, gateway, key, secret, code, status):
    with pytest.raises(ClientException) as refused:
        _send(_client(address, key, secret))
    assert (refused.value.code, refused.value.status_code) == (code, status)
    assert len(gateway.store) == 0
    (call,) = gateway.calls
    assert (call.action, call.code, call.status, call.numbers) == ("SendSms", code, status, 0)


@pytest.mark.parametrize("minutes", [16, -16])
def test_a_clock_that_is_wrong_is_refused(client, clock, minutes):
    clock.offset = timedelta(minutes=minutes)
    with pytest.raises(ClientException) as refused:
        _send(client)
    assert refused.value.code == "InvalidTimeStamp.Expired"


class Tap:
    """Hands connections on to the gateway, and keeps what the client sent."""

    def __init__(self, address):
        host, port = address.split(":")
        self.sent = b""
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.thread = threading.Thread(target=self._serve, args=(host, int(port)), daemon=True)
        self.thread.start()

    def _serve(self, host, port):
        client, _ = self.listener.accept()
        with client, socket.create_connection((host, port)) as server:
            while b"\r\n\r\n" not in self.sent:
                block = client.recv(65536)
                self.sent += block
                server.sendall(block)
            client.sendall(server.recv(65536))


@pytest.fixture
def recorded(address, gateway):
    """A request of the SDK, as it was on the wire, that the gateway has taken."""
    tap = Tap(address)
    try:
        assert _send(_client(tap.address)).code == "OK"
    finally:
        tap.thread.join(5)
        tap.listener.close()
    assert len(gateway.store) == 1
    return tap.sent


def _replay(address, request):
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(request)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return answer.status, json.loads(answer.read())["Code"]


def test_a_replayed_request_is_refused(address, gateway, recorded):
    assert _replay(address, recorded) == (400, "SignatureNonceUsed")
    assert len(gateway.store) == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"PhoneNumbers=13800000001", b"PhoneNumbers=13800000002"),
        (b"x-acs-action: SendSms", b"x-acs-action: SendBatchSms"),
        (b"Content-Length: 0", b"Content-Length: 1"),
        (b"x-acs-signature-nonce: ", b"x-acs-signature-nonce: 0"),
    ],
)
def test_a_request_changed_on_the_way_is_refused(address, gateway, recorded, old, new):
    assert recorded.count(old) == 1, recorded
    changed = recorded.replace(old, new) + (b"x" if b"Length: 1" in new else b"")
    assert _replay(address, changed) == (400, "SignatureDoesNotMatch")
    assert len(gateway.store) == 1


# --- how it misbehaves ------------------------------------------------------------------------------


def test_a_code_is_answered_as_often_as_told(client, gateway):
    gateway.faults.add(Fault("refuse", "SendSms", times=2, code="isv.BUSINESS_LIMIT_CONTROL", message="触发流控"))
    assert _details(client).code == "OK"
    answers = [_send(client) for _ in range(3)]
    assert [answer.code for answer in answers] == ["isv.BUSINESS_LIMIT_CONTROL"] * 2 + ["OK"]
    assert (answers[0].message, answers[0].biz_id) == ("触发流控", None)
    assert len(gateway.store) == 1
    assert [call.fault for call in gateway.calls] == ["", "refuse", "refuse", ""]


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (400, "Throttling.User", ClientException),
        (403, "Forbidden.RAM", ClientException),
        (503, "ServiceUnavailable", ServerException),
    ],
)
def test_a_code_is_answered_with_any_status(client, gateway, status, code, error):
    gateway.faults.add(Fault("refuse", code=code, status=status))
    with pytest.raises(error) as refused:
        _send(client)
    assert (refused.value.code, refused.value.status_code) == (code, status)


def test_a_throttled_call_says_when_to_come_again(client, gateway):
    gateway.faults.add(Fault("refuse", code="Throttling", status=429, retry_after=1500))
    with pytest.raises(ThrottlingException) as refused:
        _send(client)
    assert (refused.value.code, refused.value.retry_after) == ("Throttling", 1500)


@pytest.mark.parametrize("status", [500, 503, 200])
def test_an_answer_need_not_be_json(client, gateway, status):
    gateway.faults.add(Fault("http", status=status, body="<h1>Bad Gateway</h1>"))
    with pytest.raises(UnretryableException, match="Failed to parse the value as json format"):
        _send(client)
    assert len(gateway.store) == 0
    assert _send(client).code == "OK"


def test_a_slow_answer_comes_late_and_the_sms_is_taken_at_once(client, gateway):
    gateway.faults.add(Fault("slow", seconds=0.3))
    began = time.monotonic()
    assert _send(client).code == "OK"
    assert time.monotonic() - began >= 0.3


@pytest.mark.parametrize(
    ("fault", "taken"),
    [(Fault("hang"), 0), (Fault("slow", seconds=30.0), 1), (Fault("drop"), 0), (Fault("drop_after"), 1)],
    ids=lambda value: value.kind if isinstance(value, Fault) else "",
)
def test_an_answer_may_never_come(client, gateway, fault, taken):
    gateway.faults.add(fault)
    with pytest.raises(UnretryableException):
        _send(client, patience=1)
    assert len(gateway.store) == taken
    (call,) = gateway.calls
    assert (call.numbers, call.fault) == (taken, fault.kind)
    assert _send(client).code == "OK"


def test_a_slow_client_holds_up_nobody_else(address, gateway):
    gateway.faults.add(Fault("hang"))
    with ThreadPoolExecutor(2) as pool:
        stuck = pool.submit(_send, _client(address), patience=1)
        while not gateway.calls:
            time.sleep(0.01)
        assert _send(_client(address)).code == "OK"
        with pytest.raises(UnretryableException):
            stuck.result()


@pytest.mark.parametrize(
    ("prefix", "code", "status", "error"),
    [
        ("1990001", "OK", 2, "MOBILE_NOT_ON_SERVICE"),
        ("1990002", "OK", 2, "MOBILE_IN_BLACK"),
        ("1990003", "OK", 1, None),
        ("1990004", "isv.MOBILE_NUMBER_ILLEGAL", None, None),
        ("1990005", "isv.BUSINESS_LIMIT_CONTROL", None, None),
        ("1990006", "isp.SYSTEM_ERROR", None, None),
        ("1990009", "OK", 3, "DELIVERED"),
    ],
)
def test_some_numbers_go_wrong_on_purpose(client, prefix, code, status, error):
    assert _batch(client, ["13800000001", f"{prefix}0042"]).code == code
    rows = _rows(_details(client, f"{prefix}0042"))
    assert [(row.send_status, row.err_code) for row in rows] == ([] if status is None else [(status, error)])
    assert len(_rows(_details(client))) == (status is not None)


def test_a_number_that_cuts_the_connection_is_sent_to(client, gateway):
    with pytest.raises(UnretryableException):
        _send(client, phone="19900080001")
    assert len(gateway.store) == 1


def test_the_slow_number_is_answered_late(address, gateway):
    with pytest.raises(UnretryableException):  # its client waits one second
        _send(_client(address), phone="19900070001", patience=1)
    assert len(gateway.store) == 1
    assert NUMBERS["1990007"].fault.seconds > 1


# --- HTTP -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n" + b"x" * 4_300_000, 413),
        (b"GET /?" + b"x" * 600_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 413),
        (b"GET /other HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 404),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /?%FF=%E4 HTTP/1.1\r\nHost: \xff\r\nAuthorization: \xe4\r\n\r\n", 400),
    ],
)
def test_what_is_no_request_of_the_api_is_answered_in_order(address, client, request_, status):
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            connection.sendall(request_)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert answer.status == status
    assert _send(client).code == "OK"


def test_pipelined_requests_are_answered_in_their_order(address, gateway):
    host, port = address.split(":")
    request = b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n"
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(b"".join(request % number for number in range(100)) + b"x\r\n\r\n")
        received = b""
        while block := connection.recv(65536):
            received += block
    assert received.count(b"HTTP/1.1 404 Not Found") == 100
    assert received.count(b"HTTP/1.1 400 Bad Request") == 1
    assert sum(gateway.counts.values()) == 100


@pytest.mark.slow
def test_a_client_that_reads_nothing_is_read_no_further(address, gateway, client):
    host, port = address.split(":")
    request = b"GET /x HTTP/1.1\r\nHost: " + b"h" * 60_000 + b"\r\n\r\n"  # the answer repeats the host
    with socket.create_connection((host, int(port)), timeout=3) as connection:
        with pytest.raises(TimeoutError):
            connection.sendall(request * 700)
        assert sum(gateway.counts.values()) < 500
        assert _send(client).code == "OK"


# --- what stays -------------------------------------------------------------------------------------


def test_what_was_taken_outlives_the_process(client, gateway, tmp_path):
    gateway.service.receipt_seconds = None
    _send(client, phone="13800000001,13800000002", out_id="x")
    gateway.store.settle("DELIVERED", to="0001")
    gateway.store.account.add_template(Template("SMS_7", "好"))
    before = gateway.store.find()
    gateway.store.__exit__()
    with SmsStore(tmp_path) as store:
        assert store.find() == before
        assert "SMS_7" in store.account.templates
        assert [sms.state(datetime.now(UTC)) for sms in store.find()[0]] == ["waiting", "delivered"]
