"""One try of an email execution, in a process of its own, as Airflow's task is one.

``python -m benchmarks.one_try CODE N`` prints how it ended, as a line of JSON: what the operator returned,
or ``error`` and ``text``.
"""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace
from typing import Any

TRIES = 100


def main(code: str, tried: str) -> None:
    """Send what is left of the execution."""
    from airflow.sdk.exceptions import AirflowException

    from push_provider.exceptions import PushError
    from push_provider.operators.push import EmailPushOperator

    run = SimpleNamespace(
        run_id=f"run-{code}", conf={}, run_type="manual", logical_date=None, start_date=None, triggering_user_name=None
    )
    context: Any = {"dag_run": run, "ti": SimpleNamespace(try_number=int(tried), max_tries=TRIES)}
    try:
        said = EmailPushOperator(task_id="send", code=code).execute(context)
    except (PushError, AirflowException) as error:
        said = {"error": type(error).__name__, "text": str(error)}
    print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
