"""A channel of another package: a JSON document, posted to each recipient's URL."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field

from push_provider.channels.base import Channel, Delivery, Job, Outcome, Result, Sender, not_begun
from push_provider.channels.spec import STANDING, ChannelSpec, form_field
from push_provider.content.base import CompiledContent
from push_provider.content.jinja_sandbox import Sandbox
from push_provider.content.jinja_scales import LIMITS, Limits
from push_provider.contract.task import PushTask
from push_provider.contract.values import Name
from push_provider.exceptions import ContentError, FieldError
from push_provider.marks import message_id

if TYPE_CHECKING:
    from pathlib import Path

    from airflow.sdk import Connection


class WebhookTask(PushTask):
    """A push task of channel webhook."""

    channel: Literal["webhook"]
    event: Name = Field(description="what has happened; field `event` of the document")
    data: dict[str, str] = Field(default={}, description="more fields of the document, each a Jinja template")

    @staticmethod
    def address(text: str) -> str:
        """A URL of https, or of this machine."""
        parts = urlsplit(text.strip())
        if parts.scheme != "https" and parts.hostname != "127.0.0.1":
            raise ValueError(f"{text!r} is no URL that begins with https://")
        return parts.geturl()

    def headline(self) -> str:
        """The event."""
        return self.event

    def faults(self) -> Iterator[FieldError]:
        """The event is no field of ``data``."""
        if "event" in self.data:
            yield FieldError("data", "has a field 'event'; that is the field of its own")


class WebhookContent(CompiledContent):
    """The documents of one execution."""

    def __init__(
        self,
        task: WebhookTask,
        templates: Mapping[str, str],
        *,
        variables: Mapping[str, Any] = {},
        push: Mapping[str, Any] = {},
        include: Path | None = None,
        areas: bool | None = None,
        limits: Limits = LIMITS,
    ) -> None:
        self._event = task.event
        self._variables = {**task.variables, **variables}
        self._push = dict(push)
        sandbox = Sandbox(task.data, autoescape=False, limits=limits)
        for name, source in task.data.items():
            sandbox.check(source, f"data.{name}")
        self._programs = {name: sandbox.program(name) for name in task.data}

    def render(self, to: str, own: Mapping[str, Any]) -> dict[str, str]:
        """The document of one recipient."""
        values = {**self._variables, **own, "push": self._push, "to": to}
        return {"event": self._event, **{name: program(values) for name, program in self._programs.items()}}

    def preview(self, to: str, own: Mapping[str, Any]) -> dict[str, Any]:
        """The document."""
        return {"message": self.render(to, own)}


class WebhookSender(Sender):
    """Posts the documents one after the other."""

    def __init__(self, connection: Connection, content: WebhookContent, job: Job) -> None:
        from push_provider.connections.bounded_http import bounded_session

        self._session = bounded_session(timeout=10, connections=1)
        self._session.headers["Authorization"] = f"Bearer {connection.password}"
        self._content = content
        self._token = job.token
        self._stopped = False
        self._outcomes: list[Outcome] = []

    def send(self, deliveries: Sequence[Delivery]) -> list[Outcome]:
        """Post."""
        self._outcomes = []
        for number, delivery in enumerate(deliveries):
            if self._stopped:
                self._outcomes += not_begun(one.id for one in deliveries[number:])
                break
            self._outcomes.append(self._post(delivery))
        return self._outcomes

    def _post(self, delivery: Delivery) -> Outcome:
        import requests

        try:
            body = json.dumps(self._content.render(delivery.to, delivery.variables))
        except ContentError as error:
            return Outcome(delivery.id, Result.FAILED, None, "content", str(error)[:500])
        key = message_id(self._token, delivery.id)
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        try:
            answer = self._session.post(delivery.to, data=body, headers=headers)
        except requests.ConnectionError as error:
            return Outcome(delivery.id, Result.RETRY, None, "connection", str(error)[:500])
        except requests.RequestException as error:
            return Outcome(delivery.id, Result.UNKNOWN, None, "protocol", str(error)[:500])
        if answer.ok:
            return Outcome(delivery.id, Result.SENT, key)
        later = answer.status_code == 429 or answer.status_code >= 500
        result = Result.RETRY if later else Result.FAILED
        return Outcome(delivery.id, result, None, str(answer.status_code), answer.text[:500])

    def known(self) -> list[Outcome]:
        """What is known of the chunk."""
        return list(self._outcomes)

    def stop(self, seconds: float = math.inf) -> None:
        """Post no more."""
        self._stopped = True

    def __exit__(self, *_: object) -> None:
        self._session.close()


class WebhookChannel(Channel):
    """JSON over HTTP."""

    name = "webhook"
    chunk = 100
    first_chunk = least_chunk = 10
    on_unknown = "resend"
    connection_types = ("push_webhook",)
    default_connection = "push_webhook_default"

    def connection(self, config: str | None, default: str | None = None) -> Connection:
        """The connection of this id, or the default."""
        from push_provider.connections.lookup import get_connection

        return get_connection(
            config, default=default or self.default_connection, form="Push Webhook", options="--conn-type push_webhook"
        )

    def open(self, connection: Connection, content: Any, job: Job) -> WebhookSender:
        """Open a session."""
        return WebhookSender(connection, content, job)


WEBHOOK = ChannelSpec(
    name="webhook",
    label="Webhook",
    task="push_webhook:WebhookTask",
    content="push_webhook:WebhookContent",
    sender="push_webhook:WebhookChannel",
    connection_types=(
        {
            "connection-type": "push_webhook",
            "hook-class-name": "push_webhook.WebhookHook",
            "hook-name": "Push Webhook",
            "conn-fields": {
                "note": form_field("Note", "For people: who receives the documents.", kind="string"),
                **STANDING,
            },
            "ui-field-behaviour": {
                "hidden-fields": ["host", "port", "schema", "extra", "login"],
                "relabeling": {"password": "Token"},
            },
        },
    ),
)


def __getattr__(name: str) -> Any:
    """The hook, made when Airflow asks for it: its base is too much for every process that reads the spec."""
    if name != "WebhookHook":
        raise AttributeError(name)
    from airflow.sdk import BaseHook

    class WebhookHook(BaseHook):
        """Airflow's hook of the connection type."""

        conn_name_attr = "webhook_conn_id"
        default_conn_name = "push_webhook_default"
        conn_type = "push_webhook"
        hook_name = "Push Webhook"

    return WebhookHook
