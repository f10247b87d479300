"""How a push task is called here and in Airflow."""

from __future__ import annotations

import re

CODE_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,63}$"

DAG_PREFIX = "push__"
_OF_EXECUTION = re.compile(r"(rest|cli|kafka|dag|manual|schedule)__[0-9]+")
"""By where an execution comes from; the last two are of such whose run was deleted, and that are sent again. Airflow's
own ids of runs have a date, with more than digits, and those that callers choose begin with other words."""
_TESTER = "dag_test"
_TESTED = "__airflow_temporary_run_"


SEND_TASK_ID = "send"
"""The Airflow task of every push task's DAG that sends."""


def dag_id(code: str) -> str:
    """The DAG of a push task."""
    return DAG_PREFIX + code


def run_id_of(source: str, execution: int) -> str:
    """The DAG run of an execution that was planned before it: it follows, so nobody can make a second one."""
    return f"{source}__{execution}"


def is_of_execution(run_id: str) -> bool:
    """Whether a DAG run was made for an execution that was planned before it, as :func:`run_id_of` names those."""
    return bool(_OF_EXECUTION.fullmatch(run_id))


def is_test(run_id: str, user: str | None) -> bool:
    """Whether a run is one of ``airflow tasks test`` or ``airflow dags test``.

    It is told by its id (``airflow.cli.commands.task_command``), or by who triggered it (``airflow.sdk.DAG.test``).
    """
    return run_id.startswith(_TESTED) or user == _TESTER
