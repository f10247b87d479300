"""Which channels there are, and what their forms ask for: the fields of push tasks, and of sender configurations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import APIRouter
from pydantic import Field

from push_provider.api import openapi
from push_provider.api.guards import CallerDep, needs
from push_provider.api.models import Answer
from push_provider.channels import registry
from push_provider.channels.spec import ChannelSpec

router = APIRouter(tags=["Channels"])


class FieldAnswer(Answer):
    """A field of a channel's push tasks."""

    name: str = Field(examples=["content_type"])
    title: str = Field(examples=["Content Type"])
    description: str | None
    json_schema: dict[str, Any] = Field(serialization_alias="schema", description="JSON schema, whole by itself")
    required: bool = Field(description="Whether every push task of the channel must have it")


class ConnectionFieldAnswer(Answer):
    """A field of a sender configuration."""

    name: str = Field(description="As Airflow's connections have it", examples=["from_name"])
    label: str
    description: str | None
    json_schema: dict[str, Any] = Field(serialization_alias="schema", description="JSON schema")
    secret: bool = Field(description="Whether it is never shown")
    extra: bool = Field(description="Whether it lies in the connection's `extra`, a JSON object")


class ConnectionTypeAnswer(Answer):
    """A kind of sender configurations: its form, as Airflow has it."""

    name: str = Field(description="The connection's `conn_type`", examples=["push_email"])
    label: str = Field(examples=["Push Email"])
    fields: list[ConnectionFieldAnswer] = Field(description="First those of all connections, then those of its `extra`")
    relabeling: dict[str, str] = Field(description="What fields of all connections are called here")
    hidden: list[str] = Field(description="Fields of all connections that the form leaves out")
    placeholders: dict[str, str] = Field(description="What an empty field shows")


class ChannelAnswer(Answer):
    """A channel."""

    name: str = Field(description="As a push task's `channel` names it", examples=["email"])
    label: str = Field(description="For people", examples=["Email"])
    fields: list[FieldAnswer] = Field(
        description="What its push tasks have besides the fields that all have, in the order in which forms show them"
    )
    connection_types: list[ConnectionTypeAnswer]


class Channels(Answer):
    """All of them."""

    items: list[ChannelAnswer]
    total_entries: int


@router.get("/channels", responses=openapi.errors(401, 429))
@needs()
def list_channels(caller: CallerDep) -> Channels:  # noqa: ARG001  (whoever is logged in)
    """The channels, those of installed packages among them, with all that a form for them has to know."""
    items = [_channel(spec) for spec in registry.specs().values()]
    return Channels(items=items, total_entries=len(items))


def _channel(spec: ChannelSpec) -> ChannelAnswer:
    return ChannelAnswer(
        name=spec.name,
        label=spec.label,
        fields=list(_fields(spec.name)),
        connection_types=[_connection_type(form) for form in spec.connection_types],
    )


def _fields(channel: str) -> Iterator[FieldAnswer]:
    schemas = registry.field_schemas(channel)
    for name, field in registry.own_fields(channel).items():
        schema = dict(schemas[name])
        yield FieldAnswer(
            name=name,
            title=schema.pop("title", name),
            description=schema.pop("description", None),
            json_schema=schema,
            required=field.is_required() or name in registry.task_model(channel).needed,
        )


_STANDARD: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "host": ("Host", {"type": "string"}),
    "login": ("Login", {"type": "string"}),
    "password": ("Password", {"type": "string", "format": "password"}),
    "port": ("Port", {"type": "integer", "minimum": 0, "maximum": 65535}),
    "schema": ("Schema", {"type": "string"}),
    "description": ("Description", {"type": "string"}),
}
"""The fields of all connections, as Airflow's own form has them."""


def _connection_type(form: Mapping[str, Any]) -> ConnectionTypeAnswer:
    manner = form.get("ui-field-behaviour", {})
    relabeling = manner.get("relabeling", {})
    standard = [
        _connection_field(name, {"label": relabeling.get(name, label), "schema": schema}, extra=False)
        for name, (label, schema) in _STANDARD.items()
    ]
    own = [_connection_field(name, field, extra=True) for name, field in form.get("conn-fields", {}).items()]
    return ConnectionTypeAnswer(
        name=form["connection-type"],
        label=form.get("hook-name", form["connection-type"]),
        fields=[*standard, *own],
        relabeling=relabeling,
        hidden=manner.get("hidden-fields", []),
        placeholders=manner.get("placeholders", {}),
    )


def _connection_field(name: str, field: Mapping[str, Any], *, extra: bool) -> ConnectionFieldAnswer:
    schema = dict(field.get("schema", {}))
    return ConnectionFieldAnswer(
        name=name,
        label=field.get("label", name),
        description=field.get("description"),
        json_schema=schema,
        secret=schema.get("format") == "password",
        extra=extra,
    )
