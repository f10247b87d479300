"""What access logs show of a request's query: no addresses, however their parameters are spelt."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import parse_qs

import pytest

from push_provider.api.access_log import PrivateQuery

HIDDEN = "lilei@example.com"


def asked(query: str) -> tuple[dict[str, list[str]], str]:
    """What the app reads of a query, and what is logged of it once the answer begins and when it has ended."""
    seen: dict[str, list[str]] = {}
    logged: set[str] = set()

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start"})
        seen.update(parse_qs(scope["query_string"].decode()))

    async def call() -> None:
        scope = {"type": "http", "query_string": query.encode()}

        async def send(_message: Any) -> None:
            logged.add(scope["query_string"].decode())  # type: ignore[attr-defined]

        await PrivateQuery(app)(scope, None, send)
        logged.add(scope["query_string"].decode())  # type: ignore[attr-defined]

    asyncio.run(call())
    (once,) = logged
    return seen, once


@pytest.mark.parametrize(
    "name",
    ["recipient", "search", "address", "sender", "r%65cipient", "%73earch", "+search", "Recipient", "SENDER%20"],
)
@pytest.mark.parametrize("value", ["lilei%40example.com", "lilei@example.com", "%6Cilei%40example.com"])
def test_addresses_are_hidden_and_the_app_reads_them(name: str, value: str) -> None:
    seen, logged = asked(f"state=sent&{name}={value}&limit=5")
    assert [HIDDEN] in seen.values()
    assert "ilei" not in logged
    assert "***" in logged
    assert parse_qs(logged)["state"] == ["sent"]
    assert parse_qs(logged)["limit"] == ["5"]


@pytest.mark.parametrize(
    "query", ["", "state=sent&from=2026-07-01T00%3A00%3A00Z", "name=%E5%91%A8&x", "research=a%20b"]
)
def test_what_is_nobodys_address_stays_as_it_is(query: str) -> None:
    assert asked(query)[1] == query


def test_a_query_that_cannot_be_read_is_hidden() -> None:
    assert asked("search=lilei\u00e9")[1] == "***"
