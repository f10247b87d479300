"""Calls that push through Aliyun, and what each answer means for its recipients.

Aliyun takes or refuses a call as a whole. One that is refused because of one recipient is halved until that one is
alone: the others get their message, and only they. A call has a token that derives from the deliveries in it, by which
Aliyun knows for 15 minutes that it was there before: what nobody can tell is tried again, and pushes nothing twice.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from push_provider.channels.app.aliyun_client import BATCH
from push_provider.channels.app.aliyun_codes import meaning
from push_provider.channels.base import Job, Outcome, Result, not_begun
from push_provider.channels.calls import PATIENCE, BatchCalls, Halt, all_alike, next_try
from push_provider.channels.codes import Fault
from push_provider.connections.unanswered import NoAnswer, NotSent
from push_provider.exceptions import PushError

if TYPE_CHECKING:
    from push_provider.channels.app.aliyun_client import AliyunAppClient
    from push_provider.connections.aliyun import Answer

BATCH_BYTES = 48 * 1024
"""Octets of messages in one call, unless a single one has more. The SDK sends them in the query, where each octet that
is no letter becomes three."""
_TRIES = 3
"""How often a call is made that gets no answer, or for which Aliyun has no time."""
_WAIT = 1.0
"""Seconds before the second try of a call without an answer; the third waits four times as long. The token does not
help against two calls at the same moment."""


class Message(NamedTuple):
    """One push.

    :param id: the delivery's number.
    :param task: a PushTask.
    :param size: its octets as JSON.
    """

    id: int
    task: dict[str, Any]
    size: int


def batches(messages: Iterable[Message]) -> Iterator[list[Message]]:
    """Messages a call.

    Which are together depends on their numbers alone, not on who else is pending: a later try of a call then has the
    same token, unless some of it have their outcome.

    :param messages: in the order of their numbers; of those that one call may hold, all that are pending
        (:attr:`~push_provider.channels.base.Channel.boundary`).
    """
    batch: list[Message] = []
    size = 0
    for message in messages:
        if batch and (message.id // BATCH != batch[0].id // BATCH or size + message.size > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(message)
        size += message.size
    if batch:
        yield batch


def idempotent_token(token: str, ids: Sequence[int]) -> str:
    """The ``IdempotentToken`` of a call: a UUID that the same deliveries have again.

    :param token: of the execution.
    """
    return str(uuid.uuid5(uuid.UUID(hex=token), ",".join(map(str, ids))))


class AliyunCalls(BatchCalls):
    """The calls of one execution. Several threads may use it between :meth:`begin` and :meth:`conclude`.

    :param client: the app.
    :param job: the execution.
    :param sleep: waits so many seconds; by default until :meth:`stop` at the longest.
    """

    def __init__(self, client: AliyunAppClient, job: Job, sleep: Callable[[float], object] | None = None) -> None:
        super().__init__(client.config.connection, sleep)
        self._client = client
        self._job = job

    def deliver(self, batch: Sequence[Message]) -> Iterator[list[Outcome]]:
        """Push messages; gives an outcome for each, those of each call as soon as it is answered."""
        if self._halt is not None:
            yield all_alike(batch, self._halt.result, self._halt.code, str(self._halt.error))
        elif self.stopping:
            yield not_begun(message.id for message in batch)
        elif (became := self._deliver(batch)) is not None:
            yield became
        else:
            middle = len(batch) // 2
            yield from self.deliver(batch[:middle])
            yield from self.deliver(batch[middle:])

    def _deliver(self, batch: Sequence[Message]) -> list[Outcome] | None:
        """Make a call, again while that may help; None if it is to be made in halves."""
        token = idempotent_token(self._job.token, [message.id for message in batch])
        tasks = [message.task for message in batch]
        lost: NoAnswer | None = None
        for number in range(_TRIES):
            # What was refused, or never arrived, is not begun anew; what may have been pushed is asked for once more.
            if number and lost is None and self.stopping:
                return not_begun(message.id for message in batch)
            last = number + 1 == _TRIES or self.stopping
            wait = _WAIT * 4**number
            try:
                answer = self._client.push(tasks, token)
            except NotSent as error:
                if last and lost is None:
                    return self._give_up(batch, Result.RETRY, "connection", str(error))
            except NoAnswer as error:
                lost = error
            except PushError as error:
                self._stop_all(Halt(error, Result.FAILED, "configuration"))
                if lost is None:
                    return all_alike(batch, Result.FAILED, "configuration", str(error))
                break
            else:
                if answer.ok:
                    self._handed_over = self.proven = True
                    ids = answer.body.message_ids
                    return [Outcome(one.id, Result.SENT, str(name)) for one, name in zip(batch, ids, strict=True)]
                says = meaning(answer.code, answer.status)
                if says.fault is Fault.DOUBT:
                    lost = NoAnswer(answer.code, answer.message)
                elif says.fault is Fault.BUSY:
                    wait = answer.retry_after or (says.wait or _WAIT) * 2**number
                    if (last or wait > PATIENCE) and lost is None:
                        after = next_try(answer.retry_after, says.wait)
                        return all_alike(batch, Result.RETRY, answer.code, answer.message, after)
                else:
                    became = self._refused(batch, answer)
                    if lost is None or says.fault is Fault.RECIPIENT:
                        return became
                    break  # what concerns the account says nothing of the call before
            if last:
                break
            self._sleep(min(wait, PATIENCE))
        assert lost is not None
        self._handed_over = True
        return self._give_up(batch, Result.UNKNOWN, lost.code, str(lost))

    def _refused(self, batch: Sequence[Message], answer: Answer) -> list[Outcome] | None:
        if meaning(answer.code).fault is Fault.ACCOUNT:
            from push_provider.channels.app.aliyun_account import refusal

            self._stop_all(Halt(refusal(self._client.config, answer), Result.FAILED, "configuration"))
        elif len(batch) > 1:
            return None
        else:
            self._handed_over = True
        return all_alike(batch, Result.FAILED, answer.code, answer.message)
