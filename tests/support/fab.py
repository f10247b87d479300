"""The environment with Airflow's FAB auth manager in it, which cannot stand in that of the tests."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = ROOT / ".venv-fab" / "bin"
AUTH_MANAGER = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"


@cache
def _install() -> str:
    done = subprocess.run([ROOT / "scripts" / "install", "fab"], capture_output=True, text=True, check=False)
    return done.stderr.strip()[-300:] if done.returncode else ""


def installed() -> Path:
    """The folder of its ``python`` and ``airflow``; skips the test where it cannot be installed."""
    if fault := _install():
        pytest.skip(f"FAB cannot be installed beside this Airflow here: {fault}")
    return BIN
