"""The only ways in: documents become push tasks and triggers, of their channel, or errors that name each field."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from pydantic import ValidationError

from push_provider.channels import registry
from push_provider.contract.task import PushTask, Trigger
from push_provider.contract.wording import told
from push_provider.exceptions import ConfigurationError, FieldError, InvalidTask


def parse(data: Any, *, where: str | None = None) -> PushTask:
    """Read a push task.

    :param data: a mapping, as JSON or YAML gives it.
    :param where: what is read, for the error's text.
    :returns: of its channel's own class.
    :raises InvalidTask: names every broken field.
    """
    return _read(data, where=where, stored=False)


def parse_stored(spec: Mapping[str, Any]) -> PushTask:
    """Read a task back from the ledger, where its recipients or content may be kept apart from the rest.

    :raises InvalidTask: another version stored what this one does not understand.
    """
    return _read(dict(spec), where="stored push task", stored=True)


def parse_trigger(data: Any, *, channel: str, where: str | None = None) -> Trigger:
    """Read what a trigger says for one execution of a task of ``channel``.

    :param data: a mapping, or None for nothing.
    :raises InvalidTask: names every broken field.
    """
    context = {"address": registry.task_model(channel).address}
    try:
        return Trigger.model_validate({} if data is None else data, context=context)
    except ValidationError as error:
        raise InvalidTask(told(error, Trigger), where=where) from None


def _read(data: Any, *, where: str | None, stored: bool) -> PushTask:
    channel = data.get("channel") if isinstance(data, dict) else None
    context: dict[str, Any] = {"stored": stored, "channels": registry.names()}
    model: type[PushTask] = PushTask
    if isinstance(channel, str) and channel in context["channels"]:
        try:
            model = registry.task_model(channel)
        except ConfigurationError as error:
            raise InvalidTask([FieldError("channel", f"{channel} cannot be used: {error}")], where=where) from None
        if not stored:
            context["address"] = model.address
    if isinstance(data, dict):
        data = registry.without_others(data, model)
    try:
        return model.model_validate(data, context=context)
    except ValidationError as error:
        raise InvalidTask(told(error, model, partial(registry.elsewhere, model)), where=where) from None
