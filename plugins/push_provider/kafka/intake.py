"""Takes what messages ask for into the ledger, with the settings of this installation."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from push_provider import content, settings
from push_provider.kafka.messages import refused_define
from push_provider.ledger import messages
from push_provider.ledger.messages import Define, Order, Taken

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy import Engine


def take(engine: Engine, orders: Sequence[Order], *, replay: UUID | None = None) -> Taken:
    """Take a batch, all or none; an injected task whose content cannot be sent is refused.

    :param replay: position of the rejected message that these are, and that is tried again.
    :raises LedgerUnavailable: nothing has been taken.
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
    if isinstance(order, Define) and (faults := content.faults(order.task)):
        return refused_define(order.message, order.code, faults)
    return order
