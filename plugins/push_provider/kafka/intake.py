"""Takes what messages ask for into the ledger, with the settings of this installation."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from push_provider import content, settings
from push_provider.exceptions import ContentError
from push_provider.ledger import messages
from push_provider.ledger.messages import Define, Order, Refused, Taken

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy import Engine


def take(engine: Engine, orders: Sequence[Order], *, replay: UUID | None = None) -> Taken:
    """Take a batch, all or none; an injected task whose templates cannot be compiled is refused.

    :param replay: position of the rejected message that these are, and that is tried again.
    :raises LedgerUnavailable: nothing has been taken.
    """
    return messages.take(
        engine,
        [_compiled(order) for order in orders],
        freeze=content.freeze,
        now=datetime.now(UTC),
        default_timezone=settings.default_timezone(),
        forward_to=settings.dead_letter_topic() or None,
        replay=replay,
    )


def _compiled(order: Order) -> Order:
    if not isinstance(order, Define):
        return order
    try:
        _ = content.Content(order.task, content.freeze(order.task)).attachments
    except ContentError as error:
        return Refused(order.message, order.code, f"define.{'template' if order.task.template else 'content'}: {error}")
    return order
