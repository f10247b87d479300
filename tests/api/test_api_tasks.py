"""Push tasks over REST: inject, repeat, change, pause, cancel, delete, in bulk."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from api_server import task
from hostile import nested
from sqlalchemy import text

from push_provider.channels.reading import parse
from push_provider.exceptions import FieldError, InvalidTask

if TYPE_CHECKING:
    from api_server import ApiServer


def test_the_answer_says_which_dag_when_and_where_to_look(server: ApiServer) -> None:
    body = task(schedule={"kind": "daily", "time": "09:00", "timezone": "Asia/Shanghai"})
    answer = server.push("POST", "/tasks", body)
    assert answer.status == 201
    code = body["code"]
    assert answer.headers["location"] == f"/push/v1/tasks/{code}"
    said = answer.json
    assert said["dag_id"] == f"push__{code}"
    due = datetime.fromisoformat(said["next_execution"])
    assert (due.hour, due.minute, due.utcoffset()) == (1, 0, timedelta(0))
    assert timedelta(0) < due - datetime.now(UTC) < timedelta(days=2)
    assert said["links"] == {
        "self": f"/push/v1/tasks/{code}",
        "dag": f"/dags/push__{code}",
        "executions": f"/push/v1/executions?task={code}",
        "deliveries": f"/push/v1/deliveries?task={code}",
    }
    for link in ("self", "executions", "deliveries"):
        assert server.call("GET", said["links"][link]).status == 200


def test_a_task_without_app_and_owner_is_the_callers(server: ApiServer) -> None:
    mine = server.push("POST", "/tasks", task(), role="user").json
    assert (mine["app"], mine["owner"]) == ("user", "user")
    theirs = server.push("POST", "/tasks", task(app="shop", owner="Li Lei")).json
    assert (theirs["app"], theirs["owner"]) == ("shop", "Li Lei")


def test_what_was_sent_comes_back(server: ApiServer) -> None:
    body = task(
        variables={"n": 1, "list": [1, {"a": None}]}, recipients=[{"to": "a@example.com", "variables": {"x": "é"}}]
    )
    server.push("POST", "/tasks", body)
    kept = server.push("GET", f"/tasks/{body['code']}").json["task"]
    assert {name: kept[name] for name in body} == body


def test_a_number_is_what_was_written(server: ApiServer) -> None:
    body = task(content="{{ price }} {{ rate }} {{ n }} {{ price * 2 }}")
    words = '{"price": 12.50, "rate": 0.00001, "n": 12345678901234567890.12}'
    raw = json.dumps({**body, "variables": {}}).replace('"variables": {}', f'"variables": {words}')
    shown = "12.50 0.00001 12345678901234567890.12 25.0"
    assert server.push("POST", "/tasks?dry_run=true", data=raw.encode()).json["preview"]["text"].strip() == shown
    assert server.push("POST", "/tasks", data=raw.encode()).status == 201
    code = body["code"]
    kept = b'"variables":{"n":12345678901234567890.12,"rate":0.00001,"price":12.50}'
    for method, path, sent in (("GET", "", None), ("PATCH", "", {"name": "Other"})):
        assert kept in server.push(method, f"/tasks/{code}{path}", sent).data
    assert server.push("POST", "/preview", {"code": code}).json["text"].strip() == shown
    refused = server.push("POST", "/tasks", data=raw.replace("12.50", "1E400").encode())
    assert (refused.status, refused.fields) == (422, ["variables.price"])


@pytest.mark.parametrize("channel", ["websocket", "app"])
def test_a_number_is_shown_as_it_is_sent(server: ApiServer, channel: str) -> None:
    body = {"code": task()["code"], "name": "API", "channel": channel, "schedule": {"kind": "manual"}}
    body |= {"title": "Hello", "content": "Good day", "recipients": ["u1"]}
    data = b'{"price":12.50,"list":[0.00001,12345678901234567890.12,25.0]}'
    raw = json.dumps(body).encode()[:-1] + b',"data":' + data + b"}"
    preview = server.push("POST", "/preview", data=b'{"task":' + raw + b"}")
    dry = server.push("POST", "/tasks?dry_run=true", data=raw)
    assert [(answer.status, data in answer.data) for answer in (preview, dry)] == [(200, True), (200, True)]


def test_a_daily_time_is_no_number(server: ApiServer) -> None:
    for daily in (700, 900, 9, 0, 9.5):
        answer = server.push("POST", "/tasks", task(schedule={"kind": "daily", "time": daily}))
        assert (answer.status, answer.fields) == (422, ["schedule.time"])
        assert 'like "09:00", in quotes' in answer.json["detail"]


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"recipients": ["nobody"]}, ["recipients[0].to"]),
        ({"chanel": "email"}, ["chanel"]),
        ({"subject": None}, ["subject"]),
        ({"schedule": {"kind": "hourly", "minute": 60}}, ["schedule.minute"]),
        ({"schedule": {"kind": "at", "at": "2020-01-01T00:00:00Z"}}, ["schedule.at"]),
        ({"content": "{{ to"}, ["content"]),
        ({"content": None, "template": "none.html"}, ["template"]),
        ({"attachments": ["attachments/shared/none.pdf"]}, ["attachments"]),
        ({"attachments": ["attachments/crm/none.pdf"]}, ["attachments"]),
        ({"attachments": ["tasks/welcome.yaml"]}, ["attachments"]),
        ({"attachments": ["../../etc/passwd"]}, ["attachments[0]"]),
        ({"name": "a\nb", "retries": -1}, ["name", "retries"]),
    ],
)
def test_broken_fields_are_named_and_nothing_is_kept(
    server: ApiServer, fields: dict[str, Any], named: list[str]
) -> None:
    body = task(**fields)
    answer = server.push("POST", "/tasks", body)
    assert answer.status == 422
    assert answer.fields == named
    assert answer.json["code"] == "invalid"
    assert server.push("GET", f"/tasks/{body['code']}").status == 404


def test_a_code_that_exists_is_a_conflict(server: ApiServer) -> None:
    code = server.create()
    answer = server.push("POST", "/tasks", task(code=code, name="Other"))
    assert (answer.status, answer.json["code"]) == (409, "task-exists")
    assert server.push("GET", f"/tasks/{code}").json["name"] == "API"


def test_dry_run_shows_and_keeps_nothing(server: ApiServer) -> None:
    body = task(subject="Hello {{ name }}", variables={"name": "you"})
    answer = server.push("POST", "/tasks?dry_run=true", body)
    assert answer.status == 200
    preview = answer.json["preview"]
    assert (preview["to"], preview["subject"]) == ("a@example.com", "Hello you")
    assert "Good day, a@example.com" in preview["text"]
    assert server.push("GET", f"/tasks/{body['code']}").status == 404


# --- Idempotency-Key ------------------------------------------------------------------------------------


def test_the_same_request_gets_the_same_answer(server: ApiServer) -> None:
    body, key = task(), {"Idempotency-Key": "order 1"}
    first = server.push("POST", "/tasks", body, headers=key)
    again = server.push("POST", "/tasks", dict(reversed(body.items())), headers=key)
    assert (first.status, again.status) == (201, 201)
    assert again.json == first.json
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    other = server.push("POST", "/tasks", {**body, "name": "Other"}, headers=key)
    assert (other.status, other.json["code"]) == (409, "key-reused")


def test_a_number_that_is_written_otherwise_is_another_request(server: ApiServer) -> None:
    body, key = json.dumps(task(variables={"price": 0, "far": 2**70})), {"Idempotency-Key": "price"}

    def send(price: str) -> Any:
        data = body.replace('"price": 0', f'"price": {price}').encode()
        return server.push("POST", "/tasks", data=data, headers=key)

    assert (send("12.50").status, send("12.50").headers["idempotency-replayed"]) == (201, "true")
    other = send("12.5")
    assert (other.status, other.json["code"]) == (409, "key-reused")


def test_keys_of_two_callers_are_two_keys(server: ApiServer) -> None:
    key = {"Idempotency-Key": "mine"}
    assert server.push("POST", "/tasks", task(), headers=key, role="user").status == 201
    assert server.push("POST", "/tasks", task(), headers=key, role="op").status == 201


def test_a_refused_request_uses_up_no_key(server: ApiServer) -> None:
    body, key = task(subject=""), {"Idempotency-Key": "refused first"}
    assert server.push("POST", "/tasks", body, headers=key).status == 422
    assert server.push("POST", "/tasks", {**body, "subject": "Hello"}, headers=key).status == 201


def test_twenty_at_once_make_one_task(server: ApiServer) -> None:
    body = task()
    del body["code"]
    with ThreadPoolExecutor(20) as pool:
        calls = [
            pool.submit(server.push, "POST", "/tasks", body, headers={"Idempotency-Key": "twenty"}) for _ in range(20)
        ]
    answers = [call.result() for call in calls]
    assert {answer.status for answer in answers} == {201}
    assert len({answer.json["code"] for answer in answers}) == 1
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1


def test_a_key_is_free_again_after_a_day(server: ApiServer) -> None:
    key = {"Idempotency-Key": "yesterday's"}
    first = server.push("POST", "/tasks", task(), headers=key)
    server.rows("UPDATE push_answer SET created_at = now() - interval '25 hours' WHERE key = :key", key="yesterday's")
    second = server.push("POST", "/tasks", task(), headers=key)
    assert (first.status, second.status) == (201, 201)
    assert second.json["code"] != first.json["code"]


# --- change ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        ({"subject": "Other"}, {"subject": "Other"}),
        ({"app": None}, {"app": None}),
        ({"variables": {"a": None, "c": 3}}, {"variables": {"b": 2, "c": 3}}),
        ({"retries": None}, {"retries": 3}),
        ({"category": "marketing"}, {"category": "marketing"}),
        ({"category": None}, {"category": "service"}),
        ({"recipients": ["c@example.com"]}, {"recipients": [{"to": "c@example.com", "variables": {}}]}),
        ({"execution": {"max_executions": 5}}, {"execution": {"type": "loop", "max_executions": 5}}),
        ({}, {}),
    ],
)
def test_merge_patch(server: ApiServer, patch: dict[str, Any], expected: dict[str, Any]) -> None:
    code = server.create(variables={"a": 1, "b": 2})
    before = server.push("GET", f"/tasks/{code}").json["task"]
    answer = server.push("PATCH", f"/tasks/{code}", patch, headers={"Content-Type": "application/merge-patch+json"})
    assert answer.status == 200
    assert answer.json["task"] == {**before, **expected}
    assert server.push("GET", f"/tasks/{code}").json == answer.json


@pytest.mark.filterwarnings("ignore:Using .httpx. with .starlette.testclient. is deprecated")  # Airflow's own import
def test_a_patch_is_refused_before_it_is_followed_too_deep() -> None:
    """Python 3.12's reader of JSON takes more levels than Python calls functions within each other."""
    from push_provider.api.changing import _Change

    said = "is nested too deeply; at most 32 levels fit"
    with pytest.raises(InvalidTask) as refused:
        _Change(cast("Any", None), "code", {"variables": nested(1200)}, task())
    assert refused.value.errors == (FieldError("variables" + ".a" * 31, said),)
    with pytest.raises(InvalidTask) as refused:
        parse({**task(), "variables": nested(1200)})
    assert refused.value.errors == (FieldError("variables" + ".a" * 31, said),)


def test_a_changed_schedule_counts_from_now(server: ApiServer) -> None:
    code = server.create()
    answer = server.push("PATCH", f"/tasks/{code}", {"schedule": {"kind": "hourly", "minute": 0}})
    assert answer.json["delayed"] is True
    due = datetime.fromisoformat(answer.json["next_execution"])
    assert timedelta(0) < due - datetime.now(UTC) <= timedelta(hours=1)


@pytest.mark.parametrize(
    ("patch", "status", "named"),
    [
        ({"subject": ""}, 422, ["subject"]),
        ({"code": "another"}, 422, ["code"]),
        ({"content": "{% if %}"}, 422, ["content"]),
        ({"nonsense": 1}, 422, ["nonsense"]),
        ({"nonsense": None}, 422, ["nonsense"]),
        ([], 422, ["(document)"]),
    ],
)
def test_a_patch_that_breaks_the_task_changes_nothing(
    server: ApiServer, patch: Any, status: int, named: list[str]
) -> None:
    code = server.create()
    before = server.push("GET", f"/tasks/{code}").json
    answer = server.push("PATCH", f"/tasks/{code}", patch)
    assert answer.status == status
    assert answer.fields == named
    assert server.push("GET", f"/tasks/{code}").json == before


def test_two_changes_at_once_are_both_kept(server: ApiServer) -> None:
    code = server.create()
    patches = [{"variables": {f"v{number}": number}} for number in range(10)]
    with ThreadPoolExecutor(10) as pool:
        statuses = list(pool.map(lambda patch: server.push("PATCH", f"/tasks/{code}", patch).status, patches))
    assert set(statuses) == {200}
    assert server.push("GET", f"/tasks/{code}").json["task"]["variables"] == {f"v{n}": n for n in range(10)}


@pytest.mark.parametrize("meanwhile", ["1.00", "true", "2"])
def test_what_is_changed_while_another_change_waits_is_kept(server: ApiServer, meanwhile: str) -> None:
    code = server.create(variables={"n": 1})
    waiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    write = text("UPDATE push_task SET spec = jsonb_set(spec, '{variables,n}', CAST(:n AS jsonb)) WHERE code = :code")
    with ThreadPoolExecutor(1) as pool:
        with server.ledger.begin() as held:
            held.execute(write, {"n": meanwhile, "code": code})
            patched = pool.submit(server.push, "PATCH", f"/tasks/{code}", {"subject": "Other"})
            while not server.rows(waiting):
                assert not patched.done()
        assert patched.result().json["task"]["subject"] == "Other"
    (row,) = server.rows("SELECT spec #>> '{variables,n}' FROM push_task WHERE code = :code", code=code)
    assert row[0] == meanwhile


# --- pause, cancel, delete --------------------------------------------------------------------------------


def test_pause_and_resume(server: ApiServer) -> None:
    code = server.create(app="paused-and-resumed")  # a moment ago: its DAG is waited for
    ours = {"app": "paused-and-resumed", "limit": 1000}
    paused = server.push("POST", f"/tasks/{code}/pause").json
    assert (paused["status"], paused["paused"]) == ("paused", True)
    assert server.call("GET", f"/api/v2/dags/push__{code}").json["is_paused"] is True
    assert [one["code"] for one in server.push("GET", "/tasks", status="paused", **ours).json["items"]] == [code]
    assert server.push("GET", "/tasks", status="pending", **ours).json["items"] == []
    refused = server.push("POST", f"/tasks/{code}/trigger")
    assert (refused.status, refused.json["code"]) == (409, "task-paused")
    resumed = server.push("POST", f"/tasks/{code}/resume").json
    assert (resumed["status"], resumed["paused"]) == ("pending", False)
    assert server.push("POST", f"/tasks/{code}/trigger").status == 202


def test_cancel_stops_what_is_not_sent(server: ApiServer) -> None:
    code = server.create()
    begun = server.push("POST", f"/tasks/{code}/trigger").json
    answer = server.push("POST", f"/tasks/{code}/cancel")
    assert answer.json == {"code": code, "status": "cancelled", "deliveries_cancelled": 2}
    deliveries = server.push("GET", "/deliveries", execution=begun["execution"]).json["items"]
    assert {one["state"] for one in deliveries} == {"cancelled"}
    refused = server.push("POST", f"/tasks/{code}/trigger")
    assert (refused.status, refused.json["code"]) == (409, "task-closed")
    assert "cancelled" in refused.json["detail"]
    assert server.push("PATCH", f"/tasks/{code}", {"name": "Again"}).status == 409
    assert server.push("POST", f"/tasks/{code}/cancel").json["deliveries_cancelled"] == 0


def test_delete(server: ApiServer) -> None:
    code = server.create(known=True)
    assert server.push("DELETE", f"/tasks/{code}").status == 204
    assert server.push("GET", f"/tasks/{code}").status == 404
    assert server.call("GET", f"/api/v2/dags/push__{code}").status == 404
    assert server.push("DELETE", f"/tasks/{code}").status == 404


def test_a_task_with_a_log_is_deleted_only_with_it(server: ApiServer) -> None:
    code = server.create()
    begun = server.push("POST", f"/tasks/{code}/trigger").json
    running = server.push("DELETE", f"/tasks/{code}", purge="true")
    assert (running.status, running.json["code"]) == (409, "task-busy")
    server.push("POST", f"/tasks/{code}/cancel")
    kept = server.push("DELETE", f"/tasks/{code}")
    assert (kept.status, kept.json["code"]) == (409, "task-busy")
    assert "purge=true" in kept.json["detail"]
    assert server.push("DELETE", f"/tasks/{code}", purge="true").status == 204
    assert server.push("GET", f"/executions/{begun['execution']}").status == 404
    assert server.push("POST", "/tasks", task(code=code)).status == 201


@pytest.mark.slow
def test_with_a_task_go_the_answers_that_spoke_of_it(server: ApiServer) -> None:
    body, key = task(), {"Idempotency-Key": "again"}
    code = body["code"]
    server.push("POST", "/tasks", body, headers=key)
    first = server.push("POST", f"/tasks/{code}/trigger", headers=key).json
    server.push("POST", f"/tasks/{code}/cancel")
    assert server.push("DELETE", f"/tasks/{code}", purge="true").status == 204
    assert "idempotency-replayed" not in server.push("POST", "/tasks", body, headers=key).headers
    second = server.push("POST", f"/tasks/{code}/trigger", headers=key)
    assert second.status == 202
    assert second.json["execution"] != first["execution"]


@pytest.mark.slow
def test_a_retired_task_says_so_and_leads_to_no_dag(server: ApiServer) -> None:
    code = server.create(known=True)
    begun = server.push("POST", f"/tasks/{code}/trigger").json
    server.rows("UPDATE push_execution SET finished_at = now() WHERE id = :id", id=begun["execution"])
    server.push("POST", f"/tasks/{code}/cancel")
    server.rows("UPDATE push_task SET retired_at = now() WHERE code = :code", code=code)
    one = server.push("GET", f"/tasks/{code}").json
    (listed,) = server.push("GET", "/tasks", search=code).json["items"]
    for said in (one, listed):
        assert said["retired_at"] is not None
        assert (said["status"], said["links"]["dag"]) == ("cancelled", None)
    (run,) = server.push("GET", "/executions", task=code).json["items"]
    assert (run["run_id"], run["links"]["run"]) == (begun["run_id"], None)
    assert server.push("GET", f"/executions/{begun['execution']}").json["links"]["run"] is None
    assert server.push("POST", f"/tasks/{code}/pause").status == 200
    back = server.push("GET", f"/tasks/{code}").json
    assert (back["retired_at"], back["links"]["dag"]) == (None, f"/dags/push__{code}")


# --- in bulk ----------------------------------------------------------------------------------------------


def test_bulk_answers_for_each(server: ApiServer) -> None:
    taken = server.create()
    tasks = [task(), task(recipients=["nobody"]), task(code=taken), 3, task()]
    answer = server.push("POST", "/tasks/bulk", {"tasks": tasks}, headers={"Idempotency-Key": "bulk"})
    assert answer.status == 200
    assert (answer.json["created"], answer.json["refused"]) == (2, 3)
    assert [item["status"] for item in answer.json["items"]] == [201, 422, 409, 422, 201]
    assert [item["index"] for item in answer.json["items"]] == [0, 1, 2, 3, 4]
    assert answer.json["items"][1]["problem"]["errors"][0]["field"] == "recipients[0].to"
    again = server.push("POST", "/tasks/bulk", {"tasks": tasks}, headers={"Idempotency-Key": "bulk"})
    assert again.json == answer.json


def test_a_task_that_nobody_thought_of_is_refused_alone(server: ApiServer) -> None:
    tasks = [task(), task(template="x" * 300, content=None), task(name="poison"), task()]
    server.rows("ALTER TABLE push_task ADD CONSTRAINT poison CHECK (name <> 'poison')")
    try:
        answer = server.push("POST", "/tasks/bulk", {"tasks": tasks})
    finally:
        server.rows("ALTER TABLE push_task DROP CONSTRAINT poison")
    assert [item["status"] for item in answer.json["items"]] == [201, 422, 500, 201]
    assert answer.json["items"][1]["problem"]["errors"][0]["field"] == "template"
    assert answer.json["items"][2]["problem"]["code"] == "fault"
    assert server.push("POST", "/tasks", tasks[1]).fields == ["template"]
    assert server.push("GET", f"/tasks/{tasks[3]['code']}").status == 200


@pytest.mark.slow
def test_a_thousand_tasks_at_once(server: ApiServer) -> None:
    tasks = [task() for _ in range(1000)]
    answer = server.push("POST", "/tasks/bulk", {"tasks": tasks})
    assert answer.json["created"] == 1000
    server.forget(tasks)
    more = server.push("POST", "/tasks/bulk", {"tasks": [task() for _ in range(1001)]})
    assert (more.status, more.fields) == (422, ["tasks"])


@pytest.mark.slow
def test_two_bulk_calls_with_the_same_tasks_do_not_wait_for_each_other(server: ApiServer) -> None:
    tasks = [task() for _ in range(100)]
    calls = [{"tasks": tasks}, {"tasks": tasks[::-1]}]
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda body: server.push("POST", "/tasks/bulk", body), calls))
    assert [answer.status for answer in answers] == [200, 200]
    assert sum(answer.json["created"] for answer in answers) == 100
    server.forget(tasks)


# --- the audit log ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_write_is_on_record_without_what_is_nobodys_business(server: ApiServer) -> None:
    body = task(variables={"password": "open sesame", "pin": "0815"}, content="The code is 4711")
    code = body["code"]
    server.push("POST", "/tasks", body, role="user")
    server.push("PATCH", f"/tasks/{code}", {"subject": "Other"}, role="op")
    server.push("POST", f"/tasks/{code}/trigger", {"recipients": ["secret@example.com"]}, role="user")
    server.push("POST", f"/tasks/{code}/pause")
    server.push("POST", f"/tasks/{code}/resume")
    server.push("POST", f"/tasks/{code}/cancel")
    server.push("DELETE", f"/tasks/{code}", purge="true")
    events = {
        "push_create_task": "user",
        "push_change_task": "op",
        "push_trigger_task": "user",
        "push_pause_task": "admin",
        "push_resume_task": "admin",
        "push_cancel_task": "admin",
        "push_delete_task": "admin",
    }
    for event, owner in events.items():
        (row,) = server.log(event, code)
        assert row.owner == owner, event
        for secret in ("open sesame", "0815", "4711", "secret@example.com"):
            assert secret not in row.extra, event
    created = json.loads(server.log("push_create_task", code)[0].extra)
    assert created["variables"] == ["password", "pin"]
    assert created["recipients"] == "2 in all: a***@example.com, b***@example.com"
    assert created["content"] == "16 characters"


@pytest.mark.parametrize("path", ["/tasks", "/tasks/{code}/trigger", "/tasks/bulk"])
def test_of_what_is_refused_nothing_is_on_record_but_known_fields_in_short(path: str, server: ApiServer) -> None:
    code = server.create()
    secret = "geheim-4711@example.com"
    body = {
        "recipients": secret,
        "content": {"text": secret},
        "subject": [secret],
        "variables": secret,
        "schedule": {"kind": "at", "note": secret, "at": {"x": secret}},
        "attachments": secret,
        "retries": [secret],
        "tasks": [{"recipients": [secret]}],
        secret: 1,
        "comment": secret,
    }
    event = {"/tasks": "push_create_task", "/tasks/bulk": "push_create_tasks"}.get(path, "push_trigger_task")
    before = len(server.log(event))
    assert server.push("POST", path.format(code=code), body).status == 422
    (row,) = server.log(event)[before:]
    assert "4711" not in row.extra
    told = json.loads(row.extra)
    assert (told["unknown fields"], told["recipients"], told["content"]) == (2, "a str", "a dict")


def test_recipients_on_record_are_few_and_masked(server: ApiServer) -> None:
    code = server.create()
    people = ["zoe.long@example.com", {"to": "+8613800138000"}, {"to": 7}, *["x@example.com"] * 50]
    server.push("POST", f"/tasks/{code}/trigger", {"recipients": people, "variables": {"a@b.c": 1, "n": 1}})
    told = json.loads(server.log("push_trigger_task", code)[-1].extra)
    assert told["recipients"] == "53 in all: z***@example.com, +86***00, ***, …"
    assert told["variables"] == ["…", "n"]


def test_the_access_log_has_no_recipients(server: ApiServer) -> None:
    answer = server.push("GET", "/deliveries", recipient="hidden@example.com", state="sent")
    assert answer.status == 200
    log = Path(server.env["AIRFLOW_HOME"], "logs", "api-server.log")
    deadline = time.monotonic() + 10
    while "/push/v1/deliveries" not in (text := log.read_text()) or "state=sent" not in text:
        assert time.monotonic() < deadline, "the request is not in the log"
        time.sleep(0.1)
    assert "hidden" not in text
    assert "recipient=***" in text or "recipient=%2A%2A%2A" in text


def test_what_was_refused_for_want_of_a_right_is_on_record(server: ApiServer) -> None:
    secret = {"recipients": ["secret@example.com"], "content": "4711"}
    body = task(**secret)
    code = server.create()
    execution = server.create()
    begun = server.push("POST", f"/tasks/{execution}/trigger").json["execution"]
    number, gone = server.reject({"task": code}, code), server.suppress(code)
    refused = [
        ("push_create_task", body["code"], "POST", "/tasks", body, {}),
        ("push_create_tasks", None, "POST", "/tasks/bulk", {"tasks": [body]}, {}),
        ("push_change_task", code, "PATCH", f"/tasks/{code}", {"subject": "Other"}, {}),
        ("push_trigger_task", code, "POST", f"/tasks/{code}/trigger", {"recipients": ["secret@example.com"]}, {}),
        ("push_pause_task", code, "POST", f"/tasks/{code}/pause", None, {}),
        ("push_resume_task", code, "POST", f"/tasks/{code}/resume", None, {}),
        ("push_cancel_task", code, "POST", f"/tasks/{code}/cancel", None, {}),
        ("push_delete_task", code, "DELETE", f"/tasks/{code}", None, {"purge": False}),
        ("push_redrive_execution", execution, "POST", f"/executions/{begun}/redrive", None, {"execution": begun}),
        ("push_delete_suppression", code, "DELETE", f"/suppressions/{gone}", None, {"suppression": gone}),
        ("push_default_config", None, "PUT", "/configs/one/default", None, {"config": "one"}),
        ("push_test_config", None, "POST", "/configs/one/test", None, {"config": "one"}),
        ("push_mint_token", None, "POST", "/websocket/tokens", {"user": "secret@example.com"}, {}),
    ]
    for event, whose, method, path, sent, told in refused:
        before = len(server.log(event, whose))
        answer = server.push(method, path, sent, role="viewer")
        assert answer.status == 403, (event, answer)
        (row,) = server.log(event, whose)[before:]
        assert (row.owner, json.loads(row.extra)) == ("viewer", {**told, "refused": "forbidden"}), event
    assert server.push("POST", f"/rejected/{number}/replay", role="viewer").status == 403
    (row,) = server.log("push_replay_message", code)
    assert (row.owner, json.loads(row.extra)) == ("viewer", {"message": number, "refused": "forbidden"})


def test_what_was_refused_for_what_it_does_is_on_record_as_refused(server: ApiServer) -> None:
    """The caller may make the call, and not have that done; that of a sound task beside it is as always."""
    theirs, bad, sound, single = server.create(app="crm"), task(app="crm"), task(app="shop"), task(owner="ceo")
    number = server.reject({"define": task(app="crm")}, theirs)
    bulk = server.push("POST", "/tasks/bulk", {"tasks": [bad, sound]}, role="user").json
    assert [item["status"] for item in bulk["items"]] == [403, 201]
    assert server.push("PATCH", f"/tasks/{theirs}", {"schedule": {"kind": "now"}}, role="user").status == 403
    assert server.push("POST", "/tasks", single, role="user").status == 403
    assert server.push("POST", "/tasks", single, role="user", dry_run="true").status == 403
    assert server.push("POST", f"/rejected/{number}/replay", role="user").status == 403
    for event, code, told in (
        ("push_create_task", bad["code"], [{"refused": "forbidden"}]),
        ("push_create_task", sound["code"], [{}]),
        ("push_create_task", single["code"], [{"refused": "forbidden"}, {"refused": "forbidden", "dry_run": True}]),
        ("push_change_task", theirs, [{"refused": "forbidden"}]),
        ("push_replay_message", theirs, [{"refused": "forbidden"}]),
    ):
        said = [json.loads(row.extra) for row in server.log(event, code)]
        assert [{name: one[name] for name in ("refused", "dry_run") if name in one} for one in said] == told, event


def test_a_try_is_on_record_as_one(server: ApiServer) -> None:
    body = task()
    server.push("POST", "/tasks?dry_run=true", body)
    server.push("POST", "/tasks", body)
    tried, created = (json.loads(row.extra) for row in server.log("push_create_task", body["code"]))
    assert (tried.pop("dry_run"), tried) == (True, created)


def test_each_task_of_a_bulk_call_is_on_record(server: ApiServer) -> None:
    named, broken = task(), task(recipients=["nobody"])
    unnamed = {name: value for name, value in task().items() if name != "code"}
    answer = server.push("POST", "/tasks/bulk", {"tasks": [named, broken, unnamed, 3]}, role="user").json
    assert [item["status"] for item in answer["items"]] == [201, 422, 201, 422]
    for code in (named["code"], broken["code"], answer["items"][2]["task"]["code"]):
        (row,) = server.log("push_create_task", code)
        assert (row.owner, json.loads(row.extra)["name"]) == ("user", "API")
    assert json.loads(server.log("push_create_tasks")[-1].extra) == {"tasks": "4 in all"}


def test_what_was_refused_is_on_record_too(server: ApiServer) -> None:
    code = server.create()
    server.push("PATCH", f"/tasks/{code}", {"subject": ""})
    assert len(server.log("push_change_task", code)) == 1
