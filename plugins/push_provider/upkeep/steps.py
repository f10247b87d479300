"""What upkeep there is, as the options of ``[push]`` have it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial

from push_provider import settings
from push_provider.ledger import (
    answers,
    dropping,
    known_addresses,
    message_ids,
    partitions,
    recipients,
    rejected,
    retiring,
    snapshots,
    suppressions,
)
from push_provider.upkeep.portions import Step


def steps(now: datetime | None = None) -> list[Step]:
    """All steps, in the order in which they are done.

    :param now: the present moment.
    :raises ConfigurationError: an option is wrong.
    """
    now = now or datetime.now(UTC)
    found = [Step("push tasks retired", partial(retiring.retire, before=now - settings.retire_after()), 1000)]
    kept = settings.retention_days()
    # A tenth: what is kept in vain, because something of the same partition is younger, is no more than that.
    age = max(kept / 10, timedelta(days=1)) if kept is not None else None
    found.append(Step("partitions made", partitions.make_ahead, 1))
    found.append(Step("partitions closed", partial(partitions.rotate, now=now, age=age), 1))
    if kept is not None and age is not None:
        drop = partial(dropping.drop_old, before=now - kept, patience=2 * age)
        found.append(Step("executions dropped", drop, 200))
        found.append(Step("suppressions forgotten", partial(suppressions.forget, before=now - kept), 2000))
    found.append(Step("deliveries gone through for their addresses", known_addresses.note, 1000))
    found.append(Step("deliveries dropped with their partition", partitions.drop_old, 500))
    found.append(Step("deliveries deleted", dropping.clear, 5000))
    found.append(Step("recipients deleted", recipients.clear, 5000))
    found.append(Step("snapshots gone through", snapshots.forget, 1000))
    found.append(Step("looks at all partitions", partial(partitions.look, now=now), 1))
    found.append(Step("answers forgotten", answers.forget_old, 2000))
    if (kept := settings.rejected_days()) is not None:
        found.append(Step("rejected messages forgotten", partial(rejected.trim, before=now - kept), 500))
    if (kept := settings.message_id_days()) is not None:
        found.append(Step("message ids forgotten", partial(message_ids.forget, before=now - kept), 5000))
    return found
