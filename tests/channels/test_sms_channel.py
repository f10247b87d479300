"""The SMS channel against the sandbox's gateway, by Aliyun's own SDK: each recipient's outcome, and nobody twice."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from airflow.sdk import Connection

from push_provider.channels.base import Delivery, Job, Outcome, Result
from push_provider.channels.codes import Fault
from push_provider.channels.reading import parse
from push_provider.channels.sms.aliyun_account import aliyun_config
from push_provider.channels.sms.aliyun_client import AliyunClient
from push_provider.channels.sms.aliyun_codes import CODES, meaning
from push_provider.channels.sms.aliyun_config import TemplateKind
from push_provider.channels.sms.calls import SmsCalls
from push_provider.channels.sms.content import Parameters
from push_provider.channels.sms.numbers import Numbers
from push_provider.channels.sms.out_id import holds
from push_provider.channels.sms.sender import SmsChannel, SmsSender
from push_provider.exceptions import ConfigurationError, ContentError, ProviderUnavailable
from push_provider.rendering import compile_content

JOB = Job(7, "0123456789abcdef" * 2)
SENT, FAILED, RETRY, UNKNOWN = Result.SENT, Result.FAILED, Result.RETRY, Result.UNKNOWN


def connection(aliyun: Any, **extra: Any) -> Connection:
    fields = aliyun.fields(**extra)
    return Connection(conn_id="sms", **{**fields, "extra": json.dumps(fields["extra"])})


def content(**fields: Any) -> Parameters:
    task = {"name": "n", "channel": "sms", "schedule": {"kind": "manual"}, **fields}
    compiled = compile_content(parse(task), {})
    assert isinstance(compiled, Parameters)
    return compiled


def people(count: int, first: int = 1) -> list[Delivery]:
    return [
        Delivery(number, f"138{number:08d}", {"name": f"n{number}", "order": f"o{number}"})
        for number in range(first, first + count)
    ]


def test_a_recipient_that_nobody_thought_of_fails_alone(aliyun: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    render = Parameters.render

    def broken(self: Parameters, to: str, variables: Any) -> dict[str, str]:
        return render(self, to, {"name": 1 / (int(to) - 13800000002), **variables})

    monkeypatch.setattr(Parameters, "render", broken)
    outcomes = send(aliyun, people(3))
    assert [(o.result, o.code) for o in outcomes] == [(SENT, None), (FAILED, "content"), (SENT, None)]
    assert outcomes[1].text == "ZeroDivisionError: division by zero"


def test_messages_are_made_while_others_are_on_their_way(aliyun: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    render = Parameters.render
    seen = []

    def slow(self: Parameters, to: str, variables: Any) -> dict[str, str]:
        if to == "13800000250":
            seen.append(aliyun.calls)
        return render(self, to, variables)

    monkeypatch.setattr(Parameters, "render", slow)
    assert results(send(aliyun, people(300))) == [SENT] * 300
    assert seen[0]["SendBatchSms"] >= 1


def own(to: str, number: int = 1, **variables: Any) -> Delivery:
    return Delivery(number, to, {"name": "n", "order": "o", **variables})


def send(aliyun: Any, deliveries: Sequence[Delivery], chunk: int = 1000, **extra: Any) -> list[Outcome]:
    """Send chunk after chunk, as the operator does; the outcomes in the order of their deliveries."""
    outcomes: list[Outcome] = []
    with SmsChannel().open(connection(aliyun, **extra), content(), JOB) as sender:
        for at in range(0, len(deliveries), chunk):
            outcomes += sender.send(deliveries[at : at + chunk])
    return sorted(outcomes)


def sleepless(aliyun: Any, slept: list[float], *, last: bool = False) -> SmsSender:
    """A sender that notes its waits instead of waiting."""
    client = AliyunClient(aliyun_config(connection(aliyun)))
    calls = SmsCalls(client, "推送平台", aliyun.TEMPLATE, JOB._replace(last=last), slept.append)
    return SmsSender(calls, content(), Numbers(aliyun.TEMPLATE, TemplateKind.MAINLAND, "as the test says"), 4)


def results(outcomes: Sequence[Outcome]) -> list[Result]:
    return [outcome.result for outcome in outcomes]


# --- as it should be ------------------------------------------------------------------------------------


def test_two_hundred_with_their_own_parameters_are_two_calls(aliyun: Any) -> None:
    outcomes = send(aliyun, people(200))
    assert results(outcomes) == [SENT] * 200
    assert aliyun.calls == {"SendBatchSms": 2}
    assert [(sms.phone, sms.content) for sms in aliyun.sent] == [
        (f"138{n:08d}", f"【推送平台】尊敬的n{n}，您的订单o{n}已发货。") for n in range(1, 201)
    ]
    by_phone = {sms.phone: sms for sms in aliyun.sent}
    for delivery, outcome in zip(people(200), outcomes, strict=True):
        sms = by_phone[delivery.to]
        assert outcome.provider_id == sms.biz_id
        assert holds(sms.out_id, JOB.token, delivery.id)


def test_one_is_a_call_of_send_sms(aliyun: Any) -> None:
    assert results(send(aliyun, people(1))) == [SENT]
    assert aliyun.calls == {"SendSms": 1}


@pytest.mark.parametrize(
    ("count", "calls"), [(2, {"SendBatchSms": 1}), (100, {"SendBatchSms": 1}), (101, {"SendBatchSms": 1, "SendSms": 1})]
)
def test_calls_by_count(aliyun: Any, count: int, calls: dict[str, int]) -> None:
    assert results(send(aliyun, people(count))) == [SENT] * count
    assert aliyun.calls == calls


def test_the_template_is_asked_for_once(aliyun: Any) -> None:
    send(aliyun, people(500), chunk=100)
    assert aliyun.gateway.counts["GetSmsTemplate"] == 1


def test_a_number_that_comes_twice_stands_in_two_calls(aliyun: Any) -> None:
    deliveries = [own("13800000001", n, order=f"o{n}") for n in (1, 2, 3)] + [own("13900000001", 4)]
    assert results(send(aliyun, deliveries)) == [SENT] * 4
    assert Counter(sms.phone for sms in aliyun.sent) == {"13800000001": 3, "13900000001": 1}
    for delivery in deliveries:
        of = [sms for sms in aliyun.sent if holds(sms.out_id, JOB.token, delivery.id) and sms.phone == delivery.to]
        assert [sms.content for sms in of] == [f"【推送平台】尊敬的n，您的订单{delivery.variables['order']}已发货。"]


def test_ids_far_apart_stand_in_calls_of_their_own(aliyun: Any) -> None:
    deliveries = [own("13800000001", 1), own("13800000002", 1024), own("13800000003", 1025), own("13800000004", 9999)]
    assert results(send(aliyun, deliveries)) == [SENT] * 4
    assert aliyun.calls == {"SendBatchSms": 1, "SendSms": 2}


def test_signature_and_template_of_the_task_win(aliyun: Any) -> None:
    own_content = content(sign_name="阿里云短信测试", template_code="SMS_154950909", content='{"code": "{{ code }}"}')
    with SmsChannel().open(connection(aliyun, sign_name="", template_code=""), own_content, JOB) as sender:
        assert results(sender.send([Delivery(1, "13800000001", {"code": '12"34'})])) == [SENT]
    assert '验证码是：12"34，' in aliyun.sent[0].content


# --- wrong content, wrong numbers: before any call --------------------------------------------------------


def test_a_wrong_number_and_missing_parameters_fail_alone(aliyun: Any) -> None:
    bad = [Delivery(901, "1380000", {"name": "n", "order": "o"}), Delivery(902, "13800000902", {"name": "n"})]
    outcomes = send(aliyun, [*people(3), *bad])
    assert [(o.result, o.code) for o in outcomes] == [(SENT, None)] * 3 + [(FAILED, "number"), (FAILED, "content")]
    assert "'order' is missing" in (outcomes[-1].text or "")
    assert aliyun.calls == {"SendBatchSms": 1}


# --- numbers and templates of two kinds --------------------------------------------------------------------

MAINLAND, ABROAD = "SMS_100000001", "SMS_100000003"
NUMBERS = ["13800138000", "+14155552671", "+13800138000", "+85290001234", "+85366001234", "+886912345678"]


def by_kind(aliyun: Any, template: str, numbers: Sequence[str] = NUMBERS, **extra: Any) -> dict[str, Outcome]:
    deliveries = [own(number, position, code="7") for position, number in enumerate(numbers, 1)]
    outcomes = send(aliyun, deliveries, template_code=template, **extra)
    return dict(zip(numbers, outcomes, strict=True))


def test_a_template_for_the_mainland_is_for_its_numbers_alone(aliyun: Any) -> None:
    outcomes = by_kind(aliyun, MAINLAND)
    assert [(number, o.code) for number, o in outcomes.items() if o.result is FAILED] == [
        (number, "number") for number in NUMBERS[1:]
    ]
    assert outcomes["+85290001234"].text == (
        "+85290001234 is not a number of mainland China (nor are those of Hong Kong, Macao and Taiwan), and template "
        "'SMS_100000001' is for mainland China (as Aliyun says); use an international one for such numbers"
    )
    assert [sms.phone for sms in aliyun.sent] == ["13800138000"]
    assert aliyun.calls == {"SendSms": 1}


def test_an_international_template_is_for_all_other_numbers(aliyun: Any) -> None:
    outcomes = by_kind(aliyun, ABROAD)
    assert {number for number, outcome in outcomes.items() if outcome.result is FAILED} == {"13800138000"}
    assert outcomes["13800138000"].text == (
        "13800138000 is a number of mainland China, and template 'SMS_100000003' is international (as Aliyun says); "
        "use one for mainland China for such numbers"
    )
    assert [f"+{sms.phone}" for sms in aliyun.sent] == NUMBERS[1:]  # each with its country code
    assert aliyun.calls == {"SendBatchSms": 1}


@pytest.mark.parametrize(
    ("number", "dialled"),
    [
        ("13800138000", "8613800138000"),  # which an international template refuses, instead of +1 380 013 8000
        ("+14155552671", "14155552671"),
        ("+85290001234", "85290001234"),
    ],
)
def test_every_number_is_given_with_its_country_code(number: str, dialled: str) -> None:
    assert Numbers.dialled(number) == dialled


DENIED = {"code": "isp.RAM_PERMISSION_DENY"}


@pytest.mark.parametrize(
    ("template", "kind", "sent", "why"),
    [
        (MAINLAND, "", NUMBERS[:1], "as Aliyun does not say: isp.RAM_PERMISSION_DENY; else set field"),
        (MAINLAND, "mainland", NUMBERS[:1], "as field 'template_kind' of connection 'sms' says"),
        (ABROAD, "international", NUMBERS[1:], "as field 'template_kind' of connection 'sms' says"),
    ],
)
def test_where_aliyun_may_not_be_asked_the_configuration_says_the_kind(
    aliyun: Any, template: str, kind: str, sent: list[str], why: str
) -> None:
    aliyun.fail("refuse", action="GetSmsTemplate", **DENIED)
    outcomes = by_kind(aliyun, template, template_kind=kind)
    assert [number for number, outcome in outcomes.items() if outcome.result is SENT] == sent
    assert all(why in (outcome.text or "") for outcome in outcomes.values() if outcome.result is FAILED)
    assert len(aliyun.sent) == len(sent)


def test_what_aliyun_says_of_a_template_wins_over_the_configuration(aliyun: Any) -> None:
    outcomes = by_kind(aliyun, MAINLAND, template_kind="international")
    assert [number for number, outcome in outcomes.items() if outcome.result is SENT] == NUMBERS[:1]


def test_a_template_of_unknown_kind_reaches_no_stranger(aliyun: Any) -> None:
    aliyun.fail("refuse", action="GetSmsTemplate", **DENIED)
    outcomes = by_kind(aliyun, ABROAD)  # taken for one of the mainland
    assert results(list(outcomes.values())) == [FAILED] * 6
    assert outcomes["13800138000"].code == "isv.DOMESTIC_NUMBER_NOT_SUPPORTED"
    assert aliyun.sent == []


@pytest.mark.parametrize(
    "fault",
    [{"code": "Throttling.User", "status": 400}, {"code": "isp.GATEWAY_ERROR"}, {"code": "Made.Up", "status": 503}],
)
def test_while_aliyun_has_no_time_to_say_the_kind_numbers_abroad_wait(aliyun: Any, fault: dict[str, Any]) -> None:
    aliyun.fail("refuse", action="GetSmsTemplate", **fault)
    outcomes = by_kind(aliyun, ABROAD, NUMBERS[1:])
    assert results(list(outcomes.values())) == [RETRY] * 5
    assert {outcome.retry_after for outcome in outcomes.values()} == {None}
    assert aliyun.calls == {}
    assert results(list(by_kind(aliyun, ABROAD, NUMBERS[1:]).values())) == [SENT] * 5  # by the next try


@pytest.mark.parametrize("to", ["+8613800138000", "8613800138000", "+861088888888", "1380000"])
def test_what_is_not_in_its_normal_form_is_not_sent(aliyun: Any, to: str) -> None:
    for template in (MAINLAND, ABROAD):
        (outcome,) = by_kind(aliyun, template, [to]).values()
        assert (outcome.result, outcome.code) == (FAILED, "number")
    assert aliyun.calls == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"name": "n"}', r"content: lacks 'order'; template of the configuration takes 'name', 'order'"),
        ('{"name": "n", "order": "o", "code": "1"}', r"content: has 'code', which the template has not; .*"),
        ("{}", r"content: lacks 'name', 'order'; .*"),
    ],
)
def test_content_that_does_not_fit_the_template_is_refused_before_anything_is_sent(
    aliyun: Any, text: str, message: str
) -> None:
    with pytest.raises(ContentError, match=rf"^{message}$"):
        SmsChannel().open(connection(aliyun), content(content=text), JOB)
    assert aliyun.calls == {}


@pytest.mark.parametrize("code", ["isp.RAM_PERMISSION_DENY", "Forbidden.RAM", "NoPermission"])
def test_where_the_account_may_not_ask_the_template_is_not_checked(aliyun: Any, code: str) -> None:
    aliyun.fail("refuse", action="GetSmsTemplate", code=code, status=403 if code != "isp.RAM_PERMISSION_DENY" else 200)
    assert results(send(aliyun, people(2))) == [SENT] * 2


@pytest.mark.parametrize("fault", [{"code": "Throttling.User", "status": 400}, {"code": "isp.SYSTEM_ERROR"}])
def test_a_check_that_has_no_time_keeps_nothing_from_going(aliyun: Any, fault: dict[str, Any]) -> None:
    aliyun.fail("refuse", action="GetSmsTemplate", **fault)
    assert results(send(aliyun, people(2))) == [SENT] * 2


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"template_code": "SMS_404"}, "isv.SMS_TEMPLATE_ILLEGAL"),
        ({"template_code": "SMS_100000004"}, r"'SMS_100000004' is not approved \(status 0\)"),
        ({"template_code": ""}, "field 'template_code' is empty, and the push task names none"),
        ({"sign_name": ""}, "field 'sign_name' is empty, and the push task names none"),
        ({"password": "another"}, "SignatureDoesNotMatch .*; correct the access key id"),
        ({"login": "LTAI-nobody"}, "InvalidAccessKeyId.NotFound .*; correct the access key id"),
    ],
)
def test_what_is_wrong_with_the_configuration_is_said_before_anything_is_sent(
    aliyun: Any, extra: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message) as refused:
        SmsChannel().open(connection(aliyun, **extra), content(), JOB)
    assert "another" not in str(refused.value)
    assert aliyun.calls == {}


# --- every code ---------------------------------------------------------------------------------------------


def _status(code: str) -> int:
    return 200 if code.startswith("is") or code.isupper() else 500 if code == "InternalError" else 400


@pytest.mark.parametrize("code", [*CODES, "Throttling", "Throttling.Api", "Forbidden.RAM", "isv.NEW_CODE", "Made.Up"])
def test_every_code_for_one_recipient(aliyun: Any, code: str) -> None:
    slept: list[float] = []
    aliyun.fail("refuse", action="SendSms", times=None, code=code, message="says Aliyun", status=_status(code))
    with sleepless(aliyun, slept) as sender:
        match meaning(code).fault:
            case Fault.ACCOUNT:
                with pytest.raises(ConfigurationError, match=rf"'sms': Aliyun refuses the call with {code} "):
                    sender.send(people(1))
                return
            case fault:
                (outcome,) = sender.send(people(1))
    expected = {Fault.RECIPIENT: FAILED, Fault.BUSY: RETRY, Fault.DOUBT: UNKNOWN}[fault]
    assert (outcome.result, outcome.code, outcome.retry_after) == (expected, code, None)
    assert "says Aliyun" in (outcome.text or "")
    assert aliyun.calls["SendSms"] == (3 if fault is Fault.BUSY else 1)
    assert len(slept) == (2 if fault is Fault.BUSY else 0)
    assert aliyun.sent == []


def test_every_code_has_a_source_and_what_stops_an_execution_a_remedy() -> None:
    for code, says in CODES.items():
        assert says.source.startswith("https://"), code
        assert bool(says.remedy) == (says.fault is Fault.ACCOUNT), code
        assert (says.wait is not None) == (says.fault is Fault.BUSY), code


@pytest.mark.parametrize(
    ("message", "fault", "wait"),
    [
        ("触发分钟级流控Permits:1", Fault.BUSY, 60.0),
        ("触发小时级流控Permits:5", Fault.BUSY, 3600.0),
        ("触发天级流控Permits:10", Fault.RECIPIENT, None),
        ("触发号码天级流控Permits:40", Fault.RECIPIENT, None),
        ("", Fault.RECIPIENT, None),
    ],
)
def test_how_often_a_number_may_be_sent_to(message: str, fault: Fault, wait: float | None) -> None:
    says = meaning("isv.BUSINESS_LIMIT_CONTROL", message)
    assert (says.fault, says.wait, says.one) == (fault, wait, True)


@pytest.mark.parametrize(
    ("message", "one"),
    [
        ("请检查模板内容与模板参数是否匹配", True),
        ("模板变量缺少对应参数值", True),
        ("The template parameters do not match the template", True),
        ("该账号下找不到对应模板", False),
        ("模板不合法(不存在或被拉黑)", False),
        ("", False),
    ],
)
def test_whether_a_template_or_its_parameters_are_refused(message: str, one: bool) -> None:
    says = meaning("isv.SMS_TEMPLATE_ILLEGAL", message)
    assert (says.one, bool(says.remedy)) == (one, not one)


# --- one bad recipient among good ones ----------------------------------------------------------------------


@pytest.mark.parametrize("places", [[0], [99], [50, 51], [3, 40, 99], [100], [150, 199]])
def test_a_number_that_aliyun_refuses_fails_alone(aliyun: Any, places: list[int]) -> None:
    deliveries = people(200)
    for place in places:
        deliveries[place] = deliveries[place]._replace(to=f"1990004{place:04d}")
    outcomes = send(aliyun, deliveries)
    expected = [FAILED if place in places else SENT for place in range(200)]
    assert results(outcomes) == expected
    assert {outcome.code for outcome in outcomes if outcome.result is FAILED} == {"isv.MOBILE_NUMBER_ILLEGAL"}
    assert Counter(sms.phone for sms in aliyun.sent).most_common(1)[0][1] == 1
    assert len(aliyun.sent) == 200 - len(places)
    assert sum(aliyun.calls.values()) <= 2 + 15 * len(places)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("isv.SMS_TEMPLATE_ILLEGAL", "请检查模板内容与模板参数是否匹配"),
        ("isv.SMS_CONTENT_MISMATCH_TEMPLATE_TYPE", "短信内容和模板属性不匹配"),
        ("PORT_NOT_REGISTERED", "当前使用端口号尚未完成企业实名制报备流程"),
    ],
)
def test_what_is_said_of_parameters_concerns_their_recipient(aliyun: Any, code: str, message: str) -> None:
    for action in ("SendBatchSms", "SendBatchSms", "SendSms"):  # all four, the first two, the first
        aliyun.fail("refuse", action=action, code=code, message=message)
    outcomes = send(aliyun, people(4))
    assert results(outcomes) == [FAILED, SENT, SENT, SENT]
    assert (outcomes[0].code, outcomes[0].text) == (code, message)


def test_a_number_whose_turn_comes_in_a_minute_waits_alone(aliyun: Any) -> None:
    slept: list[float] = []
    deliveries = people(8)
    with sleepless(aliyun, slept) as sender:
        # The whole call is refused, then the half with the number in it, and so on down to the number itself.
        for action in ("SendBatchSms",) * 3 + ("SendSms",):
            aliyun.fail("refuse", action=action, code="isv.BUSINESS_LIMIT_CONTROL", message="触发分钟级流控Permits:1")
        outcomes = sorted(sender.send(deliveries))
    assert results(outcomes) == [RETRY] + [SENT] * 7
    assert (outcomes[0].code, outcomes[0].retry_after) == ("isv.BUSINESS_LIMIT_CONTROL", 60.0)
    assert slept == []
    assert sorted(sms.phone for sms in aliyun.sent) == [delivery.to for delivery in deliveries[1:]]


def refused(count: int, first: int = 1, prefix: str = "1990004") -> list[Delivery]:
    """People whose numbers the gateway refuses."""
    return [delivery._replace(to=f"{prefix}{delivery.id:04d}") for delivery in people(count, first)]


def test_twenty_bad_numbers_fail_nobody_after_them(aliyun: Any) -> None:
    slept: list[float] = []
    with sleepless(aliyun, slept) as sender:
        outcomes = sorted(sender.send([*refused(20), *people(300, first=21)]))
    assert results(outcomes) == [FAILED] * 20 + [SENT] * 300
    assert {outcome.code for outcome in outcomes[:20]} == {"isv.MOBILE_NUMBER_ILLEGAL"}
    assert sum(aliyun.calls.values()) <= 60
    assert sum(slept) < 2


@pytest.mark.parametrize("places", [range(0, 300, 2), range(0, 300, 15), range(100, 200)])
def test_however_many_numbers_are_bad_the_good_ones_are_sent(aliyun: Any, places: range) -> None:
    slept: list[float] = []
    deliveries = people(300)
    for place in places:
        deliveries[place] = refused(1, deliveries[place].id)[0]
    with sleepless(aliyun, slept) as sender:
        outcomes = sorted(sender.send(deliveries))
    assert results(outcomes) == [FAILED if place in places else SENT for place in range(300)]
    assert sum(aliyun.calls.values()) <= 2 * 300


def test_a_number_on_which_the_service_fails_keeps_nobody_waiting(aliyun: Any) -> None:
    slept: list[float] = []
    with sleepless(aliyun, slept) as sender:
        outcomes = sorted(sender.send([*refused(1, prefix="1990006"), *people(99, first=2)]))
    assert results(outcomes) == [RETRY] + [SENT] * 99
    assert outcomes[0].code == "isp.SYSTEM_ERROR"
    assert slept == [5.0, 10.0]
    assert sum(aliyun.calls.values()) <= 3 + 2 * 7


@pytest.mark.slow
def test_where_everybody_is_refused_calls_are_slow_and_the_rest_stays_for_a_later_try(aliyun: Any) -> None:
    slept: list[float] = []
    with sleepless(aliyun, slept) as sender:
        outcomes = sorted(sender.send(refused(1500)))
        with pytest.raises(ProviderUnavailable, match=r"refused 1\d\d\d recipients in a row, .* isv\.MOBILE_"):
            sender.send(people(1, first=2000))
    tried = [outcome for outcome in outcomes if outcome.result is FAILED]
    left = [outcome for outcome in outcomes if outcome.result is RETRY]
    assert len(tried) + len(left) == 1500
    assert 1000 <= len(tried) < 1010  # the calls under way are waited for
    assert {outcome.code for outcome in tried} == {"isv.MOBILE_NUMBER_ILLEGAL"}
    assert {outcome.code for outcome in left} == {"not-tried"}
    assert all("the others have not been tried" in (outcome.text or "") for outcome in left)
    calls = sum(aliyun.calls.values())
    assert calls < 1.1 * len(tried)
    assert sum(slept) > 0.05 * (calls - 100)

    # The next try goes on behind those who were refused.
    with sleepless(aliyun, slept) as sender:
        assert results(sender.send(people(300, first=2001))) == [SENT] * 300


def test_if_no_later_try_comes_everybody_is_tried(aliyun: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("push_provider.channels.sms.calls._ENOUGH", 100)
    slept: list[float] = []
    with sleepless(aliyun, slept, last=True) as sender:
        outcomes = sorted(sender.send([*refused(200), *people(300, first=201)]))
    assert results(outcomes) == [FAILED] * 200 + [SENT] * 300
    assert sum(aliyun.calls.values()) < 1.5 * 200


# --- an account that stops working on the way -----------------------------------------------------------------


def test_money_that_runs_out_stops_all_that_follows(aliyun: Any) -> None:
    with SmsChannel().open(connection(aliyun, max_connections=1), content(), JOB) as sender:
        assert results(sender.send(people(100))) == [SENT] * 100
        aliyun.fail("refuse", action="SendBatchSms", times=None, code="isv.AMOUNT_NOT_ENOUGH")
        with pytest.raises(ConfigurationError, match=r"isv\.AMOUNT_NOT_ENOUGH .*; top up the Aliyun account"):
            sender.send(people(300, first=101))
        with pytest.raises(ConfigurationError, match="top up"):
            sender.send(people(100, first=401))
    assert len(aliyun.sent) == 100
    assert aliyun.calls == {"SendBatchSms": 2}


def test_money_that_runs_out_within_a_chunk(aliyun: Any) -> None:
    aliyun.fail("slow", action="SendBatchSms")  # the first one is sent
    aliyun.fail("refuse", action="SendBatchSms", times=None, code="isv.AMOUNT_NOT_ENOUGH", message="余额不足")
    outcomes = send(aliyun, people(300), max_connections=1)
    assert results(outcomes) == [SENT] * 100 + [FAILED] * 200
    assert [outcome.code for outcome in outcomes[100::100]] == ["isv.AMOUNT_NOT_ENOUGH", "configuration"]
    assert all("余额不足" in (outcome.text or "") for outcome in outcomes[100:])


# --- slow, silent and dying gateways ------------------------------------------------------------------------


def test_a_busy_service_is_waited_for(aliyun: Any) -> None:
    slept: list[float] = []
    aliyun.fail("refuse", times=2, code="Throttling.User", status=400)
    with sleepless(aliyun, slept) as sender:
        assert results(sender.send(people(3))) == [SENT] * 3
    assert slept == [1.0, 2.0]


def test_aliyun_s_own_wait_holds(aliyun: Any) -> None:
    slept: list[float] = []
    aliyun.fail("refuse", code="Throttling.User", status=429, retry_after=2500)
    aliyun.fail("refuse", code="Throttling.User", status=429, retry_after=60_000)
    with sleepless(aliyun, slept) as sender:
        outcomes = sender.send(people(2))
    assert slept == [2.5]
    assert [(o.result, o.code, o.retry_after) for o in outcomes] == [(RETRY, "Throttling.User", 60.0)] * 2


@pytest.mark.parametrize("fault", [{"code": "Throttling.User", "status": 400}, {"code": "isp.SYSTEM_ERROR"}])
def test_stopped_while_it_waits_for_a_busy_service_it_makes_no_more_calls(aliyun: Any, fault: dict[str, Any]) -> None:
    aliyun.fail("refuse", action="SendBatchSms", **fault)
    client = AliyunClient(aliyun_config(connection(aliyun)))
    calls = SmsCalls(client, "推送平台", aliyun.TEMPLATE, JOB, lambda _: calls.stop())
    numbers = Numbers(aliyun.TEMPLATE, TemplateKind.MAINLAND, "as the test says")
    with SmsSender(calls, content(), numbers, 4) as sender:
        outcomes = sorted(sender.send(people(350)))
        assert sorted(sender.known()) == outcomes
    assert results(outcomes) == [RETRY] * 350
    assert aliyun.calls == {"SendBatchSms": 1}
    assert aliyun.sent == []


def test_a_slow_answer_is_waited_for(aliyun: Any) -> None:
    aliyun.fail("slow", action="SendBatchSms", seconds=0.3)
    assert results(send(aliyun, people(100))) == [SENT] * 100


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "code", "accepted"),
    [
        ({"kind": "slow", "seconds": 30}, "timeout", True),
        ({"kind": "hang"}, "timeout", False),
        ({"kind": "drop"}, "connection", False),
        ({"kind": "drop_after"}, "connection", True),
        ({"kind": "http", "status": 503}, "protocol", False),
        ({"kind": "http", "status": 502, "body": "Bad gateway"}, "protocol", False),
        ({"kind": "http", "status": 200, "body": "<html>"}, "protocol", False),
        ({"kind": "http", "status": 500, "body": "{}"}, "protocol", False),
        ({"kind": "http", "status": 500, "body": "[]"}, "protocol", False),
        ({"kind": "http", "status": 200, "body": "{}"}, "protocol", False),
        ({"kind": "refuse", "code": "InternalError", "status": 500}, "InternalError", False),
        ({"kind": "refuse", "code": "Made.Up", "status": 503}, "Made.Up", False),
    ],
    ids=lambda value: str(value),
)
def test_a_call_without_an_answer_is_in_doubt_and_not_made_again(
    aliyun: Any, fault: dict[str, Any], code: str, accepted: bool
) -> None:
    aliyun.fail(**fault, action="SendBatchSms")
    outcomes = send(aliyun, people(200), timeout=2)
    assert results(outcomes) == [UNKNOWN] * 100 + [SENT] * 100
    assert {outcome.code for outcome in outcomes[:100]} == {code}
    assert all(outcome.text for outcome in outcomes[:100])
    assert aliyun.calls == {"SendBatchSms": 2}
    assert len(aliyun.sent) == (200 if accepted else 100)


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"kind": "drop"}, "connection"),
        ({"kind": "http", "status": 503}, "protocol"),
        ({"kind": "refuse", "code": "isp.GATEWAY_ERROR"}, "isp.GATEWAY_ERROR"),
        ({"kind": "refuse", "code": "InternalError", "status": 500}, "InternalError"),
    ],
    ids=lambda value: str(value),
)
@pytest.mark.parametrize("connections", [1, 8])
def test_a_service_that_gives_no_clear_answer_is_left_to_a_later_try(
    aliyun: Any, fault: dict[str, Any], code: str, connections: int
) -> None:
    aliyun.fail(**fault, action="SendBatchSms", times=None)
    with SmsChannel().open(connection(aliyun, max_connections=connections), content(), JOB) as sender:
        outcomes = sender.send(people(2500))
        why = str(sender.given_up())
        with pytest.raises(ProviderUnavailable, match="'sms': nobody can tell what became of the last calls"):
            sender.send(people(800, first=2501))
    counts = Counter(results(outcomes))
    assert counts[UNKNOWN] + counts[RETRY] == 2500
    most = max(3, connections)
    assert 100 * most <= counts[UNKNOWN] < 100 * (most + connections)
    assert {outcome.code for outcome in outcomes if outcome.result is UNKNOWN} == {code}
    assert {outcome.text for outcome in outcomes if outcome.result is RETRY} == {why}
    assert aliyun.calls["SendBatchSms"] == counts[UNKNOWN] // 100


def test_calls_without_an_answer_count_in_a_row(aliyun: Any) -> None:
    for _ in range(3):
        aliyun.fail("drop", action="SendBatchSms", times=2)
        aliyun.fail("slow", action="SendBatchSms", seconds=0.0)  # accepted
    assert results(send(aliyun, people(900), max_connections=1)) == ([UNKNOWN] * 200 + [SENT] * 100) * 3


def test_a_gateway_that_is_not_there(aliyun: Any) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    with pytest.raises(ProviderUnavailable, match=rf"'sms': {address} cannot be reached .*; try again later"):
        send(aliyun, people(1), endpoint=f"http://{address}")


def test_a_gateway_whose_tls_is_not_answered_was_never_reached(aliyun: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"127.0.0.1:{mute.getsockname()[1]}"
        client = AliyunClient(aliyun_config(connection(aliyun, endpoint=f"https://{address}", timeout=0.3)))
        calls = SmsCalls(client, "推送平台", aliyun.TEMPLATE, JOB)
        numbers = Numbers(aliyun.TEMPLATE, TemplateKind.MAINLAND, "as the test says")
        with (
            SmsSender(calls, content(), numbers, 1) as sender,
            pytest.raises(ProviderUnavailable, match=rf"'sms': {address} cannot be reached"),
        ):
            sender.send(people(200))


@contextmanager
def mortal(aliyun: Any) -> Iterator[tuple[str, Callable[[], None]]]:
    """A way to the gateway, and what ends it: from then on nobody listens there, and open connections are cut."""
    listener = socket.create_server(("127.0.0.1", 0))
    host, _, port = aliyun.address.partition(":")
    pairs: list[socket.socket] = []

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                upstream = socket.create_connection((host, int(port)))
                pairs.extend((client, upstream))
                for source, sink in ((client, upstream), (upstream, client)):
                    threading.Thread(target=pump, args=(source, sink), daemon=True).start()

    def kill() -> None:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for one in pairs:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", kill
    finally:
        kill()
        for one in pairs:
            one.close()


def test_a_gateway_that_dies_between_chunks_leaves_the_rest_for_a_later_try(aliyun: Any) -> None:
    with (
        mortal(aliyun) as (endpoint, kill),
        SmsChannel().open(connection(aliyun, endpoint=endpoint, max_connections=1), content(), JOB) as sender,
    ):
        assert results(sender.send(people(100))) == [SENT] * 100
        kill()
        with suppress(ProviderUnavailable):  # the open connection may be used once more: that call is in doubt
            assert set(results(sender.send(people(100, first=101)))) == {UNKNOWN}
        with pytest.raises(ProviderUnavailable, match="cannot be reached"):
            sender.send(people(100, first=201))
    assert len(aliyun.sent) == 100


def test_a_gateway_that_dies_in_the_middle_of_a_call(aliyun: Any) -> None:
    with mortal(aliyun) as (endpoint, kill):
        aliyun.fail("slow", action="SendBatchSms", seconds=0.0)
        aliyun.fail("hang", action="SendBatchSms", times=None)

        def kill_when_two_are_under_way() -> None:
            while aliyun.gateway.counts["SendBatchSms"] < 3:  # the first one is answered
                time.sleep(0.01)
            kill()

        killer = threading.Thread(target=kill_when_two_are_under_way)
        killer.start()
        outcomes = send(aliyun, people(1000), endpoint=endpoint, max_connections=2)
        killer.join()
    assert results(outcomes)[:100] == [SENT] * 100
    # Two calls were under way; nothing else can have been sent.
    counts = Counter(results(outcomes)[100:])
    assert counts == {UNKNOWN: 200, RETRY: 700}
    assert len(aliyun.sent) == 100
