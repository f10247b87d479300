"""Who may do what: call by call, role by role, under each of Airflow's auth managers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from api_server import task
from roles import CONFIG, RIGHTS, Setting

if TYPE_CHECKING:
    from api_server import ApiServer


@pytest.fixture(scope="module")
def setting(server: ApiServer) -> Setting:
    return Setting(server)


@pytest.mark.slow
def test_every_call_answers_every_role_as_it_declares(setting: Setting) -> None:
    assert len(setting.calls) > 20
    assert setting.deviations(RIGHTS) == {}


def test_every_role_is_told_its_rights(setting: Setting) -> None:
    assert setting.rights_told(RIGHTS) == {}


@pytest.mark.slow
def test_every_effect_is_allowed_to_those_who_may(setting: Setting) -> None:
    assert setting.deviations_of_effects(RIGHTS) == {}


def test_nobody_is_told_how_to_log_in(server: ApiServer) -> None:
    answer = server.push("GET", "/tasks", role=None)
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "/auth/token" in answer.json["detail"]


def test_a_forged_token_is_refused(server: ApiServer) -> None:
    answer = server.push("GET", "/tasks", role=None, headers={"Authorization": "Bearer nonsense"})
    assert answer.status == 403
    assert answer.json["code"] == "forbidden"


# --- configurations -----------------------------------------------------------------------------------

HIDDEN = ("ceo", "books", "shop-mail", "no-such", "push_email_default")


@pytest.mark.parametrize("how", ["POST /tasks", "POST /tasks?dry_run=true", "PATCH /tasks/{code}"])
def test_a_connection_that_one_may_not_use_answers_as_none(setting: Setting, how: str) -> None:
    method, path = how.split(" ")
    code = setting.server.create(app="user")
    seen = set()
    for conn_id in HIDDEN:
        body = {"config": conn_id} if method == "PATCH" else task(config=conn_id)
        answer = setting.server.push(method, path.format(code=code), body, role="user")
        assert (answer.status, answer.fields) == (403, ["config"])
        seen.add(answer.data.decode().replace(conn_id, "…"))
    assert len(seen) == 1


def test_nobody_sends_as_the_ceo_by_another_s_task(setting: Setting) -> None:
    """Whoever may not use its configuration does not change what a task says in its name."""
    code = setting.server.create(config="ceo", app="shop")
    patch = {"content": "You are all dismissed", "recipients": ["all@example.com"]}
    assert setting.server.push("PATCH", f"/tasks/{code}", patch, role="user").fields == ["config"]
    assert setting.server.push("PATCH", f"/tasks/{code}", {**patch, "config": None}, role="user").status == 200


def test_a_sender_s_address_finds_nothing_for_those_who_may_not_see_connections(setting: Setting) -> None:
    code = setting.server.create(config="ceo")
    for role, found in (("op", [code]), ("user", [])):
        items = setting.server.push("GET", "/tasks", role=role, sender="ceo@example.com").json["items"]
        assert [item["code"] for item in items if item["code"] == code] == found


def test_a_default_that_names_applications_is_theirs(setting: Setting) -> None:
    server = setting.server

    def names(apps: str) -> None:
        changed = {**CONFIG, "extra": json.dumps({"apps": apps})}
        path = f"/api/v2/connections/{CONFIG['connection_id']}"
        assert server.call("PATCH", path, changed).status == 200

    names("shop")
    try:
        for role in ("user", "admin"):
            assert server.push("POST", "/tasks", task(app=role), role=role).fields == ["config"]
            assert server.push("POST", "/tasks", task(app="shop"), role=role).status == 201
        for role, status in (("user", 403), ("op", 201)):
            named = task(app=role, config=CONFIG["connection_id"])
            assert server.push("POST", "/tasks", named, role=role).status == status
    finally:
        names("")


# --- applications -------------------------------------------------------------------------------------


def test_left_out_the_application_is_one_that_the_caller_may_act_for(server: ApiServer) -> None:
    for role in ("user", "op", "admin"):
        made = server.push("POST", "/tasks", task(), role=role).json
        assert (made["app"], made["owner"]) == (role, role)


def test_nobody_uses_another_s_quota_or_task(server: ApiServer) -> None:
    theirs = server.create(app="crm")
    for patch in ({"subject": "Mine"}, {"app": "user"}, {"app": None}):
        answer = server.push("PATCH", f"/tasks/{theirs}", patch, role="user")
        assert (answer.status, answer.fields) == (403, ["app"])
        assert "shop, user" in answer.json["detail"]
    mine = server.push("POST", "/tasks", task(), role="user").json["code"]
    for patch, field in (({"app": "crm"}, "app"), ({"app": None}, "app"), ({"owner": "ceo"}, "owner")):
        assert server.push("PATCH", f"/tasks/{mine}", patch, role="user").fields == [field]
    assert server.push("PATCH", f"/tasks/{mine}", {"app": "shop"}, role="user").status == 200
    hidden = {"task": task(app="crm", attachments=["attachments/crm/customers.csv"])}
    assert server.push("POST", "/preview", hidden, role="user").fields == ["app"]


ACTS = (
    ("push_trigger_task", "POST", "/tasks/{code}/trigger", 202),
    ("push_redrive_execution", "POST", "/executions/{execution}/redrive", 409),  # it is still under way
    ("push_replay_message", "POST", "/rejected/{message}/replay", 200),
    ("push_pause_task", "POST", "/tasks/{code}/pause", 200),
    ("push_resume_task", "POST", "/tasks/{code}/resume", 200),
    ("push_delete_suppression", "DELETE", "/suppressions/{suppression}", 204),
    ("push_cancel_task", "POST", "/tasks/{code}/cancel", 200),
    ("push_delete_task", "DELETE", "/tasks/{code}?purge=true", 204),
)
"""What is done with a push task that is there: its event in the audit log, the call, and the answer to who may."""


@pytest.mark.slow
@pytest.mark.parametrize("app", ["crm", None])
def test_nobody_acts_for_another_application(server: ApiServer, app: str | None) -> None:
    """By Kafka and by command line a push task may be that of none; it is not that of whoever a rule binds, either."""
    code = server.create(app="crm", known=True)
    begun = server.push("POST", f"/tasks/{code}/trigger").json
    server.rows("UPDATE push_task SET app = :app WHERE code = :code", app=app, code=code)
    names = {
        "code": code,
        "execution": begun["execution"],
        "message": server.reject({"task": code}, code),
        "suppression": server.suppress(code),
    }
    assert server.push("GET", "/me", task=code, role="user").json["rights"] == ["read"]
    assert {"read", "edit", "run", "delete"} <= set(server.push("GET", "/me", task=code).json["rights"])
    for event, method, path, status in ACTS:
        path = path.format(**names)
        before = len(server.log(event, code))
        refused = server.push(method, path, role="user")
        assert (refused.status, refused.json["code"]) == (403, "forbidden"), event
        assert "you may act for shop, user ([push] app_rules)" in refused.json["detail"]
        (row,) = server.log(event, code)[before:]
        assert (row.owner, json.loads(row.extra)["refused"]) == ("user", "forbidden"), event
        assert server.push("GET", f"/tasks/{code}", role="user").status == 200
        assert server.push(method, path).status == status, event


def test_of_a_push_task_that_is_not_there_the_answer_is_that(server: ApiServer) -> None:
    for method, path in (("POST", "/tasks/nobodys/trigger"), ("DELETE", "/tasks/nobodys")):
        assert server.push(method, path, role="user").status == 404
