"""Whether Airflow has no connection of an id, or only cannot be asked for it just now.

Airflow says of both that there is none: what goes wrong on the way to its API server ends the look-up as a connection
that is not there does. So who has found none asks once more, by the task-to-supervisor protocol, which tells them
apart. It is no public API: Airflow is pinned, and a test holds it to what is used here.
"""

from __future__ import annotations

from typing import Any

from push_provider.exceptions import TransientError

_NOBODY_S = "push_no_such_connection"


def require_absent(conn_id: str) -> None:
    """Make sure that a connection which was not found is not there; only where a task looked for it.

    One that Airflow cannot read, such as one whose secrets are encrypted with another key, is as good as not there:
    whoever waited for it would wait for ever.

    :raises TransientError: Airflow cannot be asked just now.
    """
    from airflow.sdk.execution_time import task_runner

    supervisor = getattr(task_runner, "SUPERVISOR_COMMS", None)
    if supervisor is None:  # no task, but a process that reads Airflow's database itself
        return
    for _ in range(2):
        fault = _fault(supervisor, conn_id)
        if fault is None:
            return
        # Does it answer for another one? Then it may have come back just now, or the fault is that of this one alone.
        if (of_all := _fault(supervisor, _NOBODY_S)) is not None:
            raise TransientError(f"Airflow cannot be asked for connection {conn_id!r} just now: {of_all}")


def _fault(supervisor: Any, conn_id: str) -> str | None:
    """Why Airflow has not said whether there is a connection; None if it has said that there is none.

    :raises TransientError: there is one: it has come, or Airflow has come back, since it was not found.
    """
    from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
    from airflow.sdk.execution_time.comms import ErrorResponse, GetConnection

    try:
        answer = supervisor.send(GetConnection(conn_id=conn_id))
    except AirflowRuntimeError as error:
        answer = error.error
    if not isinstance(answer, ErrorResponse):
        raise TransientError(f"Airflow could not be asked for connection {conn_id!r} a moment ago, and can be now")
    detail = answer.detail or {}
    # 401 is a token that has run out: another try has another one.
    denied = answer.error == ErrorType.PERMISSION_DENIED and detail.get("status_code") != 401
    if denied or answer.error == ErrorType.CONNECTION_NOT_FOUND:
        return None
    return str(detail.get("message") or answer.error.value)
