"""A Centrifugo for the tests: each of them runs on the real one and on the sandbox's."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# With --import-mode=importlib the modules beside the tests are not importable otherwise.
sys.path.insert(0, str(Path(__file__).parent))

from centrifugo_server import MODULE, RealCentrifugo, build, redis, why_not

if TYPE_CHECKING:
    from live import Live
    from tcp_proxy import TcpProxy


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything below this folder needs a server and clients, which take their time."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.integration)
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def binary() -> Path:
    """Centrifugo's program, kept from one run to the next."""
    if missing := why_not():
        pytest.skip(missing)
    return build(Path(tempfile.gettempdir(), f"push-centrifugo-{MODULE.rpartition('@')[2]}"))


@pytest.fixture
def real(binary: Path, tmp_path: Path) -> Iterator[RealCentrifugo]:
    with RealCentrifugo(tmp_path / "centrifugo", binary) as server:
        yield server


@pytest.fixture
def two_nodes(binary: Path, tmp_path: Path) -> Iterator[tuple[RealCentrifugo, RealCentrifugo]]:
    """Two of them, joined by Redis."""
    if not shutil.which("redis-server"):
        pytest.skip("redis-server is not installed")
    with redis(tmp_path) as port, ExitStack() as stack:
        one, other = (stack.enter_context(RealCentrifugo(tmp_path / name, binary, port)) for name in ("one", "other"))
        yield one, other


@pytest.fixture(params=["real", "sandbox"])
def engine(request: pytest.FixtureRequest) -> Live:
    """A fresh Centrifugo."""
    from live import Live

    if request.param == "real":
        return Live(request.getfixturevalue("real").address)
    found: Live = request.getfixturevalue("live")
    return found


@pytest.fixture
def between(engine: Live) -> Iterator[TcpProxy]:
    """The way of clients to it, which can be cut."""
    from urllib.parse import urlsplit

    from tcp_proxy import proxy

    with proxy(urlsplit(engine.address).port or 0) as found:
        yield found
