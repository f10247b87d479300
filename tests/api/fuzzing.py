"""Run schemathesis against a server, with every check and for every call."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent


def fuzz(url: str, token: str, *, examples: int, seed: int | None = None) -> subprocess.CompletedProcess[str]:
    """Try the API; what it prints says what was tried, and what was found.

    :param url: of the API server.
    :param examples: for each call, besides those that cover its parameters one by one.
    """
    command = [
        str(Path(sys.executable).with_name("st")),
        "--config-file", str(HERE / "schemathesis.toml"),
        "run", f"{url}/push/openapi.json",
        "--header", f"Authorization: Bearer {token}",
        "--phases", "examples,coverage,fuzzing",
        "--max-examples", str(examples),
        "--continue-on-failure",
        "--no-color",
        *(["--seed", str(seed)] if seed is not None else []),
    ]  # fmt: skip
    env = {**os.environ, "SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": str(HERE)}
    # In a folder of its own: what it keeps of one run would steer the next.
    with tempfile.TemporaryDirectory(prefix="push-fuzz-") as folder:
        return subprocess.run(command, env=env, capture_output=True, text=True, check=False, cwd=folder)
