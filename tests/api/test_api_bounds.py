"""Limits, and bodies that nobody in their right mind would send."""

from __future__ import annotations

import http.client
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from api_server import Answer, ApiServer, simple_auth, task
from sqlalchemy import text

from push_provider.ledger import definitions

if TYPE_CHECKING:
    from sandbox.postgres import PostgresServer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def narrow(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A server with small limits."""
    home = tmp_path_factory.mktemp("narrow") / "home"
    settings = {
        **simple_auth(home),
        "AIRFLOW__PUSH__MAX_BODY_SIZE": "20000",
        "AIRFLOW__PUSH__MAX_RECIPIENTS": "3",
        "AIRFLOW__PUSH__MAX_OPEN_TASKS": "4",
        "AIRFLOW__PUSH__REQUEST_RATE_LIMIT": "20",
    }
    with ApiServer.running(postgres, home, "narrow", settings) as server:
        yield server


def patient(server: ApiServer, *arguments: object, **options: object) -> Answer:
    """A request that waits for its allowance, as the answer tells it to."""
    while True:
        answer = server.push(*arguments, **options)  # type: ignore[arg-type]
        if answer.status != 429 or answer.json["code"] != "too-many-requests":
            return answer
        time.sleep(float(answer.headers["retry-after"]))


def test_a_body_that_is_too_large(narrow: ApiServer) -> None:
    answer = patient(narrow, "POST", "/tasks", task(content="x" * 20_000))
    assert (answer.status, answer.json["code"]) == (413, "body-too-large")
    assert "max_body_size" in answer.json["detail"]


def test_a_large_body_that_does_not_say_so(narrow: ApiServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", narrow.port, timeout=30)
    headers = {"Authorization": f"Bearer {narrow.token('admin')}", "Content-Type": "application/json"}
    chunks = (b'"' + b"x" * 1000 for _ in range(40))
    connection.request("POST", "/push/v1/tasks", chunks, headers, encode_chunked=True)
    assert connection.getresponse().status in (413, 429)
    connection.close()


def test_too_many_recipients(narrow: ApiServer) -> None:
    people = [f"r{n}@example.com" for n in range(4)]
    answer = patient(narrow, "POST", "/tasks", task(recipients=people))
    assert (answer.status, answer.fields) == (422, ["recipients"])
    assert "max_recipients" in answer.json["detail"]
    made = patient(narrow, "POST", "/tasks", task(app="recipients"))
    answer = patient(narrow, "POST", f"/tasks/{made.json['code']}/trigger", {"recipients": people})
    assert (answer.status, answer.fields) == (422, ["recipients"])


def test_open_tasks_of_an_application_also_at_the_same_moment(narrow: ApiServer) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: patient(narrow, "POST", "/tasks", task(app="shop")), range(8)))
    assert sorted(answer.status for answer in answers) == [201] * 4 + [429] * 4
    refused = next(answer for answer in answers if answer.status == 429)
    assert refused.json["code"] == "limit-reached"
    assert "max_open_tasks" in refused.json["detail"]
    assert patient(narrow, "POST", "/tasks", task(app="other")).status == 201
    opened = next(answer for answer in answers if answer.status == 201).json["code"]
    assert patient(narrow, "POST", f"/tasks/{opened}/cancel").status == 200
    assert patient(narrow, "POST", "/tasks", task(app="shop")).status == 201


def test_two_bulk_calls_for_the_same_applications_do_not_wait_for_each_other(narrow: ApiServer) -> None:
    first = [task(code="ring-1", app="ring-a"), task(code="ring-4", app="ring-b")]
    second = [task(code="ring-2", app="ring-b"), task(code="ring-3", app="ring-a")]

    def await_waiting(count: int) -> None:
        deadline = time.monotonic() + 120
        query = (
            "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        while len(narrow.rows(query)) < count:
            assert time.monotonic() < deadline

    with ThreadPoolExecutor(2) as pool:
        with narrow.ledger.begin() as held:  # so that both are under way when the first of them goes on
            definitions.lock_counts(held, ["ring-b"])
            answers = [pool.submit(patient, narrow, "POST", "/tasks/bulk", {"tasks": second})]
            await_waiting(1)
            answers += [pool.submit(patient, narrow, "POST", "/tasks/bulk", {"tasks": first})]
            await_waiting(2)
        found = [answer.result() for answer in answers]
    assert [(answer.status, answer.json.get("created")) for answer in found] == [(200, 2), (200, 2)]


def test_a_user_who_asks_too_often_waits_and_no_other_does(narrow: ApiServer) -> None:
    narrow.token("viewer")
    refused: list[Answer] = []
    deadline = time.monotonic() + 120
    with ThreadPoolExecutor(8) as pool:
        while not refused:  # a busy machine may need some time to be too quick
            assert time.monotonic() < deadline
            answers = list(pool.map(lambda _: narrow.push("GET", "/email-services", role="viewer"), range(60)))
            refused = [answer for answer in answers if answer.status == 429]
    assert refused[0].json["code"] == "too-many-requests"
    assert int(refused[0].headers["retry-after"]) >= 1
    assert narrow.push("GET", "/email-services", role="op").status == 200


def test_nobody_waits_for_the_allowance_of_another(server: ApiServer) -> None:
    for role in ("viewer", "op"):
        assert server.push("GET", "/email-services", role=role).status == 200
    with ThreadPoolExecutor(1) as pool, server.ledger.begin() as connection:
        held = connection.execute(text("SELECT caller FROM push_allowance WHERE caller LIKE '%viewer%' FOR UPDATE"))
        assert len(held.all()) == 1
        time.sleep(1.1)  # what was drawn before is forfeited
        waits = pool.submit(server.push, "GET", "/email-services", role="viewer")
        time.sleep(0.5)
        assert server.push("GET", "/email-services", role="op").status == 200
        assert not waits.done()
        connection.rollback()
        assert waits.result(60).status == 200


# --- hostile bodies ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"null", 422),
        (b"[]", 422),
        (b'"text"', 422),
        (b"\xff\xfe{}", 400),
        (b"\xef\xbb\xbf{}", 422),  # a file that an editor on Windows saved
        (b'{"name": "\xc3("}', 400),
        (b'{"name": NaN}', 400),
        (b'{"name": Infinity}', 400),
        (b'{"retries": 1e400}', 422),
        (b'{"retries": 1e9999999999999999999}', 422),
        (b'{"retries": ' + b"9" * 5000 + b"}", 400),
        (b'{"name": "a", "name": "b"}', 400),
        (b"[" * 100_000, 400),
        (b'{"variables": ' + b'{"a":' * 500 + b"1" + b"}" * 500 + b"}", 422),
        (b'{"name": "\\u0000"}', 422),
        (b'{"name": "\\ud800"}', 422),
        (b'{"\\u0000": 1}', 422),
        (b'{"\\ud800": 1}', 422),
        (b'{"code": "\\u0000", "name": {}}', 422),
        (b'{"tasks": {"a": 1}}', 422),
    ],
)
@pytest.mark.parametrize("path", ["/tasks", "/tasks/bulk", "/preview"])
def test_odd_bodies(server: ApiServer, path: str, data: bytes, status: int) -> None:
    answer = server.push("POST", path, data=data)
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/problem+json"


def test_many_faults_are_told_in_short(server: ApiServer) -> None:
    unknown = {f"f{number}": 1 for number in range(5000)}  # 53 kB, to which the answer had 2.7 MB
    for method, path, body in (
        ("POST", "/tasks", task(**unknown)),
        ("PATCH", f"/tasks/{server.create()}", unknown),
        ("POST", "/tasks/bulk", unknown),
        ("POST", "/preview", unknown),
        ("POST", "/preview", {"task": task(**unknown)}),
    ):
        answer = server.push(method, path, body)
        assert answer.status == 422, answer
        assert len(answer.fields) == 20
        assert re.search(r"; and 49[78][0-9] more$", answer.json["detail"]), answer.json["detail"]
        assert len(answer.data) < 8000


def test_many_faults_of_many_tasks_are_told_in_short(server: ApiServer) -> None:
    tasks = [{f"f{number}": 1 for number in range(50)} for _ in range(1000)]
    answer = server.push("POST", "/tasks/bulk", {"tasks": tasks})
    assert (answer.status, answer.json["refused"]) == (200, 1000)
    named = [len(item["problem"]["errors"]) for item in answer.json["items"]]
    assert (named[0], named[-1]) == (20, 1)
    assert sum(named) < 1300
    assert answer.json["items"][-1]["problem"]["detail"].endswith("; and 51 more")
    assert len(answer.data) < 1_000_000


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_a_body_of_another_type(server: ApiServer, kind: str) -> None:
    answer = server.push("POST", "/tasks", data=b'{"name": "x"}', headers={"Content-Type": kind})
    assert (answer.status, answer.json["code"]) == (415, "unsupported-media-type")


@pytest.mark.parametrize(
    "path",
    ["/tasks/../../x", "/tasks/%2e%2e", "/tasks/%00", "/tasks/UPPER", "/tasks/" + "a" * 65, "/tasks//trigger",
     "/executions/abc", "/executions/-1", "/executions/1e3", "/configs/%00/test", "/tasks/", "//tasks"],
)  # fmt: skip
def test_odd_paths(server: ApiServer, path: str) -> None:
    for method in ("GET", "POST", "DELETE", "PATCH"):
        assert 400 <= server.push(method, path).status < 500, method


def test_odd_keys(server: ApiServer) -> None:
    for key in ("", "x" * 256):
        assert server.push("POST", "/tasks", task(), headers={"Idempotency-Key": key}).status == 422


# --- the page ---------------------------------------------------------------------------------------------


def test_the_page_needs_nothing_from_elsewhere(server: ApiServer) -> None:
    page = server.call("GET", "/push/docs").data.decode()
    assert "https://" not in page.replace("https://spec.openapis.org", "")
    for name in ("swagger-ui-bundle.js", "swagger-ui.css", "favicon.png"):
        assert f"/push/docs/{name}" in page
        assert len(server.call("GET", f"/push/docs/{name}").data) > 1000
        assert server.call("GET", f"/push/docs/{name}", role=None).status == 401


def test_somebody_who_opens_the_page_is_sent_to_the_login(server: ApiServer) -> None:
    answer = server.call("GET", "/push/docs", role=None, headers={"Accept": "text/html"})
    assert answer.status == 307
    assert "/auth/login" in answer.headers["location"]
    assert "push%2Fdocs" in answer.headers["location"]


def test_the_description_is_whole(server: ApiServer) -> None:
    description = server.call("GET", "/push/openapi.json").json
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"], path
            statuses = set(operation["responses"])
            assert ("401" in statuses) == (operation.get("security") != []), (method, path)
            problems = [answer for status, answer in operation["responses"].items() if status >= "400"]
            assert all("application/problem+json" in answer["content"] for answer in problems), (method, path)
            if method != "get" and "requestBody" in operation:
                (schema,) = {str(kind["schema"]) for kind in operation["requestBody"]["content"].values()}
                name = schema.rpartition("/")[2].rstrip("'}")
                example = description["components"]["schemas"][name].get("examples") or name == "PushTasks"
                assert example, name
    fields = description["components"]["schemas"]["PushTask"]["properties"]
    assert all(field["description"] for field in fields.values())
