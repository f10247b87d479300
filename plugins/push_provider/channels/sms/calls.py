"""Calls that send SMS, and what each answer means for its recipients.

Aliyun accepts or refuses a call as a whole. One that is refused because of one recipient is halved until that one is
alone: the others get their message, and only they. One that is refused for a reason that passes is made again; what
nobody can tell is ``unknown``, and never sent again by itself.

No answer about one recipient fails another. Where many are refused in a row, calls become slow, so that the account is
not flooded with refusals; if that does not end, those who were not asked for stay pending for a later try. So do those
who are left when nobody can tell what became of several calls in a row.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from push_provider.channels.base import Job, Outcome, Result, not_begun
from push_provider.channels.calls import PATIENCE, BatchCalls, Halt, all_alike, next_try
from push_provider.channels.codes import Fault
from push_provider.channels.sms import out_id
from push_provider.channels.sms.aliyun_codes import Meaning, meaning
from push_provider.connections.unanswered import NoAnswer, NotSent
from push_provider.exceptions import ProviderUnavailable, PushError

if TYPE_CHECKING:
    from push_provider.channels.sms.aliyun_client import AliyunClient
    from push_provider.connections.aliyun import Answer

log = logging.getLogger(__name__)

_TRIES = 3
"""How often a call is made that Aliyun has no time for."""
_MANY = 16
"""Refusals in a row, each of one recipient, after which calls wait for each other, and a refused call is made for each
of its recipients alone: halving costs two calls for each who is refused."""
_PACE = 0.05
"""Seconds between two calls then: twenty a second."""
_ENOUGH = 1000
"""Refusals in a row after which the rest is left to a later try, if one comes."""
_SILENT = 3
"""Calls in a row that may or may not have been carried out, after which the rest is left to a later try; as many as
there are connections, if those are more: what ends one may end all that are open."""


class Message(NamedTuple):
    """One SMS.

    :param id: the delivery's number.
    :param to: country code and number, in digits alone.
    :param parameters: of the template.
    """

    id: int
    to: str
    parameters: Mapping[str, str]


class _InParts(NamedTuple):
    """A call is to be made again for fewer recipients at a time.

    :param tries: how often each is made if Aliyun has no time.
    """

    tries: int


class SmsCalls(BatchCalls):
    """The calls of one execution. Several threads may use it between :meth:`begin` and :meth:`conclude`.

    :param client: the account.
    :param sign: the signature.
    :param template: its code.
    :param job: the execution.
    :param sleep: waits so many seconds; by default until :meth:`stop` at the longest.
    """

    def __init__(
        self,
        client: AliyunClient,
        sign: str,
        template: str,
        job: Job,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        super().__init__(client.config.connection, sleep)
        self._client = client
        self._sign = sign
        self._template = template
        self._job = job
        self._turn = threading.Lock()
        self._refused = 0
        self._silent = 0

    def deliver(self, batch: Sequence[Message], tries: int = _TRIES) -> Iterator[list[Outcome]]:
        """Send messages to different numbers; gives an outcome for each, those of each call as soon as it is answered.

        :param tries: how often the call is made if Aliyun has no time.
        """
        became = self._untried(batch) or self._deliver(batch, tries)
        if isinstance(became, _InParts):
            for part in self._parts(batch):
                yield from self.deliver(part, became.tries)
        else:
            yield became

    def _untried(self, batch: Sequence[Message]) -> list[Outcome] | None:
        """What becomes of messages for which no call is made; None if one may be made now."""
        if self._halt is None and not self.stopping:
            self._keep_pace()
        if self._halt is not None:
            return all_alike(batch, self._halt.result, self._halt.code, str(self._halt.error))
        return not_begun(message.id for message in batch) if self.stopping else None

    def _deliver(self, batch: Sequence[Message], tries: int) -> list[Outcome] | _InParts:
        try:
            answer, says = self._call(batch, tries)
        except NotSent as error:
            return self._give_up(batch, Result.RETRY, "connection", str(error), lasting=False)
        except NoAnswer as error:
            return self._in_doubt(batch, error.code, str(error))
        except PushError as error:
            self._stop_all(Halt(error, Result.FAILED, "configuration"))
            return all_alike(batch, Result.FAILED, "configuration", str(error))
        if says is None:
            self._accept()
            return [Outcome(message.id, Result.SENT, answer.body.biz_id) for message in batch]
        return self._refuse(batch, answer, says)

    def _call(self, batch: Sequence[Message], tries: int) -> tuple[Answer, Meaning | None]:
        """Make a call, again if Aliyun has no time; its answer, and what that means unless all is well."""
        for number in range(tries):
            answer = self._send(batch)
            if answer.ok:
                return answer, None
            says = meaning(answer.code, answer.message, answer.status)
            wait = answer.retry_after or says.wait
            last = number + 1 == tries
            if says.fault is not Fault.BUSY or last or wait is None or wait * 2**number > PATIENCE:
                break
            self._sleep(wait * 2**number)
            if self.stopping:  # it was refused, and is not begun anew
                break
        return answer, says

    def _send(self, batch: Sequence[Message]) -> Answer:
        mark = out_id.encode(self._job.token, [message.id for message in batch])
        if len(batch) == 1:
            (one,) = batch
            return self._client.send(one.to, self._sign, self._template, one.parameters, mark)
        numbers = [message.to for message in batch]
        parameters = [message.parameters for message in batch]
        return self._client.send_batch(numbers, self._sign, self._template, parameters, mark)

    def _refuse(self, batch: Sequence[Message], answer: Answer, says: Meaning) -> list[Outcome] | _InParts:
        if says.fault is Fault.DOUBT:
            return self._in_doubt(batch, answer.code, answer.message)
        self._silent = 0
        if says.fault is Fault.ACCOUNT:
            from push_provider.channels.sms.aliyun_account import refusal

            self._stop_all(Halt(refusal(self._client.config, answer), Result.FAILED, "configuration"))
            return all_alike(batch, Result.FAILED, answer.code, answer.message)
        if says.one and len(batch) > 1:
            # What was busy has been waited for.
            return _InParts(1 if says.fault is Fault.BUSY else _TRIES)
        if says.one:
            self._count_refusal(answer)
        if says.fault is Fault.BUSY:
            after = next_try(answer.retry_after, says.wait)
            return all_alike(batch, Result.RETRY, answer.code, answer.message, after)
        return all_alike(batch, Result.FAILED, answer.code, answer.message)

    def _parts(self, batch: Sequence[Message]) -> list[Sequence[Message]]:
        if self._refused >= _MANY:
            return [[message] for message in batch]
        middle = len(batch) // 2
        return [batch[:middle], batch[middle:]]

    # --- what the threads share -----------------------------------------------------------------------

    def _keep_pace(self) -> None:
        """Wait for one's turn, while many are refused in a row."""
        if self._refused >= _MANY:
            with self._turn:
                self._sleep(_PACE)

    def _accept(self) -> None:
        with self._lock:
            self._handed_over = self.proven = True
            self._refused = self._silent = 0

    def _in_doubt(self, batch: Sequence[Message], code: str, text: str) -> list[Outcome]:
        """What becomes of a call that may have been carried out; and of the rest, if those before it ended so, too."""
        with self._lock:
            self._handed_over = True
            self._silent += 1
            silent = self._silent
        if silent >= max(_SILENT, self._client.config.max_connections):
            later = ProviderUnavailable(
                f"Connection {self._connection!r}: nobody can tell what became of the last calls, {silent} in a row, "
                f"the last with {code} ({text[:200]}); the others have not been tried, and are left to the next try"
            )
            self._stop_all(Halt(later, Result.RETRY, "not-tried"))
        return all_alike(batch, Result.UNKNOWN, code, text)

    def _stop_all(self, halt: Halt) -> None:
        # Also of a call that did not reach Aliyun: the first one after it is made alone.
        self.proven = False
        super()._stop_all(halt)

    def _count_refusal(self, answer: Answer) -> None:
        with self._lock:
            self._handed_over = True
            self._refused += 1
            refused = self._refused
        if refused == _MANY:
            log.warning("Aliyun has refused %s recipients in a row, the last with %s: slower now", refused, answer.code)
        if refused >= _ENOUGH and not self._job.last:
            later = ProviderUnavailable(
                f"Aliyun has refused {refused} recipients in a row, the last with {answer.code} "
                f"({answer.message[:200]}); the others have not been tried, and are left to the next try. Look at the "
                "template, its parameters and the numbers"
            )
            self._stop_all(Halt(later, Result.RETRY, "not-tried"))
