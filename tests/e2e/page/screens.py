"""Short words for what a person does on the Push page."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

AXE = Path(__file__).resolve().parents[3] / "plugins/push_provider/ui/www/node_modules/axe-core/axe.min.js"
Opened = Callable[..., Any]
"""The fixture ``opened``."""


def go(page: Any, below: str = "") -> Any:
    """Open a screen of the page, and wait for it; returns its part of Airflow's UI."""
    page.goto(f"/plugin/push/{below}".rstrip("/"))
    shown = page.get_by_test_id("push-page")
    shown.wait_for()
    return shown


def settled(page: Any) -> None:
    """Wait until a screen has what it shows."""
    page.get_by_text(re.compile("^(Loading…|正在加载…)$")).first.wait_for(state="hidden")
    page.wait_for_load_state("networkidle")


def csv_file(name: str, text: str) -> dict[str, Any]:
    """A file as a browser uploads it."""
    return {"name": name, "mimeType": "text/csv", "buffer": text.encode()}


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
