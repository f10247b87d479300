"""Calls that send SMS, and what each answer means for its recipients.

Aliyun accepts or refuses a call as a whole. One that is refused because of one recipient is halved until that one is
alone: the others get their message, and only they. One that is refused for a reason that passes is made again; what
nobody can tell is ``unknown``, and never sent again by itself.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from push_provider.channels import out_id
from push_provider.channels.base import Job, Outcome, Result
from push_provider.exceptions import ContentError, ProviderUnavailable, PushError
from push_provider.hooks.aliyun_client import Answer, NoAnswer, NotSent
from push_provider.hooks.aliyun_codes import Fault, Meaning, meaning

if TYPE_CHECKING:
    from push_provider.hooks.aliyun_client import AliyunClient

_TRIES = 3
"""How often a call is made that Aliyun has no time for."""
_PATIENCE = 10.0
"""Longest wait between two tries, in seconds; a longer one is left to Airflow's retry."""
_FUSE = 16
"""Recipients refused in a row, each alone and for the same reason, after which no more are tried."""


class Message(NamedTuple):
    """One SMS.

    :param id: the delivery's number.
    :param to: digits, without a plus.
    :param parameters: of the template.
    """

    id: int
    to: str
    parameters: Mapping[str, str]


class Calls:
    """The calls of one execution. Several threads may use it between :meth:`begin` and :meth:`conclude`.

    :param client: the account.
    :param sign: the signature.
    :param template: its code.
    :param job: the execution.
    :param sleep: waits so many seconds.
    """

    def __init__(
        self, client: AliyunClient, sign: str, template: str, job: Job, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._client = client
        self._sign = sign
        self._template = template
        self._job = job
        self._sleep = sleep
        self._lock = threading.Lock()
        self._error: PushError | None = None
        self._handed = False
        self._refused: tuple[str, int] = ("", 0)
        self.proven = False
        """Whether Aliyun has accepted a call, and none has failed to reach it since."""

    def begin(self) -> None:
        """Begin a chunk.

        :raises PushError: an earlier chunk showed that nothing can be sent.
        """
        if self._error is not None and not isinstance(self._error, ProviderUnavailable):
            raise self._error
        self._error = None
        self._handed = False

    def conclude(self) -> None:
        """End a chunk.

        :raises PushError: nothing of it was sent, because nothing can be.
        """
        if self._error is not None and not self._handed:
            raise self._error

    def deliver(self, batch: Sequence[Message]) -> list[Outcome]:
        """Send messages to different numbers; an outcome for each."""
        if self._error is not None:
            return self._not_tried(batch)
        try:
            answer, says = self._call(batch)
        except NotSent as error:
            unavailable = ProviderUnavailable(f"Connection {self._client.config.connection!r}: {error}.")
            self._stop(unavailable)
            return _all(batch, Result.RETRY, "connection", str(error))
        except NoAnswer as error:
            self._handed = True
            return _all(batch, Result.UNKNOWN, error.code, str(error))
        except PushError as error:
            self._stop(error)
            return _all(batch, Result.FAILED, "configuration", str(error))
        if says is None:
            self._accept()
            return [Outcome(message.id, Result.SENT, answer.body.biz_id) for message in batch]
        return self._refuse(batch, answer, says)

    def _call(self, batch: Sequence[Message]) -> tuple[Answer, Meaning | None]:
        """Make a call, again if Aliyun has no time; its answer, and what that means unless all is well."""
        for number in range(_TRIES):
            answer = self._send(batch)
            if answer.ok:
                return answer, None
            says = meaning(answer.code, answer.message)
            wait = answer.retry_after or says.wait
            last = number + 1 == _TRIES
            if says.fault is not Fault.BUSY or last or wait is None or wait * 2**number > _PATIENCE:
                break
            self._sleep(wait * 2**number)
        return answer, says

    def _send(self, batch: Sequence[Message]) -> Answer:
        mark = out_id.encode(self._job.token, [message.id for message in batch])
        if len(batch) == 1:
            (one,) = batch
            return self._client.send(one.to, self._sign, self._template, one.parameters, mark)
        numbers = [message.to for message in batch]
        parameters = [message.parameters for message in batch]
        return self._client.send_batch(numbers, self._sign, self._template, parameters, mark)

    def _refuse(self, batch: Sequence[Message], answer: Answer, says: Meaning) -> list[Outcome]:
        text = answer.message[:500]
        if says.fault is Fault.DOUBT:
            self._handed = True
            return _all(batch, Result.UNKNOWN, answer.code, text)
        if says.fault is Fault.ACCOUNT:
            from push_provider.hooks.aliyun_sms import refusal

            self._stop(refusal(self._client.config, answer))
            return _all(batch, Result.FAILED, answer.code, text)
        if says.one and len(batch) > 1:
            middle = len(batch) // 2
            return [*self.deliver(batch[:middle]), *self.deliver(batch[middle:])]
        if says.fault is Fault.BUSY:
            return _all(batch, Result.RETRY, answer.code, text, answer.retry_after or says.wait)
        self._count_refusal(answer)
        return _all(batch, Result.FAILED, answer.code, text)

    # --- what the threads share -----------------------------------------------------------------------

    def _accept(self) -> None:
        with self._lock:
            self._handed = self.proven = True
            self._refused = ("", 0)

    def _stop(self, error: PushError) -> None:
        with self._lock:
            self.proven = False
            self._error = self._error or error

    def _count_refusal(self, answer: Answer) -> None:
        with self._lock:
            code, count = self._refused
            count = count + 1 if code == answer.code else 1
            self._refused = (answer.code, count)
        if count >= _FUSE:
            self._stop(
                ContentError(
                    f"Aliyun has refused {count} recipients in a row with {answer.code} ({answer.message[:200]}), so "
                    "no more were tried; look at the template, its parameters and the numbers"
                )
            )

    def _not_tried(self, batch: Sequence[Message]) -> list[Outcome]:
        text = str(self._error)[:500]
        if isinstance(self._error, ProviderUnavailable):
            return _all(batch, Result.RETRY, "connection", text)
        return _all(batch, Result.FAILED, "content" if isinstance(self._error, ContentError) else "configuration", text)


def _all(
    batch: Sequence[Message], result: Result, code: str, text: str, retry_after: float | None = None
) -> list[Outcome]:
    """The same outcome for every message of a call."""
    return [Outcome(message.id, result, None, code, text, retry_after) for message in batch]
