"""Addresses that are gone: who sees which, and who may take one off."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from api_server import ApiServer


def test_a_list_says_what_was_found_out(server: ApiServer) -> None:
    code = server.create()
    old = server.suppress(code, address=f"{code}-old", suppressed_at="2026-01-01T00:00:00Z", reason="not found")
    new = server.suppress(code, address=f"{code}-new")
    answer = server.push("GET", "/suppressions", role="viewer", task=code)
    assert answer.status == 200, answer
    assert [item["id"] for item in answer.json["items"]] == [new, old]
    assert answer.json["total_entries"] == 2
    assert answer.json["items"][1] == {
        "id": old,
        "channel": "app",
        "address": f"{code}-old",
        "code": "UNREGISTERED",
        "reason": "not found",
        "task": code,
        "suppressed_at": "2026-01-01T00:00:00Z",
    }
    for query, expected in (
        ({"address": f"{code}-old"}, [old]),
        ({"channel": "app", "limit": 1, "offset": 1}, [old]),
        ({"channel": "email"}, []),
        ({"from": "2026-02-01T00:00:00Z"}, [new]),
        ({"to": "2026-02-01T00:00:00Z"}, [old]),
    ):
        items = server.push("GET", "/suppressions", task=code, **query).json["items"]
        assert [item["id"] for item in items] == expected, query


def test_one_is_taken_off_once(server: ApiServer) -> None:
    code = server.create(app="shop")
    number = server.suppress(code)
    assert server.push("DELETE", f"/suppressions/{number}", role="viewer").status == 403
    assert server.push("DELETE", f"/suppressions/{number}", role="user").status == 204
    again = server.push("DELETE", f"/suppressions/{number}", role="user")
    assert (again.status, again.json["code"]) == (404, "unknown-suppression")
    assert server.push("GET", "/suppressions", task=code).json["items"] == []
    refused, entry = server.log("push_delete_suppression", code)
    assert (refused.owner, refused.extra) == ("viewer", f'{{"suppression": {number}, "refused": "forbidden"}}')
    assert (entry.owner, entry.extra) == ("user", f'{{"suppression": {number}}}')


@pytest.mark.parametrize(
    ("query", "field"), [({"task": "No Code"}, "task"), ({"from": "today"}, "from"), ({"address": ""}, "address")]
)
def test_parameters_that_make_no_sense(server: ApiServer, query: dict[str, str], field: str) -> None:
    answer = server.push("GET", "/suppressions", **query)
    assert (answer.status, answer.fields) == (422, [field])
