"""Pages of other sites, which a user's browser may have open, change nothing with the cookie of that user."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from api_server import ApiServer


@pytest.fixture(scope="module")
def code(server: ApiServer) -> str:
    return server.create()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"Origin": "http://127.0.0.1:{port}"}, 200),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1:{port}"}, 200),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": "http://localhost:{port}"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:1"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
@pytest.mark.parametrize("call", ["pause", "resume"])
def test_a_cookie_needs_our_own_page(
    server: ApiServer, code: str, call: str, headers: dict[str, str], status: int
) -> None:
    sent = {name: value.format(port=server.port) for name, value in headers.items()}
    sent["Cookie"] = f"_token={server.token('admin')}"
    server.push("POST", f"/tasks/{code}/{'resume' if call == 'pause' else 'pause'}")
    answer = server.call("POST", f"/push/v1/tasks/{code}/{call}", role=None, headers=sent)
    assert answer.status == status, answer
    is_paused = server.push("GET", f"/tasks/{code}").json["status"] == "paused"
    assert is_paused is ((call == "pause") == (status == 200))
    if status == 403:
        assert answer.json["code"] == "cross-origin"


@pytest.mark.parametrize("role", [None, "admin"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/tasks"),
        ("POST", "/tasks/bulk"),
        ("PATCH", "/tasks/{code}"),
        ("DELETE", "/tasks/{code}"),
        ("POST", "/tasks/{code}/trigger"),
        ("POST", "/tasks/{code}/cancel"),
        ("POST", "/executions/1/redrive"),
        ("POST", "/preview"),
        ("PUT", "/configs/push_email_default/default"),
        ("POST", "/configs/push_email_default/test"),
    ],
)
def test_every_call_that_changes_something_asks(
    server: ApiServer, code: str, method: str, path: str, role: str | None
) -> None:
    headers = {"Origin": "https://evil.example"}
    answer = server.call(method, f"/push/v1{path.format(code=code)}", {}, role=role, headers=headers)
    assert (answer.status, answer.json["code"]) == (403, "cross-origin")


def test_reading_and_programs_are_as_ever(server: ApiServer, code: str) -> None:
    cookie = {"Cookie": f"_token={server.token('viewer')}", "Sec-Fetch-Site": "cross-site"}
    assert server.call("GET", f"/push/v1/tasks/{code}", role=None, headers=cookie).status == 200
    assert server.push("POST", f"/tasks/{code}/pause").status == 200


def test_with_a_login_any_name_of_the_server_is_answered(server: ApiServer) -> None:
    answer = server.call("GET", "/push/v1/tasks", headers={"Host": "push.example.com"})
    assert answer.status == 200
