"""SMS on the running platform: from ``airflow push apply`` to the sandbox's page, and their receipts."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox.sms_signature import access_key


def apply(platform: Any, folder: Path, **fields: Any) -> None:
    """``airflow push apply`` of one SMS task."""
    task = {
        "name": "SMS",
        "channel": "sms",
        "template_code": "SMS_100000001",
        "content": json.dumps({"name": "{{ name }}", "order": "{{ order }}"}),
        **fields,
    }
    file = folder / f"{task['code']}.json"
    file.write_text(json.dumps(task))
    platform.push("apply", str(file))


def people(*numbers: str) -> list[dict[str, Any]]:
    return [{"to": number, "variables": {"name": f"N{number}", "order": f"A-{number[-4:]}"}} for number in numbers]


def states(platform: Any, code: str) -> dict[str, tuple[str, str]]:
    rows = platform.push("deliveries", "--task", code, "--limit", "1000")
    return {row["recipient"]: (row["state"], row["code"]) for row in rows}


def await_receipts(platform: Any, settled: Callable[[], Any]) -> Any:
    """Wait until receipts have settled something. Started by hand, their DAG need not wait for its minute."""
    deadline = time.monotonic() + 360
    while (answer := settled()) is None:
        assert time.monotonic() < deadline, "no receipts"
        body = {"logical_date": None, "conf": {}}
        status, _ = platform.call("/api/v2/dags/push_receipts/dagRuns", body)
        assert status == 200
        time.sleep(5)
    return answer


@pytest.fixture(autouse=True)
def _well_behaved(platform: Any) -> None:
    platform.sms_control("faults", method="DELETE")
    platform.sms_control("calls", method="DELETE")


def test_two_hundred_with_their_own_parameters_are_two_calls_and_arrive(platform: Any, tmp_path: Path) -> None:
    numbers = [f"1371{number:07d}" for number in range(198)]
    apply(platform, tmp_path, code="two-hundred", recipients=people(*numbers, "19900010137", "19900030137"))
    assert platform.await_runs("two-hundred", 1) == ["success"]
    counts = platform.sms_control("calls")["counts"]
    assert {action: count for action, count in counts.items() if action.startswith("Send") and count} == {
        "SendBatchSms": 2
    }
    found = {sms["phone"]: sms["content"] for sms in platform.sms(to="1371")}
    assert found == {n: f"【阿里云短信测试】尊敬的N{n}，您的订单A-{n[-4:]}已发货。" for n in numbers}

    def settled() -> dict[str, tuple[str, str]] | None:
        now = states(platform, "two-hundred")
        return now if Counter(state for state, _ in now.values())["delivered"] == 198 else None

    now = await_receipts(platform, settled)
    assert now["19900010137"] == ("failed", "MOBILE_NOT_ON_SERVICE")
    assert now["19900030137"] == ("sent", "")
    (row,) = platform.push("executions", "--task", "two-hundred")
    assert (row["state"], row["sent"], row["delivered"], row["failed"]) == ("partial", "199", "198", "1")


def test_a_changed_secret_is_a_configuration_error_and_clearing_sends_once_it_is_mended(
    platform: Any, tmp_path: Path
) -> None:
    _, connection = platform.call("/api/v2/connections/push_aliyun_sms_default")
    # A copy that is marked as the default, too, would be the default from then on.
    extra = json.dumps({**json.loads(connection["extra"]), "is_default": False})
    added = platform.airflow(
        "connections", "add", "changed-sms", "--conn-type", "push_aliyun_sms", "--conn-login", connection["login"],
        "--conn-password", "not-the-secret", "--conn-port", "443", "--conn-extra", extra,
    )  # fmt: skip
    assert added.returncode == 0, added.stderr
    apply(platform, tmp_path, code="changed", config="changed-sms", recipients=people("13720000001", "13720000002"))
    assert platform.await_runs("changed", 1) == ["failed"]
    assert set(states(platform, "changed").values()) == {("failed", "configuration")}
    (row,) = platform.push("executions", "--task", "changed")
    assert "SignatureDoesNotMatch" in row["error"]
    assert "not-the-secret" not in json.dumps(row)
    (run,) = platform.runs("changed")
    log = platform.task_log("changed", run["dag_run_id"])
    assert "correct the access key id (login) and its secret (password)" in log
    assert "not-the-secret" not in log
    assert platform.sms(to="1372") == []


def test_an_answer_that_got_lost_is_held_and_settled(platform: Any, tmp_path: Path) -> None:
    numbers = [f"1373{number:07d}" for number in range(150)]
    platform.sms_control("faults", {"kind": "drop_after", "action": "SendBatchSms"})
    apply(platform, tmp_path, code="lost-answer", recipients=people(*numbers))
    assert platform.await_runs("lost-answer", 1) == ["failed"]
    first = Counter(state for state, _ in states(platform, "lost-answer").values())
    assert first["unknown"] == 100

    def settled() -> bool | None:
        return {state for state, _ in states(platform, "lost-answer").values()} == {"delivered"} or None

    await_receipts(platform, settled)
    assert Counter(sms["phone"] for sms in platform.sms(to="1373")) == dict.fromkeys(numbers, 1)
    (row,) = platform.push("executions", "--task", "lost-answer")
    assert (row["state"], row["delivered"], row["unknown"]) == ("succeeded", "150", "0")


def test_the_next_try_comes_when_aliyun_asks_for_it(platform: Any, tmp_path: Path) -> None:
    # Three calls: a short wait is tried within the try, too.
    throttled = {"kind": "refuse", "action": "SendSms", "code": "Throttling.User", "status": 429}
    platform.sms_control("faults", {**throttled, "times": 3, "retry_after": 2000})
    apply(platform, tmp_path, code="soon", retry_delay=600, recipients=people("13740000001"))
    assert platform.await_runs("soon", 1) == ["success"]
    refused, sent = tries(platform, "soon")
    assert 1 <= sent - refused < 300  # two seconds from Aliyun's answer, a moment before the try ended; not 600


def test_the_next_try_comes_no_sooner_than_aliyun_asks_for(platform: Any, tmp_path: Path) -> None:
    throttled = {"kind": "refuse", "action": "SendSms", "code": "Throttling.User", "status": 429}
    platform.sms_control("faults", {**throttled, "retry_after": 120_000})
    apply(platform, tmp_path, code="later", retry_delay=1, recipients=people("13740000002"))

    def refused() -> bool | None:
        # Two minutes pass in a moment: as if the try had ended 115 seconds earlier.
        ended = platform.metadata(
            "UPDATE task_instance SET end_date = end_date - interval '115 seconds' "
            "WHERE dag_id = 'push__later' AND state = 'up_for_retry' RETURNING retry_delay_override"
        )
        return 110 < ended[0][0] <= 120 if ended else None

    assert platform.eventually(refused, "a try that was refused")
    ((ended,),) = platform.metadata(
        "SELECT extract(epoch FROM end_date)::float8 FROM task_instance WHERE dag_id = 'push__later'"
    )
    assert platform.await_runs("later", 1) == ["success"]
    _, sent = tries(platform, "later")
    assert sent - ended > 115


def tries(platform: Any, code: str) -> list[float]:
    """When the first try of a push task's only run ended, and when the second began, in seconds."""
    (moments,) = platform.metadata(
        "SELECT extract(epoch FROM h.end_date)::float8, extract(epoch FROM t.start_date)::float8 "
        "FROM task_instance AS t JOIN task_instance_history AS h USING (dag_id, run_id, task_id) "
        "WHERE t.dag_id = %s AND t.try_number = 2 AND h.try_number = 1",
        f"push__{code}",
    )
    return list(moments)


def test_tasks_that_name_no_configuration_follow_the_mark(platform: Any, tmp_path: Path) -> None:
    _, connection = platform.call("/api/v2/connections/push_aliyun_sms_default")
    extra = {**json.loads(connection["extra"]), "sign_name": "推送平台", "is_default": True}
    login, secret = access_key()
    marked = {**connection, "connection_id": "marked-sms", "login": login, "password": secret}
    status, _ = platform.call("/api/v2/connections", {**marked, "extra": json.dumps(extra)})
    assert status == 201

    def defaults() -> set[str]:
        _, configs = platform.call("/push/v1/configs")
        return {item["id"] for item in configs["items"] if item["is_default"] and item["channel"] == "sms"}

    assert platform.eventually(lambda: defaults() == {"marked-sms"} or None, "the default that was marked")
    fields: dict[str, Any] = {"schedule": {"kind": "manual"}, "execution": {"type": "loop"}}
    apply(platform, tmp_path, code="marked", recipients=people("13750000001"), **fields)
    platform.push("trigger", "marked")
    assert platform.await_runs("marked", 1) == ["success"]
    platform.push("default", "sms", "push_aliyun_sms_default")
    assert defaults() == {"push_aliyun_sms_default"}
    platform.push("trigger", "marked")
    assert platform.await_runs("marked", 2) == ["success", "success"]
    texts = [sms["content"] for sms in platform.sms(to="13750000001")]
    assert [text[:6] for text in texts] == ["【阿里云短信", "【推送平台】"]


def test_an_sms_account_is_tested_by_airflow(platform: Any) -> None:
    _, connection = platform.call("/api/v2/connections/push_aliyun_sms_default")
    assert connection["password"] == "***"
    status, answer = platform.call("/api/v2/connections/test", connection, method="POST")
    assert status == 200
    assert answer["status"] is True, answer
    assert "Access key: accepted. Signature '阿里云短信测试': approved." in answer["message"]
