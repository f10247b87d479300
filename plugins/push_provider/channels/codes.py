"""What a vendor's answer means for a message: whom it concerns, and whether a later try helps."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Fault(StrEnum):
    """Whom an error code concerns."""

    RECIPIENT = "recipient"
    """One recipient or their message; trying again changes nothing."""
    BUSY = "busy"
    """Not now: the same call may succeed later."""
    ACCOUNT = "account"
    """The configuration or the account: no message of the execution can be sent."""
    DOUBT = "doubt"
    """The vendor failed while it was at work: nobody can tell whether it sent."""


class Meaning(NamedTuple):
    """What an error code means.

    :param fault: see :class:`Fault`.
    :param source: where the vendor says so.
    :param remedy: what to do, for codes that stop an execution.
    :param wait: seconds after which another try of the call may succeed, for :attr:`Fault.BUSY`.
    :param gone: whether the address exists no more, for :attr:`Fault.RECIPIENT`.
    """

    fault: Fault
    source: str
    remedy: str = ""
    wait: float | None = None
    gone: bool = False
