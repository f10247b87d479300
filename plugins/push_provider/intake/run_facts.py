"""What the ledger keeps of an Airflow run, whoever looks at it: the run's own task, or the API server afterwards.

Imports no Airflow: a run is whatever has its attributes.
"""

from __future__ import annotations

from typing import Any

_SOURCES = {"scheduled": "schedule", "backfill": "backfill"}
"""What begins the runs of a type, where it is not a person."""


def facts_of(run: Any) -> dict[str, Any]:
    """What the ledger keeps of a run beside what is sent, as :func:`push_provider.ledger.planning.plan` takes it.

    :param run: has ``run_id``, ``run_type``, ``triggering_user_name``, ``logical_date``, and may have ``run_after``.
    """
    return {
        "source": _SOURCES.get(run.run_type, "manual"),
        "run_id": run.run_id,
        "run_after": getattr(run, "run_after", None),
        "triggered_by": run.triggering_user_name,
        "scheduled_for": run.logical_date if run.run_type in _SOURCES else None,
    }


def was_cleared(run: Any) -> bool:
    """Whether a run was cleared: by a person, or by a backfill of Airflow's, which takes over runs that there are.

    :param run: may have ``clear_number``; that of a new one is 0, of whatever type it is.
    """
    return bool(getattr(run, "clear_number", None))
