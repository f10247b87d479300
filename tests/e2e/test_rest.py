"""The REST API on the running platform: what it is told to send arrives, and what it is told to stop does not."""

from __future__ import annotations

from typing import Any


def task(code: str, **fields: Any) -> dict[str, Any]:
    text = {"subject": code, "content": f"{code} for {{{{ to }}}}", "content_type": "text"}
    return {"code": code, "name": code, "channel": "email", **text, **fields}


MANUAL = {"schedule": {"kind": "manual"}, "execution": {"type": "loop"}}


def ended(platform: Any, execution: int) -> dict[str, Any]:
    def found() -> dict[str, Any] | None:
        row = platform.call(f"/push/v1/executions/{execution}")[1]
        return row if row["finished_at"] else None

    answer: dict[str, Any] = platform.eventually(found, f"execution {execution} to end")
    return answer


def test_an_injected_task_is_sent(platform: Any) -> None:
    status, answer = platform.call("/push/v1/tasks", task("rest-now", recipients=["rest-now@example.com"]))
    assert status == 201
    assert platform.await_mail("rest-now@example.com")["Subject"] == "rest-now"
    platform.await_runs("rest-now", 1)
    (execution,) = platform.call(answer["links"]["executions"])[1]["items"]
    assert (execution["state"], execution["sent"], execution["source"]) == ("succeeded", 1, "schedule")
    assert platform.call(answer["links"]["self"])[1]["status"] == "finished"


def test_a_trigger_right_after_the_injection_is_sent(platform: Any) -> None:
    assert platform.call("/push/v1/tasks", task("rest-soon", **MANUAL))[0] == 201
    body = {"recipients": [{"to": "rest-soon@example.com", "variables": {"n": 1}}]}
    status, begun = platform.call("/push/v1/tasks/rest-soon/trigger", body)
    assert status == 202
    platform.await_mail("rest-soon@example.com")
    row = ended(platform, begun["execution"])
    assert (row["state"], row["run_id"], row["source"]) == ("succeeded", begun["run_id"], "rest")


def test_redrive_sends_to_those_who_did_not_get_it_and_no_one_else(platform: Any) -> None:
    people = ["rest-good@example.com", "bounce+rest@example.com"]
    platform.call("/push/v1/tasks", task("rest-mixed", retries=0, recipients=people, **MANUAL))
    begun = platform.call("/push/v1/tasks/rest-mixed/trigger", {})[1]
    row = ended(platform, begun["execution"])
    assert (row["state"], row["sent"], row["failed"]) == ("partial", 1, 1)
    platform.await_runs("rest-mixed", 1)
    status, again = platform.call(f"/push/v1/executions/{begun['execution']}/redrive", {})
    assert (status, again["failed"]) == (202, 1)

    def tried_again() -> bool | None:
        (bad,) = platform.call("/push/v1/deliveries?recipient=bounce%2Brest@example.com")[1]["items"]
        return True if bad["attempts"] == 2 and bad["state"] == "failed" else None

    platform.eventually(tried_again, "the failed one to be tried again")
    assert len(platform.mails(to="rest-good@example.com")) == 1
    assert platform.call("/push/v1/executions?task=rest-mixed")[1]["total_entries"] == 1
    assert len(platform.runs("rest-mixed")) == 1


def test_cancel_stops_an_execution_in_the_middle(platform: Any) -> None:
    people = [f"rest-stop-{number}@example.com" for number in range(20_000)]
    platform.call("/push/v1/tasks", task("rest-stop", **MANUAL))
    begun = platform.call("/push/v1/tasks/rest-stop/trigger", {"recipients": people})[1]
    sent = f"/push/v1/deliveries?execution={begun['execution']}&state=sent&limit=1"
    platform.eventually(lambda: platform.call(sent)[1]["items"] or None, "the first mail to be sent")
    cancelled = platform.call("/push/v1/tasks/rest-stop/cancel", {})[1]
    assert cancelled["deliveries_cancelled"] > 0
    row = ended(platform, begun["execution"])
    # What the sender had claimed and not begun is given back, and cancelled then.
    assert row["cancelled"] >= cancelled["deliveries_cancelled"]
    assert row["sent"] + row["cancelled"] == 20_000


def test_a_configuration_is_tried(platform: Any) -> None:
    status, answer = platform.call("/push/v1/configs/push_email_default/test", {})
    assert (status, answer["ok"]) == (200, True)
    assert "push@sandbox.example" in answer["message"]


def test_statistics_count_what_was_sent(platform: Any) -> None:
    platform.call("/push/v1/tasks", task("rest-stats", app="rest-stats", **MANUAL))
    begun = platform.call("/push/v1/tasks/rest-stats/trigger", {"recipients": ["rest-stats@example.com"]})[1]
    ended(platform, begun["execution"])
    hours = platform.call("/push/v1/stats?app=rest-stats")[1]["items"]
    assert [(hour["channel"], hour["deliveries"], hour["sent"]) for hour in hours] == [("email", 1, 1)]
