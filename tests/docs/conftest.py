"""Makes ``pages`` importable (tests run with ``--import-mode=importlib``), and the shipped include folder known."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def _shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Examples use the templates that ship."""
    monkeypatch.setenv("AIRFLOW__PUSH__INCLUDE_DIR", str(Path(__file__).parents[2] / "include"))
