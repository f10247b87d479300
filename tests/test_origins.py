"""Where a request comes from, by what browsers say."""

from __future__ import annotations

import pytest
from starlette.datastructures import Headers

from push_provider.origins import LOOPBACK, Origin, hostname, is_from_elsewhere

TRUSTED = {Origin("https", "push.example.com"), Origin("https", "portal.example.com:8443")}


@pytest.mark.parametrize(
    ("headers", "elsewhere"),
    [
        ({}, False),  # a program
        ({"cookie": "_token=x"}, True),
        ({"origin": "http://127.0.0.1:8080"}, False),
        ({"origin": "http://127.0.0.1:8080", "cookie": "_token=x"}, False),
        ({"origin": "HTTP://127.0.0.1:8080"}, False),
        ({"origin": "https://127.0.0.1:8080"}, False),  # a proxy took the TLS off
        ({"origin": "http://127.0.0.1:8081"}, True),
        ({"origin": "http://127.0.0.1"}, True),
        ({"origin": "http://localhost:8080"}, True),
        ({"origin": "http://127.0.0.1:8080.evil.example"}, True),
        ({"origin": "http://evil.example"}, True),
        ({"origin": "null"}, True),
        ({"origin": ""}, True),
        ({"origin": "http://["}, True),
        ({"origin": "http://127.0.0.1:99999"}, True),
        ({"sec-fetch-site": "same-origin"}, False),
        ({"sec-fetch-site": "same-origin", "cookie": "_token=x"}, False),
        # A proxy gave the server another name than the browser knows.
        ({"sec-fetch-site": "same-origin", "origin": "https://unknown.example"}, False),
        ({"sec-fetch-site": "same-site", "origin": "http://127.0.0.1:8081"}, True),
        ({"sec-fetch-site": "same-site"}, True),
        ({"sec-fetch-site": "cross-site"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({"sec-fetch-site": "cross-site", "origin": "http://127.0.0.1:8080"}, True),
        ({"origin": "https://push.example.com"}, False),
        ({"origin": "https://push.example.com:443"}, False),
        ({"origin": "http://push.example.com"}, True),
        ({"origin": "https://push.example.com:8443"}, True),
        ({"origin": "https://portal.example.com:8443", "sec-fetch-site": "cross-site"}, False),
    ],
)
def test_own_and_other_sites(headers: dict[str, str], elsewhere: bool) -> None:
    sent = Headers({"host": "127.0.0.1:8080", **headers})
    assert is_from_elsewhere(sent, "http", TRUSTED) is elsewhere


def test_the_port_that_tls_implies_is_no_other_origin() -> None:
    sent = Headers({"host": "push.example.com:443", "origin": "https://push.example.com"})
    assert not is_from_elsewhere(sent, "https")
    assert is_from_elsewhere(Headers({"host": "push.example.com", "origin": "http://push.example.com"}), "https")


def test_without_a_host_nobody_is_own() -> None:
    assert is_from_elsewhere(Headers({"origin": "http://127.0.0.1"}), "http")


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("127.0.0.1:8080", True),
        ("localhost", True),
        ("LOCALHOST:1", True),
        ("[::1]:8080", True),
        ("evil.example:8080", False),
        ("127.0.0.1.evil.example", False),
        ("evil.example@127.0.0.2", False),
        ("[", False),
        ("", False),
    ],
)
def test_names_of_this_machine(host: str, own: bool) -> None:
    assert (hostname(host) in LOOPBACK) is own
