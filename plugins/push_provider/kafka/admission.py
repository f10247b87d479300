"""Takes what messages ask for into the ledger, with the settings of this installation."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from push_provider import rendering, settings
from push_provider.exceptions import NotAllowed, RenderingBudget
from push_provider.kafka.connection import find
from push_provider.kafka.messages import refused_define
from push_provider.kafka.topics import Rules
from push_provider.ledger import messages, rejected
from push_provider.ledger.messages import unforeseen_refusal
from push_provider.ledger.orders import Bounds, Define, Order, Refused, Start, Taken
from push_provider.policy.quotas import open_tasks
from push_provider.policy.sizes import too_many_recipients
from push_provider.rendering import workers
from push_provider.rendering.workers import Asker
from push_provider.unforeseen import Unforeseen

if TYPE_CHECKING:
    from uuid import UUID

    from airflow.sdk import Connection
    from sqlalchemy import Engine

log = logging.getLogger(__name__)
_unforeseen = Unforeseen(log)


def take(
    engine: Engine,
    orders: Sequence[Order],
    *,
    replay: UUID | None = None,
    find: Callable[[str], Connection | None] = find,
    between: Callable[[], None] = lambda: None,
) -> Taken:
    """Take a batch; refused is what a topic may not do, whose content cannot be sent, and what nobody thought of.

    :param find: gives the connection of an id; left out, as tasks do.
    :param replay: position of the rejected message that these are, and that is tried again.
    :param between: called while much of the batch has been taken, and more of it has not.
    :raises LedgerUnavailable: what has not been taken comes again.
    :raises TransientError: Airflow cannot be asked for a connection just now; none has been taken, and all come again.
    :raises ConfigurationError: a rule of topics cannot be read.
    """
    if replay is not None:
        orders = _known_still(engine, orders, replay)
    rules = Rules(engine, find)
    askers: dict[str, Asker] = {}
    return messages.take(
        engine,
        [_looked_at(_allowed(order, rules), askers) for order in orders],
        freeze=rendering.freeze,
        now=datetime.now(UTC),
        default_timezone=settings.default_timezone(),
        forward_to=settings.dead_letter_topic() or None,
        replay=replay,
        bounds=Bounds(rules.check_app, settings.max_recipients(), partial(open_tasks.limit, engine)),
        between=between,
    )


def _known_still(engine: Engine, orders: Sequence[Order], replay: UUID) -> Sequence[Order]:
    """The orders of a message that is tried again; its refusal, if it is not known any more which of them were taken.

    Of an array that was rejected as a whole, those elements that could be used were taken when it came.
    """
    days = settings.message_id_days()
    if days is None or all(order.message.position == replay for order in orders):
        return orders
    kept = rejected.kept(engine, replay)
    if kept is None or kept[1] > datetime.now(UTC) - days:
        return orders
    reason = (
        "The array was rejected longer ago than ids of messages are known ([push] message_id_days), and those of its "
        "elements that could be used were taken then: they would be sent again. Send the others as a new message"
    )
    return [Refused(kept[0], None, reason)]


def _allowed(order: Order, rules: Rules) -> Order:
    """An order that its topic may give; else its refusal."""
    topic = rules.of(order.message.topic)
    try:
        if isinstance(order, Start):
            topic.require_code(order.code)
        elif isinstance(order, Define):
            if fault := too_many_recipients(order.task.recipients):
                return refused_define(order.message, order.code, [fault])
            return order._replace(task=topic.defined(order.task))
    except NotAllowed as error:
        return Refused(order.message, order.code, str(error))
    except Exception as error:  # noqa: BLE001  (whatever it is, it is told)
        return unforeseen_refusal(order.message, order.code, error, _unforeseen)
    return order


def _looked_at(order: Order, askers: dict[str, Asker]) -> Order:
    if not isinstance(order, Define):
        return order
    topic = order.message.topic
    # Whoever writes into a topic, those who write sound messages into it are not to wait for long.
    asker = askers.setdefault(topic, Asker(f"topic {topic}", shared=True))
    try:
        if faults := workers.faults(order.task, asker):
            return refused_define(order.message, order.code, faults)
    except RenderingBudget as error:
        return Refused(order.message, order.code, str(error))
    except Exception as error:  # noqa: BLE001  (whatever it is, it is told)
        return unforeseen_refusal(order.message, order.code, error, _unforeseen)
    return order
