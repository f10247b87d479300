"""The same table under Airflow's FAB auth manager; and somebody who may see a single task."""

from __future__ import annotations

import http.cookiejar
import json
import os
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import compose_job
import fab as fab_environment
import pytest
from api_server import ROOT, ApiServer, task
from browser import CHROMIUM, logged_in
from roles import FAB_RIGHTS, Setting

if TYPE_CHECKING:
    from sandbox.postgres import PostgresServer

pytestmark = pytest.mark.slow

OWN = "clerks-own"


def prepared_as_in_compose(env: dict[str, str], bin_dir: Path) -> None:
    """Run the job of docker-compose.yaml that prepares everything; ``setsid``: a container has no terminal."""
    job = {**env, "PATH": f"{bin_dir}{os.pathsep}{env['PATH']}", **compose_job.ENVIRONMENT}
    script = ["setsid", "bash", str(compose_job.SCRIPT)]
    done = subprocess.run(script, env=job, capture_output=True, text=True, check=False, cwd=ROOT, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def fab(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    bin_dir = fab_environment.installed()
    home = tmp_path_factory.mktemp("fab") / "home"

    def people(env: dict[str, str]) -> None:
        prepared_as_in_compose(env, bin_dir)
        command = [str(bin_dir / "python"), str(Path(__file__).with_name("fab_people.py")), OWN]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, cwd=ROOT)
        assert done.returncode == 0, done.stdout + done.stderr

    settings = {"AIRFLOW__CORE__AUTH_MANAGER": fab_environment.AUTH_MANAGER}
    running = ApiServer.running(postgres, home, "fab", settings, bin_dir=bin_dir, prepare=people, migrate=False)
    with running as server:
        yield server


@pytest.fixture(scope="module")
def setting(fab: ApiServer) -> Setting:
    return Setting(fab)


def test_the_job_makes_a_connection_that_logs_in_to_kafka(fab: ApiServer) -> None:
    answer = fab.call("GET", "/api/v2/connections/kafka_default")
    extra = json.loads(answer.json["extra"])
    assert (extra["bootstrap.servers"], extra["sasl.username"], extra["sasl.password"]) == ("kafka:9092", "push", "***")


def test_every_call_answers_every_role_as_it_declares(setting: Setting) -> None:
    assert setting.deviations(FAB_RIGHTS) == {}


def test_every_role_is_told_its_rights(setting: Setting) -> None:
    assert setting.rights_told(FAB_RIGHTS) == {}


def test_every_effect_is_allowed_to_those_who_may(setting: Setting) -> None:
    assert setting.deviations_of_effects(FAB_RIGHTS) == {}


DAILY = {"kind": "daily", "time": "09:00"}
TWICE = {"type": "loop", "max_executions": 2}


@pytest.mark.parametrize(
    ("before", "patch", "field"),
    [
        ({}, {"schedule": {"kind": "now"}}, "schedule"),
        ({"schedule": DAILY}, {"recipients": ["mine@example.com"]}, "schedule"),
        ({"schedule": DAILY, "execution": {"type": "once"}}, {"execution": TWICE}, "schedule"),
        ({"execution": TWICE}, {"execution": {"max_executions": 9}}, "execution"),
    ],
)
def test_an_editor_makes_nothing_send(
    setting: Setting, before: dict[str, Any], patch: dict[str, Any], field: str
) -> None:
    code = setting.server.create(app="shop", **before)
    path = f"/tasks/{code}"
    refused = setting.server.push("PATCH", path, patch, role="editor")
    assert (refused.status, refused.fields) == (403, [field])
    (row,) = setting.server.log("push_change_task", code)
    assert json.loads(row.extra)["refused"] == "forbidden"
    assert setting.server.push("PATCH", path, patch, role="user").status == 200


def test_an_editor_reopens_no_finished_task(setting: Setting) -> None:
    """What was found: a scheduled task whose executions are used up, and a PATCH that gave it another recipient."""
    server = setting.server
    code = server.create(app="shop", schedule=DAILY, execution={"type": "once"})
    server.rows("UPDATE push_task SET executions = 1, status = 'finished' WHERE code = :code", code=code)
    patch = {"execution": TWICE, "recipients": ["mine@example.com"]}
    assert server.push("PATCH", f"/tasks/{code}", patch, role="editor").status == 403
    assert server.push("GET", f"/tasks/{code}").json["status"] == "finished"
    for fields in ({"schedule": DAILY}, {"schedule": {"kind": "now"}}):
        assert server.push("POST", "/tasks", task(**fields), role="editor").fields == ["schedule"]
        bulk = server.push("POST", "/tasks/bulk", {"tasks": [task(**fields), task()]}, role="editor").json
        assert [item["status"] for item in bulk["items"]] == [403, 201]


class Clerk:
    """Somebody who may see, edit and trigger the task ``clerks-own`` alone."""

    def __init__(self, setting: Setting) -> None:
        self.server = setting.server
        self.others = setting.code
        self.others_execution = setting.execution
        self.server.create(code=OWN, known=True, app="clerk")
        begun = self.server.push("POST", f"/tasks/{OWN}/trigger")
        assert begun.status == 202, begun
        self.execution = begun.json["execution"]

    def get(self, path: str, **query: Any) -> Any:
        answer = self.server.push("GET", path, role="clerk", **query)
        assert answer.status == 200, answer
        return answer.json

    def status(self, method: str, path: str, body: Any = None) -> int:
        return self.server.push(method, path, body, role="clerk").status


@pytest.fixture(scope="module")
def clerk(setting: Setting) -> Clerk:
    return Clerk(setting)


def test_lists_hold_what_the_caller_may_see(clerk: Clerk) -> None:
    assert [task["code"] for task in clerk.get("/tasks")["items"]] == [OWN]
    assert clerk.get("/tasks")["total_entries"] == 1
    assert {row["task"] for row in clerk.get("/executions")["items"]} == {OWN}
    assert {row["task"] for row in clerk.get("/deliveries")["items"]} == {OWN}
    for path in ("/executions", "/deliveries"):
        assert clerk.get(path, task=clerk.others)["items"] == []
    assert clerk.get("/deliveries", execution=clerk.others_execution)["items"] == []
    assert sum(hour["executions"] for hour in clerk.get("/stats")["items"]) == 1
    assert sum(hour["executions"] for hour in clerk.server.push("GET", "/stats").json["items"]) > 1


def test_rights_to_one_task_are_told(clerk: Clerk) -> None:
    assert clerk.get("/me")["rights"] == ["read", "edit", "run"]
    assert clerk.get("/me", task=OWN)["rights"] == ["read", "edit", "run"]
    assert clerk.get("/me", task=clerk.others)["rights"] == []
    assert clerk.get("/me", task="nobodys")["rights"] == []


def test_the_csv_holds_no_more(clerk: Clerk) -> None:
    answer = clerk.server.push("GET", "/deliveries", role="clerk", headers={"Accept": "text/csv"})
    lines = answer.data.decode().splitlines()[1:]
    assert lines
    assert all(f",{OWN}," in line for line in lines)


def test_messages_are_those_of_the_caller_s_tasks(clerk: Clerk) -> None:
    own, others, nobodys = (clerk.server.reject({"task": code}, code) for code in (OWN, clerk.others, None))
    assert {item["task"] for item in clerk.get("/rejected")["items"]} == {OWN}
    assert clerk.get(f"/rejected/{own}")["task"] == OWN
    for message in (others, nobodys):
        assert clerk.status("GET", f"/rejected/{message}") == 404
        assert clerk.status("POST", f"/rejected/{message}/replay") == 404
        assert clerk.server.push("GET", f"/rejected/{message}").status == 200
    assert clerk.status("POST", f"/rejected/{own}/replay") == 200


def test_suppressions_are_those_that_the_caller_s_tasks_found(clerk: Clerk) -> None:
    own, others = (clerk.server.suppress(code) for code in (OWN, clerk.others))
    assert [item["id"] for item in clerk.get("/suppressions")["items"]] == [own]
    assert clerk.status("DELETE", f"/suppressions/{others}") == 404
    assert others in [row["id"] for row in clerk.server.push("GET", "/suppressions", task=clerk.others).json["items"]]
    assert clerk.status("DELETE", f"/suppressions/{own}") == 204


@pytest.mark.parametrize(
    ("method", "path", "own", "others"),
    [
        ("GET", "/tasks/{code}", 200, 403),
        ("POST", "/tasks/{code}/trigger", 202, 403),
        ("PATCH", "/tasks/{code}", 200, 403),
        ("POST", "/tasks/{code}/pause", 200, 403),
        ("POST", "/tasks/{code}/resume", 200, 403),
        ("DELETE", "/tasks/{code}", 403, 403),
        ("GET", "/executions/{execution}", 200, 404),
        ("POST", "/executions/{execution}/redrive", 409, 404),
        ("POST", "/tasks/{code}/cancel", 200, 403),
    ],
)
def test_own_and_others(clerk: Clerk, method: str, path: str, own: int, others: int) -> None:
    body = {"name": "Mine"} if method == "PATCH" else None
    mine = path.format(code=OWN, execution=clerk.execution)
    theirs = path.format(code=clerk.others, execution=clerk.others_execution)
    assert (clerk.status(method, mine, body), clerk.status(method, theirs, body)) == (own, others)


def test_no_new_task(clerk: Clerk) -> None:
    assert clerk.status("POST", "/tasks", {"name": "Mine"}) == 403
    assert clerk.status("POST", "/tasks", {"code": "another", "name": "Mine"}) == 403
    assert clerk.status("POST", "/tasks/bulk", {"tasks": []}) == 403


def test_wrong_passwords_have_a_consequence(fab: ApiServer) -> None:
    """Airflow's login form, as compose ships it: five tries in 40 seconds of one address."""
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
    page = browser.open(f"{fab.url}/auth/login/", timeout=120).read().decode()
    token = page.partition('name="csrf_token"')[2].partition('value="')[2].partition('"')[0]
    form = urllib.parse.urlencode({"csrf_token": token, "username": "admin", "password": "guess"}).encode()
    statuses = []
    for _ in range(8):
        try:
            statuses.append(browser.open(f"{fab.url}/auth/login/", form, timeout=120).status)
        except urllib.error.HTTPError as error:
            statuses.append(error.code)
    assert statuses == [200] * 5 + [429] * 3


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_the_page_is_for_those_who_may_read_plugins(fab: ApiServer) -> None:
    """Airflow's own rule: its FAB roles Viewer and User see no plugin's page; Op does, and may write."""
    for role, sees in (("viewer", False), ("op", True)):
        with logged_in(fab.url, fab.token(role)) as page:
            with page.expect_response(lambda answer: answer.url.partition("?")[0].endswith("/api/v2/plugins")):
                page.goto("/")
            page.get_by_test_id("nav-home-link").wait_for()
            page.wait_for_load_state("networkidle")
            link = page.get_by_role("link", name="Push", exact=True)
            if not sees:
                assert link.count() == 0, role
            else:
                link.first.click()
                page.get_by_test_id("push-page").get_by_role("link", name="Push tasks", exact=True).click()
                page.get_by_role("link", name="New push task").wait_for()
