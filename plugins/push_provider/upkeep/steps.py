"""What upkeep there is, as the options of ``[push]`` have it."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

from push_provider import settings
from push_provider.ledger import (
    answers,
    dropping,
    known_addresses,
    message_ids,
    rejected,
    retiring,
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
    if (kept := settings.retention_days()) is not None:
        found.append(Step("executions dropped", partial(dropping.drop_old, before=now - kept), 200))
        found.append(Step("suppressions forgotten", partial(suppressions.forget, before=now - kept), 2000))
    found.append(Step("deliveries gone through for their addresses", known_addresses.note, 1000))
    found.append(Step("deliveries deleted", dropping.clear, 5000))
    found.append(Step("answers forgotten", answers.forget_old, 2000))
    if (kept := settings.rejected_days()) is not None:
        found.append(Step("rejected messages forgotten", partial(rejected.trim, before=now - kept), 500))
    if (kept := settings.message_id_days()) is not None:
        found.append(Step("message ids forgotten", partial(message_ids.forget, before=now - kept), 5000))
    return found
