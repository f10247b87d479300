"""Takes what messages ask for into the ledger, with the settings of this installation."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from push_provider import content, settings
from push_provider.kafka.messages import refused_define
from push_provider.ledger import messages
from push_provider.ledger.messages import Define, Order, Taken, unforeseen_refusal
from push_provider.unforeseen import Unforeseen

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy import Engine

log = logging.getLogger(__name__)
_unforeseen = Unforeseen(log)


def take(engine: Engine, orders: Sequence[Order], *, replay: UUID | None = None) -> Taken:
    """Take a batch; an injected task whose content cannot be sent is refused, and so is what nobody thought of.

    :param replay: position of the rejected message that these are, and that is tried again.
    :raises LedgerUnavailable: what has not been taken comes again.
    """
    return messages.take(
        engine,
        [_looked_at(order) for order in orders],
        freeze=content.freeze,
        now=datetime.now(UTC),
        default_timezone=settings.default_timezone(),
        forward_to=settings.dead_letter_topic() or None,
        replay=replay,
    )


def _looked_at(order: Order) -> Order:
    try:
        if isinstance(order, Define) and (faults := content.faults(order.task)):
            return refused_define(order.message, order.code, faults)
    except Exception as error:  # noqa: BLE001  (whatever it is, it is told)
        return unforeseen_refusal(order.message, order.code, error, _unforeseen)
    return order
