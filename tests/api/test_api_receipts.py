"""The link in a message, and tokens for clients: who may what, from where, and how often."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import jwt
import pytest

from push_provider.api.acknowledging import Allowance
from push_provider.marks import message_id, receipt_mark
from sandbox.centrifugo_account import TOKEN_SECRET

if TYPE_CHECKING:
    from api_server import ApiServer

CENTRIFUGO = {
    "connection_id": "live",
    "conn_type": "push_centrifugo",
    "password": "api key",
    "extra": json.dumps({"address": "https://live.example.com", "token_secret": TOKEN_SECRET, "namespace": "push"}),
}


class Sent:
    """An execution whose messages are sent, as far as the ledger knows."""

    def __init__(self, server: ApiServer, recipients: list[str], **fields: Any) -> None:
        self.server = server
        fields = fields or {"channel": "websocket", "title": "t", "subject": None, "content_type": "html"}
        self.code = server.create(known=True, **fields, recipients=recipients)
        begun = server.push("POST", f"/tasks/{self.code}/trigger")
        assert begun.status == 202, begun
        execution = begun.json["execution"]
        server.rows(
            "UPDATE push_delivery SET state = 'sent', tried_at = now(), sent_at = now() WHERE execution_id = :id "
            "RETURNING id",
            id=execution,
        )
        (row,) = server.rows("SELECT replace(token::text, '-', '') FROM push_execution WHERE id = :id", id=execution)
        self.token = row[0]
        query = "SELECT id FROM push_delivery WHERE execution_id = :id ORDER BY id"
        self.deliveries = [one[0] for one in server.rows(query, id=execution)]

    def link(self, number: int) -> str:
        return f"/push/v1/receipts/{receipt_mark(self.token, self.deliveries[number])}"

    @property
    def states(self) -> dict[str, str]:
        items = self.server.push("GET", "/deliveries", task=self.code).json["items"]
        return {item["recipient"]: item["state"] for item in items}


@pytest.fixture(scope="module")
def sent(server: ApiServer) -> Sent:
    return Sent(server, ["ann", "bob", "cem"])


# --- acknowledging --------------------------------------------------------------------------------------


def test_a_link_acts_without_a_login_once_and_from_any_site(server: ApiServer, sent: Sent) -> None:
    elsewhere = {"Origin": "https://shop.example.com", "Sec-Fetch-Site": "cross-site"}
    for _ in range(2):
        answer = server.call("POST", sent.link(0), role=None, headers=elsewhere)
        assert (answer.status, answer.data) == (204, b"")
        assert answer.headers["access-control-allow-origin"] == "*"
    assert sent.states == {"ann": "delivered", "bob": "sent", "cem": "sent"}


@pytest.mark.filterwarnings("ignore:Using .httpx. with .starlette.testclient. is deprecated")  # Airflow's own import
@pytest.mark.parametrize(
    ("settings", "status", "code"),
    [
        ({"RECEIPT_RATE_LIMIT": "0.05"}, 429, "too-many-requests"),
        ({"SQL_ALCHEMY_CONN": "postgresql://nobody@127.0.0.1:1/none"}, 503, "ledger-unavailable"),
    ],
)
def test_a_page_of_another_site_learns_when_it_may_come_back(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], status: int, code: str
) -> None:
    from push_provider.api.app import create_app

    for name, value in settings.items():
        monkeypatch.setenv(f"AIRFLOW__PUSH__{name}", value)

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(create_app())
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            link = f"/v1/receipts/{receipt_mark('0' * 32, 1)}"
            return await client.post(link, headers={"Origin": "https://shop.example.com"})

    answer = asyncio.run(ask())
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "retry-after" in answer.headers["access-control-expose-headers"].lower()
    assert int(answer.headers["retry-after"]) > 0


def mixed(one: str, other: str) -> str:
    """The number of one link with the signature of another."""
    number, signature = (base64.urlsafe_b64decode(link.rsplit("/", 1)[1]) for link in (one, other))
    return base64.urlsafe_b64encode(number[:8] + signature[8:]).decode()


@pytest.mark.parametrize("change", ["another's number", "one character", "too short", "empty", "cut", "GET"])
def test_a_link_that_is_altered_changes_nothing_and_tells_nothing(server: ApiServer, sent: Sent, change: str) -> None:
    link = sent.link(1)
    head, mark = link.rsplit("/", 1)
    altered = {
        "another's number": f"{head}/{mixed(sent.link(2), link)}",
        "one character": link[:-1] + ("A" if link[-1] != "A" else "B"),
        "too short": link[:-1],
        "empty": f"{head}/",
        "cut": f"{head}/{'_' * 32}",
    }.get(change, link)
    before = sent.states
    answer = server.call("GET" if change == "GET" else "POST", altered, role=None)
    assert answer.status in (404, 405, 422)
    assert answer.headers["access-control-allow-origin"] == "*"
    said = answer.data.decode().replace(mark, "")
    assert not any(word in said for word in ("bob", "cem", sent.code, sent.token))
    assert sent.states == before


def test_nothing_that_a_mail_says_of_itself_is_a_link(server: ApiServer) -> None:
    """Mails have none. Their Message-IDs once held the token of the execution, and its links can be made of that."""
    mails = Sent(server, ["ann@example.com", "bob@example.com"], channel="email")
    ann, bob = mails.deliveries
    # Put off by the mail server: it would not be tried again, if somebody else could say that it has arrived.
    server.rows("UPDATE push_delivery SET state = 'pending', sent_at = NULL WHERE id = :id", id=bob)
    before = mails.states
    assert before == {"ann@example.com": "sent", "bob@example.com": "pending"}
    for token in (mails.token, message_id(mails.token, ann), message_id(mails.token, bob)):
        for delivery in (ann, bob):
            answer = server.call("POST", f"/push/v1/receipts/{receipt_mark(token, delivery)}", role=None)
            assert (answer.status, answer.json["code"]) == (404, "unknown-link")
    assert mails.states == before


@pytest.mark.slow
def test_many_at_once_are_all_on_record(server: ApiServer) -> None:
    many = Sent(server, [f"u{number}" for number in range(200)])
    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(lambda n: server.call("POST", many.link(n), role=None).status, range(200)))
    assert set(statuses) == {204}
    (row,) = server.rows("SELECT delivered FROM push_execution WHERE task_code = :code", code=many.code)
    assert row[0] in (0, 200)  # it is under way, and counted when it ends
    states = server.rows("SELECT DISTINCT state FROM push_delivery WHERE id = ANY (:ids)", ids=many.deliveries)
    assert [one[0] for one in states] == ["delivered"]


def test_each_address_has_an_allowance_of_its_own() -> None:
    now = [0.0]
    allowance = Allowance(lambda: now[0])
    assert [allowance.use("a", 2) for _ in range(20)] == [0.0] * 20
    assert allowance.use("a", 2) == 0.5
    assert allowance.use("b", 2) == 0.0
    now[0] += 1
    assert [allowance.use("a", 2) for _ in range(2)] == [0.0, 0.0]
    assert allowance.use("a", 2) > 0


def test_an_address_that_asks_in_parallel_has_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two threads might both find nothing used yet, so it is reckoned in the one of the event loop."""
    from push_provider.api import receipts
    from push_provider.api.app import create_app

    reckoning: set[int] = set()

    def clock() -> float:
        reckoning.add(threading.get_ident())
        return 0.0

    monkeypatch.setenv("AIRFLOW__PUSH__RECEIPT_RATE_LIMIT", "1")
    monkeypatch.setattr(receipts, "_allowance", Allowance(clock))

    async def ask() -> list[int]:
        transport = httpx.ASGITransport(create_app())
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            answers = await asyncio.gather(*(client.post(f"/v1/receipts/{'_' * 32}") for _ in range(30)))
        return sorted(answer.status_code for answer in answers)

    assert asyncio.run(ask()) == [404] * 10 + [429] * 20
    assert reckoning == {threading.get_ident()}


# --- tokens ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def live(server: ApiServer) -> str:
    answer = server.call("POST", "/api/v2/connections", CENTRIFUGO)
    assert answer.status == 201, answer
    return CENTRIFUGO["connection_id"]


def test_a_token_is_its_user_s_for_its_time(server: ApiServer, live: str) -> None:
    answer = server.push("POST", "/websocket/tokens", {"user": "lilei", "config": live, "seconds": 600})
    assert answer.status == 200, answer
    claims = jwt.decode(answer.json["token"], TOKEN_SECRET, algorithms=["HS256"])
    assert claims["sub"] == "lilei"
    assert claims["exp"] - claims["iat"] in (599, 600)
    assert answer.json["url"] == "wss://live.example.com/connection/websocket"
    assert answer.json["channel"] == "push:#lilei"
    assert TOKEN_SECRET not in answer.data.decode()


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 422, "user"),
        ({"user": "a b"}, 422, "user"),
        ({"user": "a\0"}, 422, "user"),
        ({"user": "a", "seconds": 1}, 422, "seconds"),
        ({"user": "a", "seconds": 10**9}, 422, "seconds"),
        ({"user": "a", "admin": True}, 422, "admin"),
        ({"user": "a", "config": "nothing"}, 404, None),
        ({"user": "a", "config": "push_email_default"}, 409, None),
    ],
)
def test_tokens_that_are_refused(server: ApiServer, live: str, body: Any, status: int, field: str | None) -> None:
    mail = {"connection_id": "push_email_default", "conn_type": "push_email", "host": "127.0.0.1", "login": "a@b.cn"}
    server.call("POST", "/api/v2/connections", mail)
    answer = server.push("POST", "/websocket/tokens", body)
    assert answer.status == status, answer
    assert answer.fields == ([field] if field else [])


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("user", 403), ("op", 403), (None, 401)])
def test_nobody_reads_others_messages_by_chance(server: ApiServer, live: str, role: str | None, status: int) -> None:
    body = {"user": "a", "config": live}
    answer = server.call("POST", "/push/v1/websocket/tokens", body, role=role)
    assert answer.status == status
