"""The SMS channel: deliveries as messages through Aliyun, up to a hundred in a call."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from push_provider.channels.base import Channel, Delivery, Job, Outcome, ReceiptReader, Result
from push_provider.channels.calls import BatchSender, next_try
from push_provider.channels.sms import out_id
from push_provider.channels.sms.aliyun_client import BATCH, AliyunClient
from push_provider.channels.sms.aliyun_config import DEFAULT_CONNECTION, TemplateKind
from push_provider.channels.sms.calls import Message, SmsCalls
from push_provider.channels.sms.numbers import Numbers
from push_provider.exceptions import ConfigurationError

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from push_provider.channels.sms.aliyun_config import AliyunConfig
    from push_provider.channels.sms.content import Parameters

log = logging.getLogger(__name__)

_NUMBER = re.compile(r"1[3-9]\d{9}|\+(?!86)[1-9]\d{6,14}", re.ASCII)
"""The normal form that :func:`push_provider.addresses.phone_number` gives."""


class SmsChannel(Channel):
    """SMS through Aliyun."""

    name = "sms"
    # Of two chunks under way each is half of this where doubtful deliveries are held: eight calls, as many as there are
    # connections by default.
    chunk = 1600
    first_chunk = 800
    least_chunk = 400
    on_unknown = "hold"
    receipt_after = 20.0
    connection_types = ("push_aliyun_sms",)
    default_connection = DEFAULT_CONNECTION

    def connection(self, config: str | None, default: str | None = None) -> Connection:
        """The Airflow connection of this id, or the default: the one that is marked, else ``push_aliyun_sms_default``.

        :raises ConfigurationError: there is no such connection.
        """
        from push_provider.channels.sms.aliyun_account import get_sms_connection

        return get_sms_connection(config, default)

    def open(self, connection: Connection, content: Parameters, job: Job) -> SmsSender:
        """Ask Aliyun for the template, where the account may, and hold the content against it.

        :raises ConfigurationError: the connection is wrong, or there is no usable signature or template.
        :raises ContentError: the content does not fit the template.
        :raises ProviderUnavailable: Aliyun cannot be reached.
        """
        from push_provider.channels.sms.aliyun_account import aliyun_config

        config = aliyun_config(connection)
        sign = _needed(content.sign_name or config.sign_name, "sign_name", config)
        template = _needed(content.template_code or config.template_code, "template_code", config)
        client = AliyunClient(config)
        numbers = _learn_template(client, template, content)
        return SmsSender(SmsCalls(client, sign, template, job), content, numbers, config.max_connections)

    def receipts(self, connection: Connection) -> ReceiptReader:
        """What asks Aliyun for receipts through this connection.

        :raises ConfigurationError: the connection is wrong.
        """
        from push_provider.channels.sms.aliyun_account import aliyun_config
        from push_provider.channels.sms.receipts import SmsReceipts

        return SmsReceipts(AliyunClient(aliyun_config(connection)))


def _needed(value: str | None, field: str, config: AliyunConfig) -> str:
    if value is None:
        raise ConfigurationError(
            f"Connection {config.connection!r}: field {field!r} is empty, and the push task names none; enter it "
            "there, or in the task."
        )
    return value


def _learn_template(client: AliyunClient, code: str, content: Parameters) -> Numbers:
    """Ask which parameters a template has and which numbers it is for.

    Where Aliyun does not say, go on and leave the check of the parameters to it; the numbers then are those that the
    connection names, or of mainland China.

    :raises ConfigurationError: there is no such template, or it is not approved.
    :raises ContentError: the content has other parameters.
    :raises ProviderUnavailable: there is no answer.
    """
    from push_provider.channels.codes import Fault
    from push_provider.channels.sms.aliyun_account import APPROVED_TEMPLATE, ask, placeholders, refusal, template_kind
    from push_provider.channels.sms.aliyun_codes import is_permission, meaning

    config = client.config
    answer = ask(client, client.template, code)
    if answer.ok:
        if str(answer.body.template_status) != APPROVED_TEMPLATE:
            raise ConfigurationError(
                f"Connection {config.connection!r}: template {code!r} is not approved (status "
                f"{answer.body.template_status}); use one that is."
            )
        content.require(placeholders(answer.body.template_content or ""))
        if kind := template_kind(answer):
            return Numbers(code, kind, "as Aliyun says")
    says = meaning(answer.code, answer.message, answer.status)
    if not answer.ok:
        if says.fault is Fault.ACCOUNT and not is_permission(answer.code):
            raise refusal(config, answer)
        log.info("Template %s is not checked beforehand: Aliyun answers %s", code, answer.code)
    if config.template_kind:
        return Numbers(code, config.template_kind, f"as field 'template_kind' of connection {config.connection!r} says")
    assumed = f"taken for granted, as Aliyun does not say: {'no TemplateType' if answer.ok else answer.code}"
    if says.fault in (Fault.BUSY, Fault.DOUBT):
        after = next_try(answer.retry_after, says.wait)
        return Numbers(code, TemplateKind.MAINLAND, assumed, Result.RETRY, after)
    remedy = f"else set field 'template_kind' of connection {config.connection!r} to international"
    return Numbers(code, TemplateKind.MAINLAND, f"{assumed}; {remedy}")


class SmsSender(BatchSender):
    """SMS of one execution to one account. One thread at a time may use it.

    :param calls: how calls are made.
    :param content: the compiled parameters.
    :param numbers: which the template is for.
    :param threads: calls at the same time.
    """

    def __init__(self, calls: SmsCalls, content: Parameters, numbers: Numbers, threads: int) -> None:
        super().__init__(calls, log, threads=threads, name="push-sms")
        self._content = content
        self._numbers = numbers

    def send(self, deliveries: Sequence[Delivery]) -> list[Outcome]:
        """Send a chunk.

        An outcome's ``provider_id`` is Aliyun's BizId. Its ``code`` is Aliyun's, or one of ``content`` (no parameters
        can be made), ``number`` (none that the template is for), ``connection``, ``timeout`` and ``protocol`` (no
        answer), and ``not-tried`` (too many before were refused, or left in doubt).

        :raises ConfigurationError: Aliyun refuses the account, the signature or the template; nothing was sent.
        :raises ProviderUnavailable: Aliyun cannot be reached, or has refused too many in a row or left them in doubt;
            nothing was sent.
        """
        self._outcomes = []
        self._left = {}
        self._calls.begin()
        self._left = dict.fromkeys(delivery.id for delivery in deliveries)
        return self._deliver_all(_batches(self._messages(deliveries)))

    def _messages(self, deliveries: Sequence[Delivery]) -> Iterator[Message]:
        """What is to be sent, made while what came before is on its way; who can be sent nothing has their outcome."""
        numbers = self._numbers
        for delivery in deliveries:
            if not _NUMBER.fullmatch(delivery.to):
                text = f"{delivery.to!r} is no mobile number"
                self._settle(Outcome(delivery.id, Result.FAILED, None, "number", text))
                continue
            if not numbers.takes(delivery.to):
                text = numbers.refusal(delivery.to)[:500]
                self._settle(Outcome(delivery.id, numbers.otherwise, None, "number", text, numbers.retry_after))
                continue
            parameters = self._made(delivery, partial(self._content.render, delivery.to, delivery.variables))
            if parameters is not None:
                yield Message(delivery.id, numbers.dialled(delivery.to), parameters)


def _batches(messages: Iterable[Message]) -> Iterator[list[Message]]:
    """Messages a call: as many as it takes, no number twice, and ids that one OutId can hold."""
    waiting = messages
    while waiting:
        batch: dict[str, Message] = {}
        left: list[Message] = []
        for message in waiting:
            first = next(iter(batch.values()), message)
            if message.to in batch:
                left.append(message)
                continue
            if len(batch) == BATCH or message.id - first.id >= out_id.SPAN:
                yield list(batch.values())
                batch = {}
            batch[message.to] = message
        if batch:
            yield list(batch.values())
        waiting = left
