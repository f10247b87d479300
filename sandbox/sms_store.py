"""The SMS that the sandbox took: a file of JSON lines, and all of it in memory.

One process uses a folder at a time, and calls from one thread.
"""

from __future__ import annotations

import heapq
import re
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, timezone
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, Literal, Self

from push_provider.exceptions import ConfigurationError
from sandbox.journal import Journal, exclusive
from sandbox.message import printable
from sandbox.sms_account import Account

KEEP = 10_000
"""SMS kept; each further one removes the oldest."""

CHINA = timezone(timedelta(hours=8), "Asia/Shanghai")
"""In which Aliyun writes dates, and in which it begins a day."""

DELIVERED = "DELIVERED"
"""ErrCode of an SMS that the phone has."""

_REWRITE = 4
"""The file is written anew when it has this many times the lines that are kept: half the work of 2."""
_ID = re.compile(r"\d{8}T\d{6}-\d{8,}", re.ASCII)

State = Literal["waiting", "delivered", "failed"]


@dataclass(frozen=True, slots=True)
class Sms:
    """One SMS, of one call to one number.

    :param id: unique in the folder; a later one ends in a greater number.
    :param sent_at: when the gateway took it, in UTC.
    :param phone: 11 digits of the mainland, or country code and number.
    :param content: as the phone shows it, the sign name in front.
    :param out_id: of the call; empty if it gave none.
    :param biz_id: of the call, given by the gateway.
    :param receipt_code: what the carrier says at ``receipt_at``: ``DELIVERED``, or why not.
    :param receipt_at: when the receipt is there, in UTC; None: never.
    """

    id: str
    sent_at: datetime
    phone: str
    sign_name: str
    template_code: str
    content: str
    out_id: str
    biz_id: str
    receipt_code: str
    receipt_at: datetime | None

    def state(self, now: datetime) -> State:
        """What QuerySendDetails would say of it."""
        if self.receipt_at is None or now < self.receipt_at:
            return "waiting"
        return "delivered" if self.receipt_code == DELIVERED else "failed"

    def as_json(self) -> dict[str, Any]:
        """As the file keeps it; times as RFC 3339."""
        return {
            "id": self.id,
            "sent_at": _rfc3339(self.sent_at),
            "phone": self.phone,
            "sign_name": self.sign_name,
            "template_code": self.template_code,
            "content": self.content,
            "out_id": self.out_id,
            "biz_id": self.biz_id,
            "receipt_code": self.receipt_code,
            "receipt_at": _rfc3339(self.receipt_at) if self.receipt_at else None,
        }

    def shown(self, now: datetime) -> dict[str, Any]:
        """As the page's API gives it: the receipt only once it is there."""
        state = self.state(now)
        there = state != "waiting"
        return {
            **self.as_json(),
            "state": state,
            "receipt_code": self.receipt_code if there else None,
            "receipt_at": _rfc3339(self.receipt_at) if there and self.receipt_at else None,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Read what :meth:`as_json` gave.

        :raises ValueError, KeyError, TypeError: it did not give this.
        """
        names = ("id", "phone", "sign_name", "template_code", "content", "out_id", "biz_id", "receipt_code")
        texts = {name: data[name] for name in names}
        if not all(isinstance(text, str) for text in texts.values()):
            raise TypeError("a text is not a text")
        if not _ID.fullmatch(texts["id"]):
            raise ValueError(texts["id"])
        receipt_at = data["receipt_at"]
        return cls(
            **texts,
            sent_at=datetime.fromisoformat(data["sent_at"]),
            receipt_at=None if receipt_at is None else datetime.fromisoformat(receipt_at),
        )


@dataclass(frozen=True, slots=True)
class Draft:
    """What a call asks for one number; the store adds id and times.

    :param receipt_seconds: until the receipt is there; None: never.
    """

    phone: str
    sign_name: str
    template_code: str
    content: str
    out_id: str
    receipt_code: str
    receipt_seconds: float | None


class SmsStore:
    """Open the folder, make it if it is missing, and read what it holds.

    :param folder: where the SMS are kept, and the :class:`Account` that is open with them.
    :param keep: how many; older ones are removed.
    :param clock: the time now, in UTC.
    :raises ConfigurationError: the folder cannot be used, or another sandbox uses it.
    """

    def __init__(
        self, folder: Path, *, keep: int = KEEP, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.keep = keep
        self.clock = clock
        self._all: OrderedDict[str, Sms] = OrderedDict()
        self._by_phone: dict[str, deque[str]] = {}
        self._due: list[tuple[datetime, str]] = []
        self._journal = Journal(folder / "sms.jsonl")
        self._number = 0
        self._changes = 0
        self._opened = time.time_ns()
        self._owned = ExitStack()
        self._owned.enter_context(exclusive(folder))
        self._owned.callback(self._journal.close)
        try:
            self.account = Account(folder)
            self._owned.callback(self.account.close)
            self._load()
        except OSError as error:
            self._owned.close()
            raise ConfigurationError(
                f"The folder {folder} cannot be read ({error.strerror}); choose another with --folder"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._owned.close()

    def __len__(self) -> int:
        return len(self._all)

    @property
    def version(self) -> str:
        """A text that is another one whenever the SMS or their receipts are others."""
        now = self.clock()
        while self._due and self._due[0][0] <= now:
            heapq.heappop(self._due)
            self._changes += 1
        return f"{self._opened:x}-{self._changes:x}"

    def add(self, drafts: Sequence[Draft]) -> str:
        """Keep the SMS of one call. When this returns, they outlive the process (but not the machine).

        :returns: the call's BizId.
        :raises OSError: they could not be written, and none of them is kept.
        """
        # The file holds milliseconds; what is in memory must not differ from it.
        now = _milliseconds(self.clock())
        biz_id = f"{int(now.timestamp() * 1000)}{self._number + 1:06d}^0"
        second = f"{now:%Y%m%dT%H%M%S}"
        taken = []
        for draft in drafts:
            self._number += 1
            wait = draft.receipt_seconds
            taken.append(
                Sms(
                    id=f"{second}-{self._number:08d}",
                    sent_at=now,
                    phone=draft.phone,
                    sign_name=printable(draft.sign_name),
                    template_code=draft.template_code,
                    content=printable(draft.content),
                    out_id=printable(draft.out_id),
                    biz_id=biz_id,
                    receipt_code=draft.receipt_code,
                    receipt_at=None if wait is None else _milliseconds(now + timedelta(seconds=wait)),
                )
            )
        self._journal.append(sms.as_json() for sms in taken)
        for sms in taken:
            self._put(sms)
        self._changes += 1
        self._trim()
        return biz_id

    def find(
        self, *, to: str = "", text: str = "", out_id: str = "", limit: int = 100, offset: int = 0
    ) -> tuple[list[Sms], int]:
        """SMS, the newest first.

        :param to: a part of the number.
        :param text: a part of number, sign name, template code, content, OutId or BizId, in any case.
        :param out_id: the whole OutId.
        :returns: at most ``limit`` after the first ``offset``, and how many match in all.
        """
        text = text.casefold()
        found: Iterable[Sms] = reversed(self._all.values())
        total = len(self._all)
        if to or text or out_id:
            found = [sms for sms in found if _matches(sms, to, text, out_id)]
            total = len(found)
        return list(islice(found, offset, offset + limit)), total

    def get(self, sms_id: str) -> Sms | None:
        """The SMS with this id, or None."""
        return self._all.get(sms_id)

    def to_phone(self, phone: str, day: date, biz_id: str = "") -> list[Sms]:
        """What was sent to a number on a day of China, the newest first.

        :param biz_id: of one call only; empty: of all.
        """
        sent = [self._all[sms_id] for sms_id in reversed(self._by_phone.get(phone, ()))]
        return [
            sms for sms in sent if sms.sent_at.astimezone(CHINA).date() == day and (not biz_id or sms.biz_id == biz_id)
        ]

    def settle(self, receipt_code: str, *, to: str = "") -> int:
        """Let the receipts that are waited for arrive now.

        :param receipt_code: what they say; ``DELIVERED``, or why not.
        :param to: a part of the number; empty: of all.
        :returns: how many arrived.
        :raises OSError: they could not be written, and none arrived.
        """
        now = _milliseconds(self.clock())
        settled = [
            replace(sms, receipt_code=receipt_code, receipt_at=now)
            for sms in self._all.values()
            if to in sms.phone and sms.state(now) == "waiting"
        ]
        self._journal.append(sms.as_json() for sms in settled)
        self._all.update((sms.id, sms) for sms in settled)
        self._changes += 1
        self._trim()
        return len(settled)

    def clear(self) -> int:
        """Remove every SMS.

        :returns: how many there were.
        :raises OSError: the file could not be written; they are still there.
        """
        self._journal.rewrite(())
        removed = len(self._all)
        self._all.clear()
        self._by_phone.clear()
        self._due.clear()
        self._changes += 1
        return removed

    def _put(self, sms: Sms) -> None:
        self._all[sms.id] = sms
        self._by_phone.setdefault(sms.phone, deque()).append(sms.id)
        if sms.receipt_at is not None and sms.receipt_at > sms.sent_at:
            heapq.heappush(self._due, (sms.receipt_at, sms.id))

    def _trim(self) -> None:
        while len(self._all) > self.keep:
            _, oldest = self._all.popitem(last=False)
            # It is also the oldest of its number.
            sent = self._by_phone[oldest.phone]
            sent.popleft()
            if not sent:
                del self._by_phone[oldest.phone]
        if self._journal.lines >= _REWRITE * self.keep + 1000:
            # What was just written is safe; a disk too full for a second copy is tried again by the next one.
            with suppress(OSError):
                self._journal.rewrite(sms.as_json() for sms in self._all.values())
            self._due = [entry for entry in self._due if entry[1] in self._all]
            heapq.heapify(self._due)

    def _load(self) -> None:
        kept: dict[str, Sms] = {}
        for entry in self._journal.read():
            try:
                sms = Sms.from_json(entry)
            except (ValueError, KeyError, TypeError):
                continue
            kept[sms.id] = sms  # a later line of the same one says what became of it
        in_order = sorted(kept.values(), key=_serial)
        for sms in in_order[-self.keep :]:
            self._put(sms)
        self._number = _serial(in_order[-1]) if in_order else 0
        self._journal.rewrite(sms.as_json() for sms in self._all.values())


def _matches(sms: Sms, to: str, text: str, out_id: str) -> bool:
    if to not in sms.phone or (out_id and out_id != sms.out_id):
        return False
    fields = (sms.phone, sms.sign_name, sms.template_code, sms.content, sms.out_id, sms.biz_id)
    return not text or any(text in field.casefold() for field in fields)


def _serial(sms: Sms) -> int:
    """The number in its id, which goes on where the clock is set back."""
    return int(sms.id.rpartition("-")[2])


def _milliseconds(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


@lru_cache(maxsize=1024)  # all SMS of a call have the same times
def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
