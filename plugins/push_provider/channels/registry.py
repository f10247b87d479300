"""Which channels there are: ours, and those that installed packages bring along; and what each says about itself."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from push_provider.channels.app.spec import APP
from push_provider.channels.email.spec import EMAIL
from push_provider.channels.sms.spec import SMS
from push_provider.channels.spec import ENTRY_POINTS, ChannelSpec
from push_provider.channels.websocket.spec import WEBSOCKET
from push_provider.exceptions import ConfigurationError

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from push_provider.channels.base import Channel
    from push_provider.content.base import CompiledContent
    from push_provider.contract.task import PushTask

log = logging.getLogger(__name__)

_OURS = (EMAIL, SMS, WEBSOCKET, APP)


@cache
def specs() -> Mapping[str, ChannelSpec]:
    """All channels by their names; one of another package that cannot be loaded is logged and left out."""
    found = {spec.name: spec for spec in _OURS}
    for entry in sorted(entry_points(group=ENTRY_POINTS), key=lambda entry: entry.name):
        try:
            spec = entry.load()
            if not isinstance(spec, ChannelSpec):
                raise TypeError(f"{entry.value} is no ChannelSpec")
            if spec.name in found:
                raise ValueError(f"there is a channel {spec.name!r} already")
        except Exception:
            # Another package's fault must not stop the messages of all others.
            log.exception("The channel of entry point %r is left out", entry.name)
        else:
            found[spec.name] = spec
    return found


def names() -> tuple[str, ...]:
    """The channels' names, ours first."""
    return tuple(specs())


def acknowledged() -> frozenset[str]:
    """Channels whose messages have links by which whoever got one says so."""
    return frozenset(name for name, spec in specs().items() if spec.acknowledged)


def spec_of(name: str) -> ChannelSpec:
    """What a channel says about itself.

    :raises ConfigurationError: there is no such channel.
    """
    try:
        return specs()[name]
    except KeyError:
        raise ConfigurationError(f"There is no channel {name!r}; known are: {', '.join(specs())}.") from None


def get_channel(name: str) -> Channel:
    """What sends the messages of a channel.

    :raises ConfigurationError: there is no such channel, or it cannot be loaded.
    """
    channel: Channel = _named(spec_of(name).sender)()
    return channel


@cache
def channels() -> Mapping[str, Channel]:
    """All that can send, by their names; one of another package that cannot be loaded is logged and left out."""
    found = {}
    for name in specs():
        try:
            found[name] = get_channel(name)
        except ConfigurationError:
            log.exception("Channel %r cannot send", name)
    return found


def content_of(name: str) -> type[CompiledContent]:
    """What compiles the content of a channel.

    :raises ConfigurationError: there is no such channel, or it cannot be loaded.
    """
    content: type[CompiledContent] = _named(spec_of(name).content)
    return content


def operator_of(name: str) -> Callable[..., Any]:
    """The operator that sends a channel's push tasks.

    :raises ConfigurationError: there is no such channel, or it cannot be loaded.
    """
    operator: Callable[..., Any] = _named(spec_of(name).operator)
    return operator


def task_model(name: str) -> type[PushTask]:
    """The push tasks of a channel.

    :raises ConfigurationError: there is no such channel, or it cannot be loaded.
    """
    model: type[PushTask] = _named(spec_of(name).task)
    return model


def connection_types() -> list[dict[str, Any]]:
    """The forms of all sender configurations, as Airflow's provider information has them."""
    return [dict(kind) for spec in specs().values() for kind in spec.connection_types]


def modules() -> Iterator[str]:
    """All that sending through the channels imports, for whoever wants to have it done beforehand."""
    for spec in specs().values():
        for path in (spec.task, spec.content, spec.sender, spec.operator):
            yield path.partition(":")[0]
        yield from spec.warm


@cache
def _named(path: str) -> Any:
    module, _, name = path.partition(":")
    try:
        return getattr(import_module(module), name)
    except Exception as error:
        why = f"{path} cannot be loaded ({type(error).__name__}: {error}); mend or remove the package that has it"
        raise ConfigurationError(why) from error


# --- whose field it is ----------------------------------------------------------------------------------


@cache
def own_fields(name: str) -> Mapping[str, FieldInfo]:
    """The fields of a channel's push tasks that not all push tasks have; none if they cannot be loaded."""
    from push_provider.contract.task import PushTask

    try:
        model = task_model(name)
    except ConfigurationError:  # nobody else's push task has to do with it
        log.exception("The push tasks of channel %r cannot be read", name)
        return {}
    return {field: info for field, info in model.model_fields.items() if field not in PushTask.model_fields}


@cache
def field_schemas(name: str) -> Mapping[str, Mapping[str, Any]]:
    """The JSON schemas of :func:`own_fields`, each whole by itself."""
    if not (fields := own_fields(name)):
        return {}
    schema = task_model(name).model_json_schema()
    parts: Mapping[str, Any] = schema.get("$defs", {})
    return {field: _with_parts(schema["properties"][field], parts) for field in fields}


def _with_parts(schema: Mapping[str, Any], parts: Mapping[str, Any]) -> Mapping[str, Any]:
    """A schema with the parts that it refers to, and those that they do."""
    named: dict[str, Any] = {}
    waiting: list[Any] = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting += node
        elif isinstance(node, Mapping):
            waiting += node.values()
            part = str(node.get("$ref", "")).removeprefix("#/$defs/")
            if part in parts and part not in named:
                named[part] = parts[part]
                waiting.append(parts[part])
    return {**schema, "$defs": named} if named else schema


@cache
def all_fields() -> tuple[str, ...]:
    """Every field that push tasks have, of whatever channel: those of all, and then each channel's own."""
    from push_provider.contract.task import PushTask

    return tuple(dict.fromkeys((*PushTask.model_fields, *(field for name in specs() for field in own_fields(name)))))


def without_others(document: Mapping[str, Any], model: type[PushTask]) -> dict[str, Any]:
    """A document without what says nothing: fields of other channels that have the value they have when left out.

    An earlier edition kept and answered all fields for all channels; whoever sends such an answer back means the same.

    :param model: of the document's channel; ``PushTask`` where it names none that is known: all fields of channels are
        then taken out.
    """
    from push_provider.contract.task import PushTask

    others = _others(model)
    if others.keys().isdisjoint(document):
        return dict(document)
    nobodys = model is PushTask
    return {
        name: value
        for name, value in document.items()
        if name not in others or not (nobodys or value == others[name].get_default(call_default_factory=True))
    }


@cache
def _others(model: type[PushTask]) -> Mapping[str, FieldInfo]:
    """Fields of channels that a model has not."""
    fields = {field: info for name in specs() for field, info in own_fields(name).items()}
    return {field: info for field, info in fields.items() if field not in model.model_fields}


def elsewhere(model: type[PushTask], field: str) -> str | None:
    """What is said of a field that is another channel's; None if it is no channel's."""
    for name in specs():
        if field in own_fields(name):
            hint = model.instead.get(field)
            return f"belongs to channel {name}; leave it out{f'; {hint}' if hint else ''}"
    return None
