"""The documentation's pages over the API."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from api_server import ApiServer


@pytest.mark.parametrize(("language", "title"), [("en", "Send SMS"), ("zh-CN", "发送短信")])
def test_pages_of_a_language(server: ApiServer, language: str, title: str) -> None:
    listed = server.push("GET", "/help", role="viewer", language=language).json
    assert listed["total_entries"] == len(listed["items"]) >= 15
    assert listed["items"][0]["name"] == "concepts"
    assert {"name": "sms", "title": title} in listed["items"]
    page = server.push("GET", "/help/sms", role="viewer", language=language).json
    assert page["title"] == title
    (picture,) = re.findall(r'<img src="([^"]+)"', page["html"])
    shown = server.call("GET", picture, role="viewer")
    assert (shown.status, shown.headers["content-type"]) == (200, "image/png")
    assert shown.data.startswith(b"\x89PNG")


def test_english_if_nothing_is_said(server: ApiServer) -> None:
    assert server.push("GET", "/help/sms").json["title"] == "Send SMS"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/help/nothing", 404),
        ("/help/pictures/nothing.png", 404),
        ("/help/README.md", 422),
        ("/help/..%2Fen%2Fsms", 404),
        ("/help/pictures/..%2F..%2FLICENSE", 404),
        ("/help/sms?language=de", 422),
    ],
)
def test_what_is_no_page(server: ApiServer, path: str, status: int) -> None:
    assert server.push("GET", path).status == status
