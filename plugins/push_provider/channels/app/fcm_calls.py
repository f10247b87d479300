"""Calls that push through FCM, one for each message, and what each answer means for its recipient.

A call without an answer is not made again by itself: FCM knows no token of a call. Whoever wants it made again gets a
notification that takes the first one's place on the phone, as both have one tag, or a message with the same push_id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from push_provider.channels.app.fcm_codes import meaning
from push_provider.channels.app.fcm_config import STREAMS
from push_provider.channels.base import Outcome, Result, not_begun
from push_provider.channels.calls import PATIENCE, Calls, Halt, all_alike, next_try
from push_provider.channels.codes import Fault
from push_provider.connections.unanswered import NoAnswer, NotSent
from push_provider.exceptions import ConfigurationError, PushError

if TYPE_CHECKING:
    from push_provider.channels.app.fcm_client import Answer, FcmClient

_TRIES = 3
"""How often a call is made that does not reach FCM, or for which it has no time."""
_SILENT = STREAMS
"""Calls in a row that may or may not have been carried out, after which the rest is left to a later try."""


class Message(NamedTuple):
    """One push.

    :param id: the delivery's number.
    :param body: of the call.
    """

    id: int
    body: dict[str, Any]


class FcmCalls(Calls):
    """The calls of one execution, many at the same time in one event loop.

    :param client: the project.
    :param pause: waits so many seconds; by default until :meth:`wake` at the longest.
    """

    proven = False
    """Whether FCM has accepted a call."""

    def __init__(self, client: FcmClient, pause: Callable[[float], Awaitable[object]] | None = None) -> None:
        super().__init__(client.config.connection)
        self.client = client
        self._pause = pause or self._until_woken
        self._woken = asyncio.Event()
        self._silent = 0

    def wake(self) -> None:
        """End all waits, those to come as well; within the event loop, after :meth:`stop`."""
        self._woken.set()

    async def _until_woken(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()

    @property
    def ended(self) -> bool:
        """Whether no more calls are made, whatever the reason."""
        return self._halt is not None or self.stopping

    def begin(self) -> None:
        """Begin a chunk, with a token that is good for some minutes.

        :raises PushError: an earlier chunk showed that nothing can be sent, or Google gives no token.
        """
        super().begin()
        self.client.authorize()

    def of_those_left(self, ids: list[int]) -> list[Outcome]:
        """The outcomes of those for whom no call was made because another one showed that none can be."""
        if self._halt is None:
            return []
        return all_alike([Message(one, {}) for one in ids], self._halt.result, self._halt.code, str(self._halt.error))

    async def deliver(self, message: Message, lane: int) -> Outcome:
        """Push a message, again while that may help and reaches nobody twice.

        :param lane: see :meth:`FcmClient.send`.
        """
        renewed = False
        for number in range(_TRIES):
            if number and self.stopping:  # it was refused, or never arrived, and is not begun anew
                return not_begun([message.id])[0]
            last = number + 1 == _TRIES or self.ended
            token = self.client.token
            try:
                answer = await self.client.send(message.body, lane)
            except NotSent as error:
                if last:
                    return self._give_up([message], Result.RETRY, "connection", str(error))[0]
                await self._pause(2.0**number)
                continue
            except NoAnswer as error:
                return self._in_doubt(message, error.code, str(error), str(error))
            if not answer.code:
                self._handed_over = self.proven = True
                self._silent = 0
                return Outcome(message.id, Result.SENT, answer.text)
            if answer.code == "UNAUTHENTICATED" and not renewed and not last:
                renewed = True
                try:
                    self.client.authorize(instead_of=token)
                except PushError as error:
                    return self._refused_all(message, error, "configuration")
                continue
            says = meaning(answer.code)
            wait = answer.retry_after or (says.wait or 0.0) * 2.0**number
            if says.fault is not Fault.BUSY or last or wait > PATIENCE:
                break
            await self._pause(wait)
        return self._refused(message, answer)

    def _in_doubt(self, message: Message, code: str, text: str, why: str) -> Outcome:
        """What becomes of a call that may have been carried out; and of the rest, if those before it ended so, too.

        :param text: for the outcome.
        :param why: for the rest.
        """
        self._handed_over = True
        self._silent += 1
        if self._silent >= _SILENT:
            self._give_up([], Result.RETRY, code, why)
        return Outcome(message.id, Result.UNKNOWN, None, code, text[:500])

    def _refused(self, message: Message, answer: Answer) -> Outcome:
        says, text = meaning(answer.code), answer.text[:500]
        if says.fault is Fault.DOUBT:
            return self._in_doubt(message, answer.code, text, f"FCM answers {answer.code} to each call ({text[:200]})")
        self._silent = 0
        if says.fault is Fault.ACCOUNT:
            return self._refused_all(message, self.client.refusal(answer), answer.code)
        if says.fault is Fault.BUSY:
            return Outcome(message.id, Result.RETRY, None, answer.code, text, next_try(answer.retry_after, says.wait))
        self._handed_over = True
        return Outcome(message.id, Result.FAILED, None, answer.code, text, gone=says.gone)

    def _refused_all(self, message: Message, error: PushError, code: str) -> Outcome:
        result, rest = (
            (Result.FAILED, "configuration") if isinstance(error, ConfigurationError) else (Result.RETRY, "connection")
        )
        self._stop_all(Halt(error, result, rest))
        return Outcome(message.id, result, None, code, str(error)[:500])
