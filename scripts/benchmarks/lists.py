"""The lists of a full ledger, as the REST API and the page ask for them: a first page, a deep one, and the number."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from benchmarks import crowd

if TYPE_CHECKING:
    from sqlalchemy import Engine


def tell(engine: Engine, size: crowd.Size) -> None:
    """Measure and print each.

    :param size: of what :func:`crowd.fill` has put into the ledger.
    """
    from push_provider.ledger import deliveries, executions, stats
    from push_provider.ledger import task_lists as tasks

    now = datetime.now(UTC)
    old = now - timedelta(days=19)
    asked: list[tuple[str, Any, dict[str, Any]]] = [
        ("tasks", tasks, {}),
        ("tasks, by status", tasks, {"status": "failed"}),
        ("tasks, by recipient", tasks, {"recipient": "r77@example.com"}),
        ("tasks, by part of a recipient", tasks, {"search": "r77@exam"}),
        ("tasks, by part of all", tasks, {"search": "example"}),
        ("tasks, by part of the name", tasks, {"name": "no. 777"}),
        ("tasks, by application", tasks, {"app": "app-3"}),
        ("tasks, the delayed", tasks, {"delayed": True}),
        ("executions", executions, {}),
        ("executions, of a task with 200,000", executions, {"task": crowd.BUSY}),
        ("executions, partial", executions, {"state": "partial"}),
        ("executions, until 19 days ago", executions, {"begun_to": old}),
        ("deliveries", deliveries, {}),
        ("deliveries, of a task with 200,000 executions", deliveries, {"task": crowd.BUSY}),
        ("deliveries, of an execution with 200,000", deliveries, {"task": crowd.BIG}),
        ("deliveries, of a recipient with very many", deliveries, {"recipient": "monitor@example.com"}),
        ("deliveries, until 19 days ago", deliveries, {"begun_to": old}),
        *[(f"deliveries, {state}", deliveries, {"state": state}) for state in ("failed", "pending", "sending", "sent")],
        ("deliveries, failed, of a task with 200,000", deliveries, {"task": crowd.BIG, "state": "failed"}),
        ("deliveries, of half of the tasks", deliveries, {"codes": {f"crowd-{n}" for n in range(0, size.tasks, 2)}}),
    ]
    full = f"{size.tasks:,} tasks and {size.deliveries:,} deliveries"
    print(f"Lists of {full}, 100 rows, in the ledger:", flush=True)
    for name, module, filters in asked:
        first, deep, total = (
            1000 * crowd.seconds(call)
            for call in (
                lambda m=module, f=filters: m.find(engine, limit=100, **f),
                lambda m=module, f=filters: m.find(engine, limit=100, offset=9_900, **f),
                lambda m=module, f=filters: m.count(engine, cap=10_001, **f),
            )
        )
        print(f"  {name:48} first page {first:5.1f} ms   page 100 {deep:5.1f} ms   total {total:5.1f} ms", flush=True)
    day = {"begun_from": now - timedelta(days=1), "begun_to": now}
    print(f"  {'statistics of a day':48} {1000 * crowd.seconds(lambda: stats.hourly(engine, **day)):.1f} ms")
    begun = time.perf_counter()
    with deliveries.Stream(engine) as stream:
        rows = sum(len(chunk) for chunk in stream)
    print(f"  {'all of them, as the CSV reads them':48} {rows / (time.perf_counter() - begun):,.0f} rows a second")
