"""Receipts of SMS: what Aliyun's QuerySendDetails says of each message."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from push_provider.channels.base import Fate, Question, Receipt, ReceiptReader
from push_provider.channels.codes import Fault
from push_provider.channels.sms import out_id
from push_provider.channels.sms.aliyun_client import DETAILS_PAGE
from push_provider.channels.sms.aliyun_codes import meaning
from push_provider.connections.unanswered import NoAnswer, NotSent

if TYPE_CHECKING:
    from push_provider.channels.sms.aliyun_client import AliyunClient

log = logging.getLogger(__name__)

_BEIJING = ZoneInfo("Asia/Shanghai")
"""The clock of Aliyun's dates."""
_SLACK = timedelta(minutes=30)
"""How much later than its claim a message may have been sent, or the clocks differ."""
_PAGES = 20
"""Pages of one number's day that are looked at: a thousand messages."""
_FATES = {1: Fate.WAITING, 2: Fate.FAILED, 3: Fate.DELIVERED}
"""SendStatus (https://help.aliyun.com/document_detail/419277.html)."""
_BETTER = (Fate.DELIVERED, Fate.WAITING, Fate.FAILED, Fate.ABSENT)
"""Of several records of one message, which was sent again because nobody could tell, the best one counts."""


class _Interrupted(Exception):
    """Aliyun cannot be asked just now."""


class _Refused(Exception):
    """Aliyun can be asked, and does not answer this question."""


class SmsReceipts(ReceiptReader):
    """Asks for the receipts of one account's messages.

    :param client: the account.
    """

    def __init__(self, client: AliyunClient) -> None:
        self._client = client
        self._tired = False
        self._refused: list[str] = []
        """The codes of questions that were refused."""

    def read(self, questions: Sequence[Question]) -> list[Receipt]:
        """Ask for each message; once Aliyun has no time or no answer, the rest is left out.

        One of which it refuses to say anything is left out alone.

        :raises ConfigurationError: Aliyun refuses the account.
        """
        self._tired = False
        self._refused = []
        pool = ThreadPoolExecutor(self._client.config.max_connections, "push-receipts")
        try:
            return [receipt for receipt in pool.map(self._ask, questions) if receipt]
        finally:
            pool.shutdown(cancel_futures=True)
            if self._refused:
                log.warning(
                    "Aliyun does not say what became of %s of %s messages, of the last with %s",
                    len(self._refused),
                    len(questions),
                    self._refused[-1],
                )

    def _ask(self, question: Question) -> Receipt | None:
        if self._tired:
            return None
        try:
            receipts = [self._receipt(question, record) for record in self._records(question)]
        except _Interrupted:
            self._tired = True
            return None
        except _Refused as error:
            self._refused.append(str(error))
            return None
        return min(receipts, key=lambda receipt: _BETTER.index(receipt.fate), default=Receipt(question.id, Fate.ABSENT))

    def _records(self, question: Question) -> Iterator[Any]:
        """Aliyun's records of a message.

        :raises _Interrupted: Aliyun cannot be asked just now.
        :raises _Refused: it does not answer.
        """
        to = question.to.removeprefix("+")
        for date in _dates(question.tried_at):
            for page in range(1, _PAGES + 1):
                records = self._page(to, date, question.provider_id, page)
                yield from (record for record in records if _is_of(record, question))
                if len(records) < DETAILS_PAGE:
                    break

    def _page(self, to: str, date: str, biz_id: str | None, page: int) -> Sequence[Any]:
        from push_provider.channels.sms.aliyun_account import refusal

        try:
            answer = self._client.details(to, date, biz_id=biz_id, page=page)
        except (NotSent, NoAnswer) as error:
            raise _Interrupted from error
        if not answer.ok:
            fault = meaning(answer.code, answer.message, answer.status).fault
            if fault is Fault.ACCOUNT:
                raise refusal(self._client.config, answer)
            raise _Refused(answer.code) if fault is Fault.RECIPIENT else _Interrupted(answer.code)
        details = answer.body.sms_send_detail_dtos
        return (details.sms_send_detail_dto if details else None) or []

    @staticmethod
    def _receipt(question: Question, record: Any) -> Receipt:
        fate = _FATES.get(record.send_status, Fate.WAITING)
        code = record.err_code or None
        if fate is not Fate.FAILED:
            return Receipt(question.id, fate, received_at=_moment(record.receive_date))
        text = (
            "The carrier did not deliver it; what its code means: https://help.aliyun.com/document_detail/101347.html"
        )
        return Receipt(question.id, fate, code or "failed", text, _moment(record.receive_date))


def _is_of(record: Any, question: Question) -> bool:
    if record.out_id:
        return out_id.holds(record.out_id, question.token, question.id)
    return question.provider_id is not None  # asked for by its BizId and number


def _dates(tried_at: datetime) -> list[str]:
    """The days in Beijing on which a message may have been sent, as ``yyyyMMdd``."""
    begin = tried_at.astimezone(_BEIJING)
    return sorted({f"{moment:%Y%m%d}" for moment in (begin, begin + _SLACK)})


def _moment(text: str | None) -> datetime | None:
    """A time as Aliyun writes it, ``2026-01-31 09:05:00`` in Beijing."""
    try:
        return datetime.strptime(text or "", "%Y-%m-%d %H:%M:%S").replace(tzinfo=_BEIJING).astimezone(UTC)
    except ValueError:
        return None
