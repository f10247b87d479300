"""The API keeps what its description promises, whatever is sent to it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from fuzzing import fuzz
from roles import CALLS

if TYPE_CHECKING:
    from api_server import ApiServer


@pytest.mark.timeout(900)
def test_schemathesis(server: ApiServer) -> None:
    server.create(code="fuzzed", known=True)
    assert server.push("POST", "/tasks/fuzzed/trigger").status == 202
    done = fuzz(server.url, server.token("admin"), examples=5, seed=20260701)
    assert done.returncode == 0, done.stdout[-10_000:] + done.stderr
    operations = {name.split("?")[0] for name in CALLS if "csv" not in name and "/push/" not in name}
    assert re.search(rf"Tested: +{len(operations)}\b", done.stdout), done.stdout
