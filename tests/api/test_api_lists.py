"""Lists, the CSV, statistics, configurations, preview: what is found, and what is never shown."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import pytest
from api_server import task
from roles import CONFIG

if TYPE_CHECKING:
    from api_server import ApiServer


class Shelf:
    """Three tasks of an application of their own, told apart by every filter."""

    def __init__(self, server: ApiServer) -> None:
        self.server = server
        self.codes = {
            "plain": server.create(app="shelf", name="Plain tale"),
            "once": server.create(app="shelf", owner="Han Meimei", execution={"type": "once"}, config="my-qq"),
            "later": server.create(
                app="shelf",
                name="100%_done",
                schedule={"kind": "daily", "time": "09:00"},
                recipients=["Buyer@Example.com"],
            ),
        }
        self.begun = server.push("POST", f"/tasks/{self.codes['plain']}/trigger").json

    def found(self, **filters: Any) -> set[str]:
        answer = self.server.push("GET", "/tasks", app="shelf", **filters)
        assert answer.status == 200, answer
        names = {code: name for name, code in self.codes.items()}
        found = {names[item["code"]] for item in answer.json["items"]}
        assert answer.json["total_entries"] == len(found)
        assert answer.json["total_is_exact"] is True
        return found


@pytest.fixture(scope="module")
def shelf(server: ApiServer) -> Shelf:
    server.call("POST", "/api/v2/connections", CONFIG)
    return Shelf(server)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, {"plain", "once", "later"}),
        ({"channel": "email"}, {"plain", "once", "later"}),
        ({"channel": "sms"}, set()),
        ({"status": "running"}, {"plain"}),
        ({"status": "pending"}, {"once", "later"}),
        ({"status": "cancelled"}, set()),
        ({"execution_type": "once"}, {"once"}),
        ({"delayed": "true"}, {"later"}),
        ({"delayed": "false"}, {"plain", "once"}),
        ({"sender": "my-qq"}, {"once"}),
        ({"sender": "push_email_default"}, {"plain", "later"}),
        ({"sender": "push@example.com"}, {"plain", "later"}),
        ({"recipient": "Buyer@example.com"}, {"later"}),
        ({"recipient": "a@example.com"}, {"plain", "once"}),
        ({"recipient": "nobody@example.com"}, set()),
        ({"name": "plain"}, {"plain"}),
        ({"name": "%_"}, {"later"}),
        ({"search": "PLAIN"}, {"plain"}),
        ({"search": "uyer@exa"}, {"later"}),
        ({"search": "@example"}, {"plain", "once", "later"}),
        ({"search": "MY-q"}, {"once"}),
        ({"search": "email_def"}, {"plain", "later"}),
        ({"search": "push@ex"}, {"plain", "later"}),
        ({"search": "0%_d"}, {"later"}),
        ({"search": "nobody"}, set()),
        ({"search": "@example", "name": "plain"}, {"plain"}),
        ({"owner": "Han Meimei"}, {"once"}),
        ({"last_run_from": "2020-01-01T00:00:00Z"}, {"plain"}),
        ({"last_run_to": "2020-01-01T00:00:00Z"}, set()),
        ({"owner": "admin", "delayed": "true"}, {"later"}),
    ],
)
def test_filters_of_tasks(shelf: Shelf, filters: dict[str, str], expected: set[str]) -> None:
    assert shelf.found(**filters) == expected


def test_pages_and_orders(shelf: Shelf) -> None:
    def codes(**query: Any) -> list[str]:
        return [item["code"] for item in shelf.server.push("GET", "/tasks", app="shelf", **query).json["items"]]

    everything = codes(order_by="code")
    assert everything == sorted(shelf.codes.values())
    assert codes(order_by="-code") == everything[::-1]
    assert codes() == list(shelf.codes.values())[::-1]
    assert [codes(order_by="code", limit=1, offset=offset) for offset in range(4)] == [[c] for c in everything] + [[]]
    page = shelf.server.push("GET", "/tasks", app="shelf", limit=1).json
    assert page["total_entries"] == 3


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"offset": 10_001}, "offset"),
        ({"order_by": "spec"}, "order_by"),
        ({"status": "gone"}, "status"),
        ({"delayed": "maybe"}, "delayed"),
        ({"last_run_from": "2026-07-01T09:00:00"}, "last_run_from"),
        ({"last_run_from": "yesterday"}, "last_run_from"),
        ({"name": "a\0b"}, "name"),
        ({"search": "a\0b"}, "search"),
        ({"search": ""}, "search"),
    ],
)
def test_parameters_that_make_no_sense(server: ApiServer, query: dict[str, Any], field: str) -> None:
    answer = server.push("GET", "/tasks", **query)
    assert (answer.status, answer.fields) == (422, [field])


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        ({}, 1),
        ({"state": "planned"}, 1),
        ({"state": "failed"}, 0),
        ({"source": "rest"}, 1),
        ({"source": "kafka"}, 0),
        ({"run": "rest__0"}, 0),
        ({"from": "2020-01-01T00:00:00+08:00"}, 1),
        ({"to": "2020-01-01T00:00:00Z"}, 0),
    ],
)
def test_filters_of_executions(shelf: Shelf, filters: dict[str, str], count: int) -> None:
    page = shelf.server.push("GET", "/executions", task=shelf.codes["plain"], **filters).json
    assert (len(page["items"]), page["total_entries"]) == (count, count)


def test_the_execution_of_a_run(shelf: Shelf) -> None:
    task = shelf.codes["plain"]
    (execution,) = shelf.server.push("GET", "/executions", task=task).json["items"]
    found = shelf.server.push("GET", "/executions", task=task, run=execution["run_id"]).json
    assert [one["id"] for one in found["items"]] == [execution["id"]]
    refused = shelf.server.push("GET", "/executions", run=execution["run_id"])
    assert (refused.status, refused.fields) == (422, ["task"])


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        ({"task": "{plain}"}, 2),
        ({"execution": "{execution}"}, 2),
        ({"execution": "{execution}", "recipient": "a@example.com"}, 1),
        ({"task": "{plain}", "state": "pending"}, 2),
        ({"task": "{plain}", "state": "failed"}, 0),
        ({"task": "{plain}", "state": "sent"}, 0),
        ({"task": "{plain}", "to": "2020-01-01T00:00:00Z"}, 0),
        ({"task": "{once}"}, 0),
    ],
)
def test_filters_of_deliveries(shelf: Shelf, filters: dict[str, str], count: int) -> None:
    known = {**shelf.codes, "execution": shelf.begun["execution"]}
    query = {name: value.format(**known) for name, value in filters.items()}
    page = shelf.server.push("GET", "/deliveries", **query).json
    assert (len(page["items"]), page["total_entries"]) == (count, count)


@pytest.mark.slow
@pytest.mark.parametrize("accept", ["application/json", "text/csv"])
@pytest.mark.parametrize(("part", "found"), [("ONE@PART", 1), ("@part", 2), ("e@p", 1), ("nobody@part", 0)])
def test_deliveries_by_part_of_an_address(server: ApiServer, part: str, found: int, accept: str) -> None:
    code = server.create(recipients=["one@part.example", "two@part.example"])
    assert server.push("POST", f"/tasks/{code}/trigger").status == 202
    answer = server.push("GET", "/deliveries", task=code, search=part, headers={"Accept": accept})
    assert (answer.status, answer.data.count(b"@part.example")) == (200, found)


def test_a_part_of_an_address_has_three_characters_or_more(server: ApiServer) -> None:
    assert server.push("GET", "/deliveries", search="@p").fields == ["search"]


def test_an_unknown_execution(server: ApiServer) -> None:
    for number in (999_999_999, 2**62):
        answer = server.push("GET", f"/executions/{number}")
        assert (answer.status, answer.json["code"]) == (404, "unknown-execution")
    assert server.push("GET", f"/executions/{2**63}").status == 422


def test_the_csv_is_whole_and_no_formula(server: ApiServer) -> None:
    code = server.create()
    people = [f"r{number}@example.com" for number in range(2500)]
    begun = server.push("POST", f"/tasks/{code}/trigger", {"recipients": people}).json
    server.rows(
        "UPDATE push_delivery SET error_text = '=1+1, \"x\"', error_code = '-5', provider_id = '+447911123456'"
        " WHERE execution_id = :id AND recipient = 'r7@example.com'",
        id=begun["execution"],
    )
    answer = server.push("GET", "/deliveries", task=code, limit=1, headers={"Accept": "text/csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.data.decode())))
    assert sorted(row["recipient"] for row in rows) == sorted(people)
    (odd,) = [row for row in rows if row["recipient"] == "r7@example.com"]
    assert (odd["error_text"], odd["error_code"]) == ('\'=1+1, "x"', "'-5")
    assert odd["message_id"] == "+447911123456"
    for_excel = server.push("GET", "/deliveries", task=code, excel="true")
    assert for_excel.headers["content-type"] == "text/csv; charset=utf-8"
    assert for_excel.data.startswith(b"\xef\xbb\xbfid,")
    assert for_excel.data.count(b"\xef\xbb\xbf") == 1
    rows_of_excel = list(csv.DictReader(io.StringIO(for_excel.data.decode("utf-8-sig"))))
    assert [row["id"] for row in rows_of_excel] == [row["id"] for row in rows]
    (odd,) = [row for row in rows_of_excel if row["recipient"] == "r7@example.com"]
    assert (odd["error_text"], odd["message_id"]) == ('\'=1+1, "x"', '="+447911123456"')
    none = server.push("GET", "/deliveries", task=server.create(), headers={"Accept": "text/csv"})
    assert none.data.decode().splitlines() == [",".join(rows[0])]


def test_statistics(shelf: Shelf) -> None:
    hours = shelf.server.push("GET", "/stats", app="shelf").json["items"]
    assert [(hour["channel"], hour["executions"], hour["deliveries"]) for hour in hours] == [("email", 1, 2)]
    shelf.server.rows("UPDATE push_execution SET sent = 1, failed = 1 WHERE id = :id", id=shelf.begun["execution"])
    (hour,) = shelf.server.push("GET", "/stats", app="shelf", channel="email").json["items"]
    assert (hour["sent"], hour["failed"], hour["unknown"]) == (1, 1, 0)
    for query in ({"from": "2026-01-01T00:00:00Z", "to": "2026-03-01T00:00:00Z"}, {"from": "2999-01-01T00:00:00Z"}):
        assert shelf.server.push("GET", "/stats", **query).fields == ["from"]


# --- configurations -------------------------------------------------------------------------------------


def test_configurations_without_secrets(server: ApiServer) -> None:
    server.call("POST", "/api/v2/connections", CONFIG)
    server.call("POST", "/api/v2/connections", {**CONFIG, "connection_id": "my-secret", "password": "open sesame"})
    server.call("POST", "/api/v2/connections", {"connection_id": "other", "conn_type": "http", "host": "example.com"})
    answer = server.push("GET", "/configs")
    assert b"open sesame" not in answer.data
    found = {item["id"]: item for item in answer.json["items"]}
    assert "other" not in found
    assert found["my-secret"]["channel"] == "email"
    assert found["my-secret"]["sender"] == "push@example.com"
    assert found["my-secret"]["settings"] == {"from_name": "Push", "ignore_tls": True}
    assert found["push_email_default"]["is_default"] is True


def test_a_configuration_is_tried(server: ApiServer) -> None:
    server.call("POST", "/api/v2/connections", CONFIG)
    answer = server.push("POST", "/configs/push_email_default/test")
    assert answer.status == 200
    assert answer.json["ok"] is False
    assert "127.0.0.1:1" in answer.json["message"]
    plain = {"connection_id": "plain", "conn_type": "smtp", "host": "127.0.0.1", "port": 1, "login": "a@example.com"}
    server.call("POST", "/api/v2/connections", plain)
    answer = server.push("POST", "/configs/plain/test")
    assert answer.status == 200, "Airflow's own type of mail accounts has a test, too"
    assert answer.json["message"].startswith("Connection 'plain': the mail server 127.0.0.1:1 cannot be reached")
    assert server.push("POST", "/configs/nobody/test").status == 404
    assert server.log("push_test_config")


def test_email_services(server: ApiServer) -> None:
    page = server.push("GET", "/email-services", role="viewer").json
    assert page["total_entries"] == 47
    (qq,) = [one for one in page["items"] if one["name"] == "QQ"]
    assert (qq["host"], qq["port"], qq["secure"]) == ("smtp.qq.com", 465, True)


# --- preview --------------------------------------------------------------------------------------------


def test_preview_of_a_task_that_exists_and_of_one_that_does_not(server: ApiServer) -> None:
    fields: dict[str, Any] = {"subject": "No. {{ n }}", "content": "<p>{{ n }} for {{ to }}</p>", "variables": {"n": 1}}
    code = server.create(**fields)
    body: dict[str, Any] = {"code": code, "recipients": [{"to": "c@example.com", "variables": {"n": 2}}]}
    answer = server.push("POST", "/preview", body).json
    assert (answer["to"], answer["subject"], answer["text"].strip()) == (
        "c@example.com",
        "No. 2",
        "2 for c@example.com",
    )
    answer = server.push("POST", "/preview", {"task": task(**fields), "variables": {"n": 3}}).json
    assert (answer["to"], answer["subject"]) == ("a@example.com", "No. 3")
    assert server.push("GET", "/executions", task=code).json["total_entries"] == 0


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 422, "task"),
        ({"code": "x", "task": {}}, 422, "task"),
        ({"task": {"name": "n"}}, 422, "task.channel"),
        ({"code": "no such"}, 422, "code"),
        ({"nonsense": 1}, 422, "nonsense"),
        ({"task": task(content="{{ missing }}")}, 422, None),
        ({"task": task(recipients=[])}, 422, "recipients"),
        ({"code": "nobody-knows"}, 404, None),
    ],
)
def test_what_cannot_be_shown(server: ApiServer, body: Any, status: int, field: str | None) -> None:
    answer = server.push("POST", "/preview", body)
    assert answer.status == status
    assert field is None or field in answer.fields
