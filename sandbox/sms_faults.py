"""How the SMS gateway misbehaves: when it is told to, and for some numbers always."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any, Literal, get_args

from sandbox.sms_store import DELIVERED

SLOW_SECONDS = 3.0
"""How late a slow number's answer is."""

Kind = Literal["refuse", "slow", "hang", "drop", "drop_after", "http"]


@dataclass(frozen=True, slots=True)
class Fault:
    """What the next calls get instead of what they ask for.

    ==============  ======================================================================================
    ``refuse``      an answer with this ``code``, ``message`` and HTTP ``status``; nothing is sent
    ``slow``        carried out at once, and answered only after ``seconds``
    ``hang``        carried out not at all, and never answered
    ``drop``        carried out not at all, and the connection is cut
    ``drop_after``  carried out, and the connection is cut before the answer
    ``http``        HTTP ``status`` with ``body``, which need not be JSON; nothing is sent
    ==============  ======================================================================================

    :param kind: one of these.
    :param action: ``SendSms`` and the like; empty: any.
    :param times: calls that get it; None: all until the faults are removed.
    :param seconds: to wait before answering or cutting, for every kind but ``hang``.
    :param retry_after: milliseconds, sent as x-acs-retry-after, as Aliyun does when it throttles; None: not sent.
    """

    kind: Kind
    action: str = ""
    times: int | None = 1
    code: str = "isp.SYSTEM_ERROR"
    message: str = "The sandbox was told to refuse this call."
    status: int = 200
    seconds: float = 0.0
    body: str = "<html><body>503 Service Temporarily Unavailable</body></html>"
    retry_after: int | None = None

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Fault:
        """Read what a test or a person asks for; what is left out has the default of the field.

        :raises ValueError: the text names the field and what it takes.
        """
        unknown = data.keys() - cls.__dataclass_fields__.keys()
        if unknown:
            raise ValueError(f"{min(unknown)}: no such field; there are {', '.join(cls.__dataclass_fields__)}")
        kind = data.get("kind")
        if kind not in get_args(Kind):
            raise ValueError(f"kind: give one of {', '.join(get_args(Kind))}")
        fault = cls(**{"status": 503 if kind == "http" else 200, **data})
        _expect("action", fault.action, isinstance(fault.action, str), "the name of an action, or an empty text")
        times = fault.times
        _expect("times", times, times is None or _within(times, 1, 10**9), "a number above 0, or null")
        _expect("status", fault.status, _within(fault.status, 200, 599), "an HTTP status from 200 to 599")
        seconds_fit = not isinstance(fault.seconds, bool) and isinstance(fault.seconds, int | float)
        _expect("seconds", fault.seconds, seconds_fit and 0 <= fault.seconds <= 3600, "from 0 to 3600")
        after = fault.retry_after
        _expect("retry_after", after, after is None or _within(after, 0, 10**9), "milliseconds, or null")
        for name in ("code", "message", "body"):
            value = getattr(fault, name)
            _expect(name, value, isinstance(value, str), "a text")
        return fault

    def as_json(self) -> dict[str, Any]:
        """As :meth:`from_json` takes it, every field."""
        return asdict(self)


class Faults:
    """The faults that are still to come, in the order in which they were asked for."""

    def __init__(self) -> None:
        self._coming: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Let the next fitting calls have it, after those that were added before."""
        self._coming.append(fault)

    def clear(self) -> int:
        """Behave again.

        :returns: how many faults were still to come.
        """
        left = len(self._coming)
        self._coming.clear()
        return left

    def coming(self) -> tuple[Fault, ...]:
        """Those still to come, each with the times that are left of it."""
        return tuple(self._coming)

    def take(self, action: str) -> Fault | None:
        """The fault for one call of this action, if there is one; it counts as used."""
        for position, fault in enumerate(self._coming):
            if fault.action in ("", action):
                if fault.times is not None:
                    if fault.times > 1:
                        self._coming[position] = replace(fault, times=fault.times - 1)
                    else:
                        del self._coming[position]
                return fault
        return None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of an SMS because of its number.

    :param refused: code with which the whole call is refused; empty: it is taken.
    :param receipt_code: what the carrier will say.
    :param is_silent: no receipt ever comes.
    :param fault: how the call is answered; None: as it should be.
    """

    refused: str = ""
    receipt_code: str = DELIVERED
    is_silent: bool = False
    fault: Fault | None = None


NUMBERS: Mapping[str, Outcome] = MappingProxyType(
    {
        # Carriers' codes: https://help.aliyun.com/zh/sms/developer-reference/error-codes-of-receipts
        "1990001": Outcome(receipt_code="MOBILE_NOT_ON_SERVICE"),
        "1990002": Outcome(receipt_code="MOBILE_IN_BLACK"),
        "1990003": Outcome(is_silent=True),
        "1990004": Outcome(refused="isv.MOBILE_NUMBER_ILLEGAL"),
        "1990005": Outcome(refused="isv.BUSINESS_LIMIT_CONTROL"),
        "1990006": Outcome(refused="isp.SYSTEM_ERROR"),
        "1990007": Outcome(fault=Fault("slow", seconds=SLOW_SECONDS)),
        "1990008": Outcome(fault=Fault("drop_after")),
    }
)
"""By the first seven digits of a number of the mainland: ``1990001`` and any four more."""

_ORDINARY = Outcome()


def outcome(phone: str) -> Outcome:
    """What becomes of an SMS to this number."""
    return NUMBERS.get(phone[:7], _ORDINARY) if len(phone) == 11 else _ORDINARY


def _within(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _expect(field: str, value: object, fits: bool, wanted: str) -> None:
    if not fits:
        raise ValueError(f"{field}: {value!r} does not fit; give {wanted}")
