"""The wheel: what production installs, and what it does not."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It, as pip builds it."""
    into = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(into), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = into.glob("*.whl")
    return built


def test_it_holds_the_package_and_nothing_else(wheel: Path) -> None:
    files = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in files if not name.endswith(".dist-info")} == {"push_provider"}


def test_it_holds_the_documentation(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    written = [*(ROOT / "docs").glob("*/*.md"), *(ROOT / "docs" / "images").glob("*.png")]
    assert len(written) > 30
    for path in written:
        assert f"push_provider/documentation/{path.relative_to(ROOT / 'docs').as_posix()}" in names


def test_installed_it_has_its_channels_and_forms(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(wheel)]
    subprocess.run(command, capture_output=True, text=True, check=True)
    program = """
import push_provider
from push_provider.channels import registry
from push_provider.channels.reading import parse
from push_provider.provider import get_provider_info
from push_provider.documentation import pages
print(push_provider.__file__)
assert pages.root().is_relative_to(pages.Path(push_provider.__file__).parent)
assert pages.page("zh-CN", "rest", "").title == "REST API"
for name in registry.names():
    registry.operator_of(name), registry.content_of(name), registry.get_channel(name)
print(registry.names(), [form["connection-type"] for form in get_provider_info()["connection-types"]])
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(site), "AIRFLOW_HOME": str(tmp_path / "home")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *_, where, said = done.stdout.strip().splitlines()
    assert Path(where).is_relative_to(site)
    forms = "['push_email', 'push_aliyun_sms', 'push_centrifugo', 'push_aliyun_app', 'push_fcm']"
    assert said == f"('email', 'sms', 'websocket', 'app') {forms}"


def test_it_has_the_page_built_and_not_its_sources(wheel: Path) -> None:
    page = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("push_provider/ui/")}
    assert {"push_provider/ui/dist/push.js", "push_provider/ui/dist/deliveries.js"} <= page
    assert not [name for name in page if "/www/" in name]
