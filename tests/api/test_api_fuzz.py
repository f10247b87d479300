"""The API keeps what its description promises, whatever is sent to it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from fuzzing import fuzz

if TYPE_CHECKING:
    from api_server import ApiServer

pytestmark = pytest.mark.slow


@pytest.mark.timeout(900)
def test_schemathesis(server: ApiServer) -> None:
    server.create(code="fuzzed", known=True)
    assert server.push("POST", "/tasks/fuzzed/trigger").status == 202
    done = fuzz(server.url, server.token("admin"), examples=5, seed=20260701)
    assert done.returncode == 0, done.stdout[-10_000:] + done.stderr
    paths = server.call("GET", "/push/openapi.json").json["paths"]
    operations = [name for methods in paths.values() for name in methods]
    assert len(operations) >= 20
    assert re.search(rf"Tested: +{len(operations)}\b", done.stdout), done.stdout
