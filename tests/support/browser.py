"""The machine's Chromium."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_OFFLINE = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def launched(*options: str) -> Iterator[Any]:
    """A browser, which asks nobody on the network for anything by itself.

    :param options: of Chromium's command line, beside those.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*_OFFLINE, *options])
        yield browser
        browser.close()


@contextmanager
def logged_in(url: str, token: str) -> Iterator[Any]:
    """A page of Airflow's UI as somebody with this token has it."""
    with launched() as browser:
        context = browser.new_context(base_url=url, viewport={"width": 1440, "height": 1000})
        context.add_cookies([{"name": "_token", "value": token, "url": url}])
        page = context.new_page()
        page.set_default_timeout(60_000)
        yield page
