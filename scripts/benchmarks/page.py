"""The Push page in the machine's Chromium: how soon a list of many push tasks can be used, filtered, and a list pasted.

Beside each figure of ours stands Airflow's own list of the same DAGs, which shows the first fifty of them.
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "support"))

from browser import CHROMIUM, launched

from benchmarks.stage import Stage, stage

_PATIENCE = 120_000
_WATCH = """
    window.longest = 0;
    new PerformanceObserver((list) => {
        for (const one of list.getEntries()) window.longest = Math.max(window.longest, one.duration);
    }).observe({ type: "longtask" });
"""
# How long after the last event of a kind the rows are there, by the page's own clock: one of them, or any.
_SHOWN = """
    ([event, code]) => {
        let begun = 0;
        window.shown = 0;
        document.addEventListener(event, () => { begun = performance.now(); }, { capture: true, once: true });
        const observer = new MutationObserver(() => {
            const rows = document.querySelectorAll("[data-row]");
            const there = code === null ? rows.length > 0 : rows.length === 1 && rows[0].dataset.row === code;
            if (!begun || !there) return;
            observer.disconnect();
            requestAnimationFrame(() => { window.shown = performance.now() - begun; });
        });
        observer.observe(document.body, { childList: true, subtree: true });
    }
"""
_PASTE = """
    (field, text) => {
        const clipboardData = new DataTransfer();
        clipboardData.setData("text/plain", text);
        field.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }));
    }
"""


@contextmanager
def _page(place: Stage) -> Iterator[Any]:
    if CHROMIUM is None:
        raise SystemExit("There is no Chromium here: install Debian's `chromium`")
    with launched() as browser:
        page = browser.new_context(base_url=place.url, viewport={"width": 1440, "height": 1000}).new_page()
        page.set_default_timeout(_PATIENCE)
        page.add_init_script(_WATCH)
        yield page


def _report(what: str, seconds: Sequence[float]) -> None:
    spread = f"median {statistics.median(seconds):6.3f} s   max {max(seconds):6.3f} s   of {len(seconds)}"
    print(f"  {what:66} {spread}", flush=True)


def _timed(count: int, work: Callable[[int], None], before: Callable[[int], None]) -> list[float]:
    taken = []
    for number in range(count + 1):
        before(number)
        began = time.perf_counter()
        work(number)
        if number:  # the first fills caches
            taken.append(time.perf_counter() - began)
    return taken


def _lists(page: Any, count: int, tasks: int) -> None:
    def settle(path: str) -> Callable[[int], None]:
        def work(_: int) -> None:
            page.goto(path)
            page.wait_for_load_state("networkidle")

        return work

    def opened(path: str, row: str) -> Callable[[int], None]:
        def work(_: int) -> None:
            page.goto(path)
            page.get_by_text(re.compile(row)).first.wait_for()

        return work

    nowhere = settle("about:blank")
    print(f"{tasks:,} push tasks:", flush=True)
    _report("the page's list, opened anew", _timed(count, opened("/plugin/push/tasks", "^1–25 of"), nowhere))
    _report("Airflow's list of DAGs, opened anew", _timed(count, opened("/dags", "^Fill "), nowhere))

    def shown(event: str, code: str | None, deed: Callable[[], None]) -> float:
        page.evaluate(_SHOWN, [event, code])
        deed()
        page.wait_for_function("window.shown > 0")
        return float(page.evaluate("window.shown")) / 1000

    overview, whole_list = settle("/plugin/push"), settle("/plugin/push/tasks")
    clicked, filtered = [], []
    for number in range(count + 1):
        overview(number)
        link = page.get_by_test_id("push-page").get_by_role("link", name="Tasks").first
        clicked.append(shown("click", None, link.click))
        whole_list(number)
        code = f"fill-{number * 37 % tasks:05d}"
        filtered.append(shown("input", code, partial(page.get_by_label("Name or address").fill, code)))
    _report("the page's list, from its overview, click to rows", clicked[1:])
    _report("its filter by name, from the last key to the rows", filtered[1:])


def _pasted(page: Any, recipients: int) -> None:
    page.goto("/plugin/push/tasks/new")
    form = page.get_by_role("form", name="New push task")
    form.get_by_label("Name", exact=False).first.fill("Pasted")
    form.get_by_label("Code").fill("pasted")
    form.get_by_label("Subject").fill("Hello")
    form.get_by_role("textbox", name="Content").fill("Hello {{ name }}")
    page.wait_for_load_state("networkidle")
    page.evaluate("window.longest = 0")
    text = "address\tname\n" + "".join(f"person-{n}@bench.example\tPerson {n}\n" for n in range(recipients))
    began = time.perf_counter()
    form.get_by_label("Recipients, one a line").evaluate(_PASTE, text)
    page.get_by_text(re.compile(f"of {recipients:,}|of {recipients}")).first.wait_for()
    print(f"{recipients:,} recipients pasted: there after {time.perf_counter() - began:.2f} s", flush=True)
    page.wait_for_load_state("networkidle")
    print(f"  meanwhile the page stood still for {page.evaluate('window.longest') / 1000:.2f} s at most", flush=True)
    page.evaluate("window.longest = 0")
    began = time.perf_counter()
    form.get_by_role("button", name="Save").click()
    page.wait_for_url("**/plugin/push/tasks/pasted")
    still = page.evaluate("window.longest") / 1000
    print(f"  saved after {time.perf_counter() - began:.2f} s, and stood still for {still:.2f} s at most", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="./scripts/bench page", description=__doc__)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--count", type=int, default=10, help="measurements of each kind")
    parser.add_argument("--recipients", type=int, default=100_000, help="as many as [push] max_recipients allows")
    arguments = parser.parse_args()
    with stage() as place:
        place.fill(arguments.tasks)
        with _page(place) as page:
            _lists(page, arguments.count, arguments.tasks)
            _pasted(page, arguments.recipients)


if __name__ == "__main__":
    main()
