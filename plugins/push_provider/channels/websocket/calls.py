"""Calls that publish, and what each answer means for its messages.

A call is made again while that may help: Centrifugo knows each publication by its key, and does nothing the second
time. One message that Centrifugo refuses fails alone. What concerns the configuration ends the execution with one
error; where Centrifugo cannot be reached or says nothing, the rest is left to a later try.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from push_provider.channels.base import Outcome, Result, not_begun
from push_provider.channels.calls import PATIENCE, Calls, Halt, all_alike
from push_provider.channels.codes import Fault
from push_provider.channels.websocket.centrifugo_client import Publication, Refused
from push_provider.channels.websocket.codes import meaning
from push_provider.connections.unanswered import NoAnswer, NotSent
from push_provider.exceptions import ConfigurationError

if TYPE_CHECKING:
    from push_provider.channels.websocket.centrifugo_client import CentrifugoClient

_TRIES = 3
"""How often a call is made that gets no answer, or for which there is no time."""
_WAIT = 0.2
"""Seconds before the second try; each further one waits four times as long."""


class CentrifugoCalls(Calls):
    """The calls of one execution. Several threads may use it between :meth:`begin` and :meth:`conclude`.

    :param client: of Centrifugo.
    :param sleep: waits so many seconds; by default until :meth:`stop` at the longest.
    """

    def __init__(self, client: CentrifugoClient, sleep: Callable[[float], object] | None = None) -> None:
        super().__init__(client.config.connection, sleep)
        self._client = client

    def publish(self, batch: Sequence[Publication]) -> list[Outcome]:
        """Publish messages in their order; an outcome for each."""
        outcomes: list[Outcome] = []
        left = list(batch)
        lost: NoAnswer | None = None
        for number in range(_TRIES):
            # What was refused, or never arrived, is not begun anew; what may be published is asked for once more.
            if self._halt is not None and lost is None:
                return outcomes + all_alike(left, self._halt.result, self._halt.code, str(self._halt.error))
            if self.stopping and lost is None:
                return outcomes + not_begun(one.id for one in left)
            last = number + 1 == _TRIES or self.stopping or self._halt is not None
            wait = _WAIT * 4**number
            try:
                replies = self._client.publish(left)
            except NotSent as error:
                if last and lost is None:
                    return outcomes + self._give_up(left, Result.RETRY, "connection", str(error))
            except NoAnswer as error:
                lost = error
            except Refused as error:
                refusal = self._client.refusal(error)
                wait = max(wait, error.retry_after or 0.0)
                if isinstance(refusal, ConfigurationError):
                    self._stop_all(Halt(refusal, Result.FAILED, "configuration"))
                    if lost is None:
                        return outcomes + all_alike(left, Result.FAILED, "configuration", str(refusal))
                    break
                if last or wait > PATIENCE:
                    self._stop_all(Halt(refusal, Result.RETRY, str(error.status)))
                    if lost is None:
                        status = str(error.status)
                        return outcomes + all_alike(left, Result.RETRY, status, str(error), error.retry_after)
                    break
            else:
                busy = []
                for one, reply in zip(left, replies, strict=True):
                    if not reply.code:
                        outcomes.append(Outcome(one.id, Result.SENT, one.key))
                        continue
                    says = meaning(reply.code)
                    if says.fault is Fault.BUSY and (lost is not None or not last):
                        busy.append(one)
                        continue
                    outcomes.append(self._refused(one, reply.code, reply.message))
                self._handed_over = self._handed_over or any(one.result is not Result.RETRY for one in outcomes)
                left = busy
                if not left:
                    return outcomes
            if last:
                break
            if self._halt is None:
                self._sleep(wait)
        assert lost is not None
        self._handed_over = True
        return outcomes + self._give_up(left, Result.UNKNOWN, lost.code, str(lost))

    def _refused(self, one: Publication, code: int, message: str) -> Outcome:
        says = meaning(code)
        if says.fault is Fault.ACCOUNT:
            config = self._client.config
            error = ConfigurationError(
                f"Connection {config.connection!r}: Centrifugo refuses channel {one.channel!r} with {code} "
                f"({message[:200]}); {says.remedy}."
            )
            self._stop_all(Halt(error, Result.FAILED, "configuration"))
        result = Result.RETRY if says.fault is Fault.BUSY else Result.FAILED
        return Outcome(one.id, result, None, str(code), message[:500])
