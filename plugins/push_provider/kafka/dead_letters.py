"""Forwards rejected messages to the dead-letter topic, with the reason and the place as headers."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from push_provider.exceptions import PushError
from push_provider.kafka import producer
from push_provider.kafka.producer import Outgoing, Place
from push_provider.unforeseen import Unforeseen

if TYPE_CHECKING:
    from airflow.sdk import Connection
    from sqlalchemy import Engine

    from push_provider.ledger.rejected import Forward

log = logging.getLogger(__name__)
_unforeseen = Unforeseen(log)
_CHUNK = 100


def forward(engine: Engine, connection: Connection) -> None:
    """Forward what the topic has not got yet; what cannot be forwarded now is forwarded later.

    What another process is forwarding at this moment is waited for, and not forwarded once more.
    """
    try:
        while _forward_some(engine, connection):
            pass
    except PushError as error:
        log.warning("Rejected messages are forwarded later: %s", error)
    except Exception as error:  # noqa: BLE001  (what comes in goes on being taken)
        log.warning("Rejected messages are forwarded later: %s", _unforeseen.told(error, "A rejected message"))


def _forward_some(engine: Engine, connection: Connection) -> bool:
    """Forward a chunk; whether there was any."""
    from push_provider.ledger import rejected

    with rejected.forwarding(engine, _CHUNK) as waiting:
        if waiting:
            answers = producer.send(connection, [_letter(one, whole=True) for one in waiting])
            refused = [one for one, answer in zip(waiting, answers, strict=True) if not isinstance(answer, Place)]
            if refused:  # most likely too large for the topic: the reason and the place always fit
                answers = producer.send(connection, [_letter(one, whole=False) for one in refused])
                for one, answer in zip(refused, answers, strict=True):
                    if not isinstance(answer, Place):
                        log.error("Rejected message %s cannot be forwarded to %s: %s", one.id, one.topic, answer)
    return bool(waiting)


def _letter(rejected: Forward, *, whole: bool) -> Outgoing:
    message = rejected.message
    headers = [
        ("push-reason", rejected.reason.encode()),
        ("push-rejected-id", str(rejected.id).encode()),
        ("push-topic", message.topic.encode()),
        ("push-partition", str(message.partition).encode()),
        ("push-offset", str(message.offset).encode()),
    ]
    if message.element is not None:
        headers.append(("push-element", str(message.element).encode()))
    if not whole:
        headers.append(("push-value", b"left out; the ledger has it"))
    return Outgoing(rejected.topic, message.value if whole else None, headers=headers)
