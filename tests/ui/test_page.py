"""What Airflow's UI is told of the Push page."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest

from push_provider.contract import PushTask
from push_provider.ui import page


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    for name in ("push.js", "deliveries.js", "icon.svg", "Root-abc.js"):
        (tmp_path / name).write_text(name)
    return tmp_path


def test_it_is_in_the_side_bar_and_on_each_dag_and_run(dist: Path) -> None:
    apps = page.apps(dist)
    assert [(app["name"], app["destination"], app["url_route"]) for app in apps] == [
        ("Push", "nav", "push"),
        ("Deliveries", "dag", "push-deliveries"),
        ("Deliveries", "dag_run", "push-run-deliveries"),
    ]
    # Relative: Airflow may be mounted below a path.
    assert not [app for app in apps if not app["bundle_url"].startswith("push/page/")]


def test_another_edition_has_another_address(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    newer = tmp_path_factory.mktemp("newer")
    (newer / "push.js").write_text("another")
    (newer / "deliveries.js").write_text("deliveries.js")
    before, after = page.apps(dist)[0]["bundle_url"], page.apps(newer)[0]["bundle_url"]
    assert before != after
    assert page.apps(dist)[0]["bundle_url"] == before


def test_without_a_build_the_platform_goes_on_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert page.apps(tmp_path) == []
    assert "./scripts/install" in caplog.text


@pytest.mark.parametrize("name", ["push.js", "icon.svg", "Root-abc.js"])
def test_its_files_are_found(dist: Path, name: str) -> None:
    found = page.file(name, dist)
    assert found is not None
    assert found.read_text() == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../page.py", "gone.js", "/etc/passwd", "sub/push.js", "a\0b", "x" * 5000]
)
def test_nothing_else_is(dist: Path, name: str) -> None:
    assert page.file(name, dist) is None


def test_the_form_knows_every_field_of_a_push_task() -> None:
    """One that it does not know is lost in a copy, and cannot be set on the page."""
    form = Path(page.__file__).with_name("www") / "src" / "screens" / "taskForm"
    written = (form / "document.ts").read_text("utf-8") + (form / "recipients" / "useRoll.ts").read_text("utf-8")
    written += (form / "TaskForm.tsx").read_text("utf-8")
    assert [name for name in PushTask.model_fields if not re.search(rf"\b{name}\b", written)] == []
