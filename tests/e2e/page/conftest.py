"""The Push page in the machine's Chromium, on a running platform of its own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
OFFLINE = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
AXE = ROOT / "plugins/push_provider/ui/www/node_modules/axe-core/axe.min.js"
PICTURES = os.environ.get("PUSH_PICTURES")
"""A folder that pictures of the screens are written to; those of the documentation are made with docs/images."""
PATIENCE = 120_000.0
"""Milliseconds for which something is waited for."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if CHROMIUM is None:
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="no Chromium on this machine"))


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OFFLINE)
        yield browser
        browser.close()


Opened = Callable[..., Any]


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
        context.add_init_script(
            f"localStorage.setItem('i18nextLng', '{language}'); localStorage.setItem('theme', '{theme}');"
            "localStorage.setItem('timezone', 'Asia/Shanghai');"
        )
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


def picture(page: Any, name: str) -> None:
    """Keep a picture of a screen, where one is wanted."""
    if PICTURES:
        page.screenshot(path=str(Path(PICTURES) / f"page-{name}.png"), animations="disabled")


def violations(page: Any) -> list[str]:
    """What axe-core finds on the page's part of the screen that is serious or critical."""
    page.add_script_tag(path=str(AXE))
    found = page.evaluate(
        """async () => {
            const where = document.querySelector('[data-testid="push-page"], [data-testid="push-tab"]');
            const dialogs = [...document.querySelectorAll('[role="dialog"], [role="alertdialog"]')];
            const { violations } = await axe.run([where, ...dialogs], { resultTypes: ['violations'] });
            return violations.filter(({ impact }) => impact === 'serious' || impact === 'critical')
                .map(({ id, nodes }) => `${id}: ${nodes.slice(0, 4).map((one) => one.html.slice(0, 200)).join('; ')}`);
        }"""
    )
    assert isinstance(found, list)
    return found
