"""The Push page in the machine's Chromium, on a running platform of its own."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from browser import CHROMIUM, launched

# With --import-mode=importlib the modules beside the tests are not importable otherwise.
sys.path.insert(0, str(Path(__file__).parent))

if TYPE_CHECKING:
    from screens import Opened

PATIENCE = 90_000.0
"""Milliseconds for which something is waited for."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if CHROMIUM is None:
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="no Chromium on this machine"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with launched() as browser:
        yield browser


@pytest.fixture
def opened(browser: Any, platform: Any) -> Iterator[Opened]:
    """Opens a page with what its user has chosen, and asserts at the end that no script failed."""
    contexts: list[Any] = []
    faults: list[str] = []

    def open_page(
        *,
        base_url: str = platform.url,
        language: str = "en",
        theme: str = "light",
        width: int = 1440,
        height: int = 1000,
    ) -> Any:
        context = browser.new_context(
            base_url=base_url, viewport={"width": width, "height": height}, accept_downloads=True, color_scheme=theme
        )
        contexts.append(context)
        chosen = json.dumps({"i18nextLng": language, "theme": theme, "timezone": "Asia/Shanghai"})
        # Not in a preview's frame, which may keep nothing.
        context.add_init_script(f"if (top === window) Object.assign(localStorage, {chosen})")
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: faults.append(str(error)))
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []


@pytest.fixture
def page(opened: Opened) -> Any:
    """A page as most people have it."""
    return opened()
