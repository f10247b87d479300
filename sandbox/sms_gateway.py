"""The SMS gateway of the sandbox, and what it shares with Aliyun's other products: answers, and what was asked.

It is Aliyun's API as its SDK calls it: verifies the signature, carries the action out, answers JSON; and
misbehaves when told to. The sockets are in :mod:`sandbox.sms_http`.
"""

from __future__ import annotations

import json
import uuid
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol

from sandbox.sms_faults import Fault, Faults
from sandbox.sms_refusal import Refusal, unknown_action
from sandbox.sms_service import VERSION, Done, SmsService
from sandbox.sms_signature import Request, Verifier, parse_query

if TYPE_CHECKING:
    from sandbox.sms_store import SmsStore

CALLS = 1000
"""Calls of which details are kept."""
_JSON = "application/json;charset=utf-8"


@dataclass(frozen=True, slots=True)
class Reply:
    """What a client gets.

    :param then: ``answer`` it; ``cut`` the connection instead; ``hang``, that is, neither.
    :param seconds: to wait before.
    :param headers: besides content-type and length.
    """

    then: Literal["answer", "cut", "hang"]
    status: int = 200
    body: bytes = b""
    content_type: str = _JSON
    seconds: float = 0.0
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """One request, as the control API tells it.

    :param code: of the answer; empty if it had none.
    :param status: HTTP status of the answer; 0 if it had none.
    :param numbers: how many SMS it made; 0 if it was refused.
    :param fault: kind of the fault that it got; empty: none.
    """

    at: datetime
    action: str
    code: str
    status: int
    numbers: int
    fault: str

    def as_json(self) -> dict[str, Any]:
        """As the control API gives it; the time as RFC 3339."""
        return {
            "at": self.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "action": self.action,
            "code": self.code,
            "status": self.status,
            "numbers": self.numbers,
            "fault": self.fault,
        }


class Service(Protocol):
    """One of Aliyun's products: its actions, and what each answers."""

    @property
    def actions(self) -> Collection[str]:
        """Their names."""

    def call(self, action: str, parameters: Mapping[str, str]) -> Done:
        """Carry one out.

        :raises Refusal: as Aliyun refuses it.
        """


class AliyunGateway:
    """One of Aliyun's products without its sockets. Calls from one thread.

    :param service: what it does.
    :param version: of its API.
    :param keys: the secret of each access key id that is known.
    :param clock: the present moment.
    """

    def __init__(self, service: Service, version: str, keys: Mapping[str, str], clock: Callable[[], datetime]) -> None:
        self.version = version
        self.faults = Faults()
        self.counts: Counter[str] = Counter()
        """Requests by action, whatever became of them; those of unknown actions under an empty name."""
        self.calls: deque[Call] = deque(maxlen=CALLS)
        self._service = service
        self._verifier = Verifier(keys)
        self._clock = clock

    @property
    def actions(self) -> Collection[str]:
        """What it can be asked to do."""
        return self._service.actions

    def forget_calls(self) -> None:
        """Count from 0 again."""
        self.counts.clear()
        self.calls.clear()

    def answer(self, request: Request) -> Reply:
        """Carry a request out, and say what the client gets."""
        request_id = str(uuid.uuid4()).upper()
        action = request.header("x-acs-action")
        known = action if action in self.actions else ""
        self.counts[known] += 1
        fault: Fault | None = None
        done = Done({})
        try:
            self._admit(request, action)
            fault = self.faults.take(action)
            if fault is None or fault.kind in ("slow", "drop_after"):
                done = self._service.call(action, _parameters(request))
                fault = fault or done.fault
            elif fault.kind == "refuse":
                raise Refusal(fault.code, fault.message, status=fault.status)
            answer = {**done.answer, "RequestId": request_id}
            status = 200
        except Refusal as refusal:
            answer = refusal.as_json(request_id, request.header("host"))
            status = refusal.status
        except OSError as error:
            failure = Refusal("isp.SYSTEM_ERROR", f"The sandbox cannot keep it: {error.strerror}")
            answer = failure.as_json(request_id, request.header("host"))
            status = failure.status
        reply = _reply(fault, answer, status, request_id)
        is_answered = reply.then == "answer"
        self.calls.append(
            Call(
                at=self._clock(),
                action=known,
                code=answer.get("Code", "") if is_answered else "",
                status=reply.status if is_answered else 0,
                numbers=done.numbers,
                fault=fault.kind if fault else "",
            )
        )
        return reply

    def _admit(self, request: Request, action: str) -> None:
        """Refuse what is not signed, or asks for what is not served.

        :raises Refusal: as Aliyun refuses it.
        """
        if request.path != "/" or request.method not in ("GET", "POST"):
            raise unknown_action()
        self._verifier.verify(request, self._clock())
        if request.header("x-acs-version") != self.version:
            raise Refusal("InvalidVersion", "Specified parameter Version is not valid.", status=400)
        if action not in self._service.actions:
            raise unknown_action()


class SmsGateway(AliyunGateway):
    """The SMS gateway.

    :param store: where SMS go; its clock is the gateway's.
    :param keys: the secret of each access key id that is known.
    """

    def __init__(self, store: SmsStore, keys: Mapping[str, str]) -> None:
        self.store = store
        self.service = SmsService(store)
        super().__init__(self.service, VERSION, keys, lambda: store.clock())


def _parameters(request: Request) -> dict[str, str]:
    """Those of the query, and those of a form in the body."""
    parameters = dict(request.query)
    if request.header("content-type").partition(";")[0].strip().lower() == "application/x-www-form-urlencoded":
        parameters.update(parse_query(request.body.decode("utf-8", "replace")))
    return parameters


def _reply(fault: Fault | None, answer: Mapping[str, Any], status: int, request_id: str) -> Reply:
    headers = [("x-acs-request-id", request_id)]
    if fault is not None and fault.retry_after is not None:
        headers.append(("x-acs-retry-after", str(fault.retry_after)))
    seconds = fault.seconds if fault else 0.0
    match fault.kind if fault else None:
        case "hang":
            return Reply("hang")
        case "drop" | "drop_after":
            return Reply("cut", seconds=seconds)
        case "http":
            assert fault is not None
            body, kind = fault.body.encode(), "text/html;charset=utf-8"
            return Reply("answer", fault.status, body, kind, seconds, tuple(headers))
    body = json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace")
    return Reply("answer", status, body, seconds=seconds, headers=tuple(headers))
