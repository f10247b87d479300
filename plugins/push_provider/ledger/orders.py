"""What messages ask of the ledger, and what became of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from uuid import UUID

    from push_provider.contract import PushTask

SOURCE = "kafka"
"""Of the executions that messages begin."""


class Message(NamedTuple):
    """A message as it came, or one element of an array."""

    topic: str
    partition: int
    offset: int
    element: int | None
    """Which of an array, from 0; None if the message is none."""
    sent_at: datetime | None
    value: bytes | None
    """None for a tombstone."""
    position: UUID
    """Stands for the place in the topic and for what is there: the same whenever it is read again."""


class Start(NamedTuple):
    """Start an execution, or join one."""

    message: Message
    key: UUID
    """The same for what is the same message, however often it was sent."""
    code: str
    said: Mapping[str, Any]
    """``recipients`` and ``variables``, not checked yet: that takes the task's channel."""


class Define(NamedTuple):
    """Inject a push task, or update it."""

    message: Message
    key: UUID
    task: PushTask

    @property
    def code(self) -> str:
        """The task's code."""
        return self.task.code


class Refused(NamedTuple):
    """What cannot be used, and why."""

    message: Message
    code: str | None
    reason: str


Order = Start | Define | Refused


class Bounds(NamedTuple):
    """What messages may do, and how much of it.

    :param check_app: refuses a message that touches a push task of this application, and may not.
    :param max_recipients: deliveries that one message may become, an array as a whole; 0 for no limit. A push task's
        own recipients are as many as they are.
    :param open_limit: how many push tasks of an application may be open; 0 for no limit.
    """

    check_app: Callable[[Message, str | None], None] = lambda _message, _app: None
    max_recipients: int = 0
    open_limit: Callable[[str | None], int] = lambda _app: 0


class Taken(NamedTuple):
    """What became of a batch."""

    deliveries: int
    executions: int
    """That have begun; the others were joined."""
    defined: int
    repeated: int
    """Messages that had been taken before."""
    rejected: list[Refused]

    @property
    def action(self) -> Literal["taken", "taken-before", "rejected"]:
        """What became of a single message: it, or the same one, may have been taken already."""
        if self.rejected:
            return "rejected"
        return "taken-before" if self.repeated else "taken"

    @property
    def reason(self) -> str | None:
        """Why something of it is rejected."""
        return "; ".join(refused.reason for refused in self.rejected) or None

    def and_then(self, more: Taken) -> Taken:
        """What became of this batch and of the next one."""
        return Taken(
            self.deliveries + more.deliveries,
            self.executions + more.executions,
            self.defined + more.defined,
            self.repeated + more.repeated,
            self.rejected + more.rejected,
        )
