"""``airflow`` commands in forks of one process, as tests run them."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest
from airflow_commands import AirflowCommands


@pytest.mark.slow
def test_a_command_that_hangs_is_named_and_the_next_one_runs(tmp_path: Path) -> None:
    with AirflowCommands({**os.environ, "AIRFLOW_HOME": str(tmp_path)}, tmp_path) as commands:
        hanging = psutil.Process(commands._process.pid)
        hanging.send_signal(signal.SIGSTOP)
        with pytest.raises(TimeoutError, match=r"^airflow version took more than 0 s"):
            commands.run("version", limit=0.1)
        assert not hanging.is_running()
        done = commands.run("version")
        assert done.returncode == 0
        assert done.stdout.startswith("3.")
