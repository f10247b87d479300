"""Aliyun's Mobile Push in the sandbox: MassPushV2 and ListSummaryApps of its API 2016-08-01.

Names, limits and codes are those of Aliyun's reference, https://help.aliyun.com/document_detail/2986042.html and
https://help.aliyun.com/document_detail/2979224.html , and of its list of codes,
https://help.aliyun.com/zh/document_detail/3057552.html .
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from sandbox.app_account import APP_KEY, APP_NAME
from sandbox.app_store import AppMessage, AppStore
from sandbox.sms_faults import SLOW_SECONDS, Fault
from sandbox.sms_gateway import AliyunGateway
from sandbox.sms_refusal import Refusal, missing
from sandbox.sms_service import Done

VERSION = "2016-08-01"
BATCH_LIMIT = 100
SAME_FOR = timedelta(minutes=15)
"""How long an IdempotentToken holds."""
_TARGETS = ("DEVICE", "ACCOUNT", "ALIAS")
_TOKEN = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)

FATES: Mapping[str, Refusal | Fault] = MappingProxyType(
    {
        "invalid-": Refusal("InvalidDeviceId.Format", "The specified DeviceId format is not valid.", status=400),
        "busy-": Refusal("Throttling.User", "Request was denied due to user flow control.", status=400),
        "slow-": Fault("slow", seconds=SLOW_SECONDS),
        "cut-": Fault("drop_after"),
    }
)
"""What becomes of a call because of one of its targets, by how that begins."""


class AppService:
    """What the actions do.

    :param store: where messages go; its clock is the service's.
    """

    def __init__(self, store: AppStore) -> None:
        self._store = store
        self._actions: dict[str, Callable[[Mapping[str, str]], Done]] = {
            "MassPushV2": self._mass_push,
            "ListSummaryApps": self._list_apps,
        }
        self._answers: dict[str, tuple[datetime, Done]] = {}

    @property
    def actions(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(self._actions)

    def call(self, action: str, parameters: Mapping[str, str]) -> Done:
        """Carry one out.

        :raises Refusal: as Aliyun refuses it.
        """
        return self._actions[action](parameters)

    def _list_apps(self, _: Mapping[str, str]) -> Done:
        return Done({"SummaryAppInfos": {"SummaryAppInfo": [{"AppKey": APP_KEY, "AppName": APP_NAME}]}})

    def _mass_push(self, parameters: Mapping[str, str]) -> Done:
        if (key := parameters.get("AppKey")) is None:
            raise missing("AppKey")
        if key != str(APP_KEY):
            raise _badly("AppKey")
        token = parameters.get("IdempotentToken", "")
        if token and not _TOKEN.fullmatch(token):
            raise _badly("IdempotentToken")
        now = self._store.clock()
        self._answers = {name: kept for name, kept in self._answers.items() if now - kept[0] < SAME_FOR}
        if token.lower() in self._answers:
            return self._answers[token.lower()][1]
        tasks = _tasks(parameters)
        fault = None
        for task in tasks:
            fate = next((fate for start, fate in FATES.items() if task["Target"]["Value"].startswith(start)), None)
            if isinstance(fate, Refusal):
                raise Refusal(fate.code, fate.message, status=fate.status)
            fault = fate or fault
        messages = [_message(self._store.name(), now, key, task) for task in tasks]
        for message in messages:
            self._store.add(message)
        answer = {"MessageIds": [message.id for message in messages]}
        if token:
            self._answers[token.lower()] = (now, Done(answer))
        return Done(answer, len(messages), fault)


def app_gateway(store: AppStore, keys: Mapping[str, str]) -> AliyunGateway:
    """Aliyun's Mobile Push without its sockets.

    :param keys: the secret of each access key id that is known.
    """
    return AliyunGateway(AppService(store), VERSION, keys, lambda: store.clock())


def _badly(parameter: str) -> Refusal:
    return Refusal(f"Invalid{parameter}.Format", f"The specified {parameter} format is invalid.", status=400)


def _tasks(parameters: Mapping[str, str]) -> list[dict[str, Any]]:
    """The pushes of a call.

    :raises Refusal: one of them cannot be.
    """
    if "PushTasks" not in parameters:
        raise missing("PushTasks")
    try:
        tasks = json.loads(parameters["PushTasks"])
    except ValueError:
        raise _badly("PushTasks") from None
    if not isinstance(tasks, list) or not 0 < len(tasks) <= BATCH_LIMIT:
        raise _badly("PushTasks")
    for task in tasks:
        _check(task)
    return tasks


def _check(task: Any) -> None:
    if not isinstance(task, dict) or not isinstance(target := task.get("Target"), dict):
        raise _badly("Target")
    value = target.get("Value")
    if target.get("Type") not in _TARGETS or not isinstance(value, str) or not value:
        raise _badly("Target")
    expiry = (task.get("Options") or {}).get("ExpireTime")
    if expiry is not None and not _MOMENT.fullmatch(str(expiry)):
        raise _badly("ExpireTime")
    shown, message = task.get("Notification"), task.get("Message")
    if not shown and not message:
        raise missing("Notification")
    if shown:
        title, body = shown.get("Title"), shown.get("Body")
        if not title or len(title) > 50 or len(title.encode()) > 200:
            raise _badly("Title")
        if not body or len(body) > 200:
            raise _badly("Body")
        for one in (shown.get("Android"), shown.get("Ios")):
            _check_extra((one or {}).get("ExtParameters"))
    if message and len(json.dumps(message, ensure_ascii=False).encode()) > 4000:
        raise _badly("Message")


def _check_extra(text: Any) -> None:
    try:
        fits = text is None or isinstance(json.loads(text), dict)
    except (TypeError, ValueError):
        fits = False
    if not fits:
        raise _badly("ExtParameters")


def _message(name: str, now: datetime, app: str, task: Mapping[str, Any]) -> AppMessage:
    target = task["Target"]
    shown = task.get("Notification") or task["Message"]
    kind = "notification" if task.get("Notification") else "message"
    title, body = shown.get("Title") or "", shown.get("Body") or ""
    return AppMessage(name, now, "aliyun", app, target["Type"].lower(), target["Value"], kind, title, body, task)
