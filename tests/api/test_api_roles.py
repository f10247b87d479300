"""Who may do what: call by call, role by role, under each of Airflow's auth managers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from roles import CALLS, ROLES, Setting

if TYPE_CHECKING:
    from api_server import ApiServer


@pytest.fixture(scope="module")
def setting(server: ApiServer) -> Setting:
    return Setting(server)


def test_every_call_is_in_the_table(server: ApiServer) -> None:
    paths = server.call("GET", "/push/openapi.json").json["paths"]
    described = {f"{method.upper()} {path.removeprefix('/v1')}" for path in paths for method in paths[path]}
    assert described == {name.split("?")[0] for name in CALLS if "csv" not in name and "/push/" not in name}


@pytest.mark.parametrize("name", CALLS)
def test_role_by_role(setting: Setting, name: str) -> None:
    answers = {role: setting.call(name, role) for role in ROLES}
    assert {role: answer.status for role, answer in answers.items()} == dict(zip(ROLES, CALLS[name], strict=True))
    for role, answer in answers.items():
        if answer.status >= 400:
            assert answer.headers["content-type"] == "application/problem+json", role
            assert answer.json["status"] == answer.status


def test_nobody_is_told_how_to_log_in(server: ApiServer) -> None:
    answer = server.push("GET", "/tasks", role=None)
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "/auth/token" in answer.json["detail"]


def test_a_forged_token_is_refused(server: ApiServer) -> None:
    answer = server.push("GET", "/tasks", role=None, headers={"Authorization": "Bearer nonsense"})
    assert answer.status == 403
    assert answer.json["code"] == "forbidden"
