"""Who may do what: call by call, role by role, under each of Airflow's auth managers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from roles import RIGHTS, Setting

if TYPE_CHECKING:
    from api_server import ApiServer


@pytest.fixture(scope="module")
def setting(server: ApiServer) -> Setting:
    return Setting(server)


def test_every_call_answers_every_role_as_it_declares(setting: Setting) -> None:
    assert len(setting.calls) > 20
    assert setting.deviations(RIGHTS) == {}


def test_nobody_is_told_how_to_log_in(server: ApiServer) -> None:
    answer = server.push("GET", "/tasks", role=None)
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "/auth/token" in answer.json["detail"]


def test_a_forged_token_is_refused(server: ApiServer) -> None:
    answer = server.push("GET", "/tasks", role=None, headers={"Authorization": "Bearer nonsense"})
    assert answer.status == 403
    assert answer.json["code"] == "forbidden"
