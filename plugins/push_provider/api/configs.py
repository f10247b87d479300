"""Sender configurations, which are Airflow connections: which there are, and whether they work. Never a secret."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillWaiting
from typing import TYPE_CHECKING, Annotated, Any

from airflow.configuration import conf
from airflow.models.connection import Connection
from fastapi import APIRouter, Path
from pydantic import Field
from sqlalchemy import select

from push_provider import default_configs
from push_provider.api import audit, openapi, places
from push_provider.api.guards import Caller, CallerDep, Right, SessionDep, needs, sessions
from push_provider.api.models import Answer
from push_provider.api.problems import Problem
from push_provider.channels.email.smtp_config import SMTP_CONN_TYPE
from push_provider.connections.fields import Fields
from push_provider.exceptions import ConfigurationError
from push_provider.ledger.engine import get_engine
from push_provider.provider import get_provider_info

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

router = APIRouter(tags=["Configurations"])
_TEST_SECONDS = 20.0
_tests = ThreadPoolExecutor(places.tests.total, "push-config-test")


ConfigPath = Annotated[str, Path(pattern=r"^[A-Za-z0-9_#!().:-]+$", max_length=250, description="Connection id")]


class Config(Answer):
    """A sender configuration: an Airflow connection that messages can be sent through, without its secrets."""

    id: str = Field(description="Connection id, as a push task's `config` names it")
    type: str = Field(examples=["push_email"])
    channel: str = Field(examples=["email"])
    description: str | None
    sender: str | None = Field(description="The connection's login; email: the sender's address")
    host: str | None
    port: int | None
    enabled: bool
    is_default: bool = Field(description="Whether tasks that name no configuration are sent through it")
    settings: dict[str, str | int | float | bool | None] = Field(description="The other fields of its form")


class Configs(Answer):
    """All that the caller may see."""

    items: list[Config]
    total_entries: int


class TestResult(Answer):
    """Whether a sender configuration works."""

    ok: bool
    message: str = Field(description="What happened; on failure with the remedy")


@router.get("/configs", responses=openapi.errors(401, 403, 429))
@needs(Right.READ_CONFIGS)
def list_configs(caller: CallerDep, session: SessionDep) -> Configs:
    """Sender configurations of Airflow's database that the caller may see; not those of a secrets backend."""
    caller.require_connections()
    types = default_configs.channel_types()
    query = select(Connection).where(Connection.conn_type.in_(list(types))).order_by(Connection.conn_id)
    default = default_configs.current(get_engine())
    items = [_config(one, default) for one in session.scalars(query) if caller.may_read_connection(one.conn_id)]
    return Configs(items=items, total_entries=len(items))


@router.put("/configs/{config}/default", status_code=204, responses=openapi.errors(401, 403, 404, 409, 422, 429))
@needs(Right.EDIT_CONFIGS)
def make_default_config(caller: CallerDep, config: ConfigPath) -> None:
    """Make it the default of its channel: push tasks that name no configuration are sent through it, from now on.

    Whichever was the default before is none any more. It may also be one of a secrets backend.
    """
    with audit.refusals(caller, "push_default_config", said={"config": config}):
        caller.require_edit_connection(config)
    audit.write(caller, "push_default_config", said={"config": config})
    default_configs.make_default(get_engine(), sessions, config)


@router.post("/configs/{config}/test", responses=openapi.errors(401, 403, 404, 422, 429))
@needs(Right.TEST_CONFIGS)
def test_config(caller: CallerDep, config: ConfigPath) -> TestResult:
    """Try a sender configuration as Airflow's own test does: connect, log in, and send nothing.

    A mail server is asked whether it takes mail of the sender. Connections of Airflow's type `smtp`, of which Airflow
    has no test, are tried as well. Airflow must allow it: `[core] test_connection = Enabled`.
    """
    with audit.refusals(caller, "push_test_config", said={"config": config}):
        caller.require_test(config)
    audit.write(caller, "push_test_config", said={"config": config})
    if conf.get("core", "test_connection", fallback="Disabled").strip().lower() != "enabled":
        raise Problem(403, "tests-disabled", "Tests are switched off. Set [core] test_connection to Enabled.")
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        connection = Connection.get_connection_from_secrets(config)
    except AirflowNotFoundException:
        raise Problem(404, "unknown-config", f"There is no connection {config!r}.") from None
    types = default_configs.channel_types()
    if connection.conn_type not in types:
        named = " or ".join(types)
        raise Problem(404, "unknown-config", f"Connection {config!r} is of type {connection.conn_type!r}, not {named}.")
    with contextlib.ExitStack() as place:
        place.enter_context(places.tests.place(caller.id))
        test = _tests.submit(_test, connection)
        given_back = place.pop_all()  # when the test is over, and not when nobody waits for it any more
        test.add_done_callback(lambda _: given_back.close())
    try:
        ok, message = test.result(_TEST_SECONDS)
    except StillWaiting:
        return TestResult(ok=False, message=f"No answer within {_TEST_SECONDS:.0f} seconds. Are host and port right?")
    return TestResult(ok=ok, message=message)


def _test(connection: Connection) -> tuple[bool, str]:
    # Hooks look a connection up by its id: this one gets one of its own for the time of the test, as in Airflow's API.
    name = f"push_test_{os.urandom(8).hex()}"
    variable = f"AIRFLOW_CONN_{name.upper()}"
    tried = Connection(
        conn_id=name,
        conn_type=connection.conn_type,
        host=connection.host,
        login=connection.login,
        password=connection.password,
        schema=connection.schema,
        port=connection.port,
        extra=connection.extra,
    )
    os.environ[variable] = tried.get_uri()
    try:
        if tried.conn_type == SMTP_CONN_TYPE:
            from push_provider.hooks.email import PushEmailHook

            ok, message = PushEmailHook(name).test_connection()
        else:
            ok, message = tried.test_connection()  # type: ignore[no-untyped-call]
    finally:
        os.environ.pop(variable, None)
    return bool(ok), str(message).replace(name, connection.conn_id)


def senders(session: Session, sender: str, caller: Caller) -> dict[str, Any]:
    """The filter of tasks by their sender.

    :param sender: a connection id, or the address that a connection sends as, of those that the caller may see.
    """
    ids = {sender}
    if "@" in sender:
        types = list(default_configs.channel_types())
        query = select(Connection.conn_id).where(Connection.login == sender, Connection.conn_type.in_(types))
        ids |= {conn_id for conn_id in session.scalars(query) if caller.may_read_connection(conn_id)}
    defaults = default_configs.current(get_engine())
    return {"sender": ids, "default_of": [name for name, default in defaults.items() if default in ids]}


def senders_with(session: Session, text: str, caller: Caller) -> dict[str, Any]:
    """What a search for part of a sender adds: configurations whose address has it, of those that the caller may see.

    Which tasks name a configuration whose id has it, the ledger knows by itself; but not which one is the default.
    """
    types = list(default_configs.channel_types())
    query = select(Connection.conn_id).where(
        Connection.login.icontains(text, autoescape=True), Connection.conn_type.in_(types)
    )
    ids = {conn_id for conn_id in session.scalars(query) if caller.may_read_connection(conn_id)}
    defaults = default_configs.current(get_engine()).items()
    default_of = [name for name, default in defaults if default in ids or text.lower() in default.lower()]
    return {"search_senders": ids, "search_default_of": default_of}


def _types() -> Mapping[str, Mapping[str, Any]]:
    """The forms of the push types by their names."""
    return {form["connection-type"]: form for form in get_provider_info()["connection-types"]}


def _config(connection: Connection, defaults: Mapping[str, str]) -> Config:
    # Only what our form shows in clear; a secret that somebody put elsewhere is nobody's business either.
    fields = _types().get(connection.conn_type, {}).get("conn-fields", {})
    open_fields = {name for name, field in fields.items() if field["schema"].get("format") != "password"}
    extra: Mapping[str, Any] = {}
    enabled = True
    with contextlib.suppress(ConfigurationError):  # which is said when it is sent through
        extra = (read := Fields(connection)).extra
        enabled = read.flag("enabled") is not False
    values = {
        name: extra[name]
        for name in sorted((open_fields & set(extra)) - {"enabled", "is_default"})
        if isinstance(extra[name], str | int | float | bool | None)
    }
    channel = default_configs.channel_types()[connection.conn_type]
    return Config(
        id=connection.conn_id,
        type=connection.conn_type,
        channel=channel,
        description=connection.description,
        sender=connection.login,
        host=connection.host,
        port=connection.port,
        enabled=enabled,
        is_default=connection.conn_id == defaults[channel],
        settings=values,
    )
