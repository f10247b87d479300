"""Messages that could not be used: what is shown of them, and what becomes of them when they are tried again."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest
from api_server import task

if TYPE_CHECKING:
    from api_server import ApiServer


class Pile:
    """Rejected messages of a push task of their own, and one of another."""

    def __init__(self, server: ApiServer) -> None:
        self.server = server
        self.code = server.create()
        self.ids = {
            "old": server.reject({"task": self.code, "n": 1}, self.code, rejected_at="2026-01-01T00:00:00Z"),
            "replayed": server.reject({"task": self.code, "n": 2}, self.code, replayed_at="2026-07-01T00:00:00Z"),
            "new": server.reject({"task": self.code, "n": 3}, self.code, element=2, offset=2**40),
            "other": server.reject({"task": "nobody-s"}, "nobody-s"),
        }

    def found(self, **filters: Any) -> list[str]:
        answer = self.server.push("GET", "/rejected", **filters)
        assert answer.status == 200, answer
        names = {number: name for name, number in self.ids.items()}
        found = [names[item["id"]] for item in answer.json["items"] if item["id"] in names]
        if "task" in filters:
            assert answer.json["total_entries"] == len(found)
        return found


@pytest.fixture(scope="module")
def pile(server: ApiServer) -> Pile:
    return Pile(server)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, ["other", "new", "replayed", "old"]),
        ({"task": "{code}"}, ["new", "replayed", "old"]),
        ({"task": "{code}", "replayed": "true"}, ["replayed"]),
        ({"task": "{code}", "replayed": "false"}, ["new", "old"]),
        ({"task": "{code}", "from": "2026-02-01T00:00:00Z"}, ["new", "replayed"]),
        ({"task": "{code}", "to": "2026-02-01T00:00:00Z"}, ["old"]),
        ({"task": "{code}", "from": "2026-01-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, []),
    ],
)
def test_filters(pile: Pile, filters: dict[str, str], expected: list[str]) -> None:
    assert pile.found(**{name: value.format(code=pile.code) for name, value in filters.items()}) == expected


def test_pages(pile: Pile) -> None:
    page = pile.server.push("GET", "/rejected", task=pile.code, limit=1, offset=1).json
    assert [item["id"] for item in page["items"]] == [pile.ids["replayed"]]
    assert page["total_entries"] == 3
    (shown,) = pile.server.push("GET", "/rejected", task=pile.code, limit=1).json["items"]
    assert (shown["task"], shown["topic"], shown["offset"], shown["element"]) == (pile.code, "orders", 2**40, 2)
    assert "text" not in shown


@pytest.mark.parametrize(
    ("query", "field"), [({"replayed": "1"}, "replayed"), ({"task": "No Code"}, "task"), ({"from": "today"}, "from")]
)
def test_parameters_that_make_no_sense(server: ApiServer, query: dict[str, str], field: str) -> None:
    answer = server.push("GET", "/rejected", **query)
    assert (answer.status, answer.fields) == (422, [field])


@pytest.mark.parametrize(
    ("value", "text", "content"),
    [
        ("{ \u4f60\u597d\0".encode(), "{ \u4f60\u597d\0", None),
        (b"\xff\xfe", None, base64.b64encode(b"\xff\xfe").decode()),
        (b"", "", None),
        (None, None, None),
    ],
)
def test_the_message_itself(server: ApiServer, value: bytes | None, text: str | None, content: str | None) -> None:
    number = server.reject(value)
    found = server.push("GET", f"/rejected/{number}", role="viewer").json
    assert (found["text"], found["content_base64"]) == (text, content)
    assert found["size"] == (None if value is None else len(value))


@pytest.mark.parametrize(("method", "below"), [("GET", ""), ("POST", "/replay")])
def test_there_is_none(server: ApiServer, method: str, below: str) -> None:
    answer = server.push(method, f"/rejected/{2**50}{below}")
    assert (answer.status, answer.json["code"]) == (404, "unknown-message")


@pytest.mark.slow
def test_a_message_is_taken_when_what_was_wrong_is_in_order(server: ApiServer) -> None:
    fields = task(app="shop")
    code = fields["code"]
    number = server.reject({"task": code, "recipients": ["c@example.com"]}, code)

    def replay() -> Any:
        answer = server.push("POST", f"/rejected/{number}/replay", role="user")
        assert answer.status == 200, answer
        return answer.json

    refused = replay()
    assert (refused["action"], refused["deliveries"]) == ("rejected", 0)
    assert "There is no push task" in refused["reason"]
    assert server.push("GET", f"/rejected/{number}").json["reason"] == refused["reason"]
    assert server.push("POST", "/tasks", fields).status == 201
    server.await_dag(code)
    assert replay() == {"id": number, "action": "taken", "reason": None, "deliveries": 1, "tasks": 0}
    (execution,) = server.push("GET", "/executions", task=code).json["items"]
    assert (execution["source"], execution["total"]) == ("kafka", 1)
    run = f"/api/v2/dags/push__{code}/dagRuns/{execution['run_id']}"
    assert server.call("GET", run).json["conf"] == {"execution": execution["id"]}
    assert replay()["action"] == "taken-before"
    assert server.push("GET", "/executions", task=code).json["total_entries"] == 1
    (listed,) = server.push("GET", "/rejected", task=code).json["items"]
    assert listed["replayed_at"] is not None
    written = server.log("push_replay_message", code)
    assert [(row.owner, row.extra) for row in written] == [("user", f'{{"message": {number}}}')] * 3


def test_a_message_injects_what_its_reader_may_inject(server: ApiServer) -> None:
    for fields, broken in (
        ({"app": "crm", "owner": "user"}, ["define.app"]),
        ({"app": "shop", "owner": "ceo"}, ["define.owner"]),
        ({"app": "shop", "owner": "user", "config": "no-such"}, ["define.config"]),
        ({"app": "shop", "owner": "user"}, []),
    ):
        defined = task(**fields)
        number = server.reject({"define": defined}, defined["code"])
        assert server.push("POST", f"/rejected/{number}/replay", role="viewer").status == 403
        answer = server.push("POST", f"/rejected/{number}/replay", role="user")
        assert (answer.status, [] if answer.status == 200 else answer.fields) == (403 if broken else 200, broken)
        made = server.push("GET", f"/tasks/{defined['code']}").status
        assert made == (404 if broken else 200)
        kept = server.push("GET", f"/rejected/{number}").json
        assert (kept["replayed_at"] is None) == bool(broken)


def test_a_message_of_no_task_takes_to_edit_tasks(server: ApiServer) -> None:
    number = server.reject(b"{")
    for role, status in (("viewer", 403), ("user", 200)):
        assert server.push("POST", f"/rejected/{number}/replay", role=role).status == status
