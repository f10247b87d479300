"""The mark on Airflow's connections and the ledger's note of it, on a real database of connections."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest
from airflow.models.connection import Connection
from airflow.models.team import Team
from sqlalchemy import create_engine, delete, select
from sqlalchemy.orm import Session, sessionmaker

from push_provider import default_configs
from push_provider.channels.app.aliyun_account import CONN_TYPE as APP
from push_provider.channels.app.fcm_config import CONN_TYPE as FCM
from push_provider.channels.email.account import CONN_TYPE as EMAIL
from push_provider.channels.registry import get_channel, names
from push_provider.channels.sms.aliyun_account import CONN_TYPE as SMS
from push_provider.channels.websocket.centrifugo_account import CONN_TYPE as WEBSOCKET
from push_provider.exceptions import ConfigurationError, UnknownConfig
from push_provider.ledger import defaults
from push_provider.ledger.defaults import Default

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from sqlalchemy import Engine

    from sandbox.postgres import PostgresServer


class Airflow:
    """Airflow's table of connections, in a database of its own.

    :param sessions: as Airflow's ``create_session``.
    """

    def __init__(self, sessions: Callable[[], AbstractContextManager[Session]], ledger: Engine) -> None:
        self.sessions = sessions
        self.ledger = ledger
        self.reconciled = 0

    def add(self, conn_id: str, conn_type: str = SMS, extra: Any = None, **fields: Any) -> None:
        text = extra if isinstance(extra, str) else json.dumps(extra or {})
        with self.sessions() as session:
            # As somebody may have stored it, whom Airflow's check of the extra did not see.
            session.add(one := Connection(conn_id=conn_id, conn_type=conn_type, **fields))
            one._extra = text

    def change(self, conn_id: str, **fields: Any) -> None:
        with self.sessions() as session:
            one = session.scalars(select(Connection).where(Connection.conn_id == conn_id)).one()
            for name, value in fields.items():
                setattr(one, name, json.dumps(value) if name == "extra" else value)

    def remove(self, conn_id: str) -> None:
        with self.sessions() as session:
            session.execute(delete(Connection).where(Connection.conn_id == conn_id))

    def extra(self, conn_id: str) -> Mapping[str, Any]:
        with self.sessions() as session:
            one = session.scalars(select(Connection).where(Connection.conn_id == conn_id)).one()
            return dict(one.extra_dejson)

    def marked(self) -> set[str]:
        with self.sessions() as session:
            return {one.conn_id for one in session.scalars(select(Connection)) if default_configs.is_marked(one)}

    def reconcile(self) -> Mapping[str, Default]:
        default_configs.reconcile(self.ledger, self.sessions)
        return defaults.every(self.ledger)


@pytest.fixture(scope="module")
def _connections(postgres: PostgresServer) -> Iterator[Engine]:
    name = f"airflow_{uuid.uuid4().hex[:12]}"
    postgres.create_database(name)
    engine = create_engine(postgres.url(name))
    Connection.metadata.create_all(engine, tables=[Team.__table__, Connection.__table__])
    yield engine
    engine.dispose()


@pytest.fixture
def airflow(_connections: Engine, ledger: Engine) -> Airflow:
    with _connections.begin() as connection:
        connection.execute(delete(Connection))
    return Airflow(sessionmaker(_connections, expire_on_commit=False).begin, ledger)


MARKED = {"is_default": True}


def test_channels_name_the_types_that_they_take() -> None:
    ours = {EMAIL: "email", "smtp": "email", SMS: "sms", WEBSOCKET: "websocket", APP: "app", FCM: "app"}
    assert default_configs.channel_types() == ours


def test_without_a_mark_the_known_names_are_the_defaults(airflow: Airflow) -> None:
    airflow.add("push_aliyun_sms_default")
    assert airflow.reconcile() == {}
    known = {name: get_channel(name).default_connection for name in names()}
    assert default_configs.current(airflow.ledger) == known


@pytest.mark.parametrize("mark", [True, "true", "yes", "on", "1", 1])
def test_a_mark_is_noted(airflow: Airflow, mark: Any) -> None:
    airflow.add("one", extra={"is_default": mark, "region": "cn-hangzhou"})
    airflow.add("mail", EMAIL, MARKED)
    airflow.add("other", "http", MARKED)
    assert airflow.reconcile() == {"sms": Default("one", stored=True), "email": Default("mail", stored=True)}
    others = {"websocket": "push_centrifugo_default", "app": "push_aliyun_app_default"}
    assert default_configs.current(airflow.ledger) == {"sms": "one", "email": "mail", **others}
    assert airflow.extra("one") == {"is_default": mark, "region": "cn-hangzhou"}
    assert airflow.extra("other") == MARKED


@pytest.mark.parametrize("extra", [{"is_default": False}, {"is_default": None}, {"is_default": "perhaps"}, "{", "[]"])
def test_no_mark(airflow: Airflow, extra: Any) -> None:
    airflow.add("one", extra=extra)
    assert airflow.reconcile() == {}


def test_a_connection_of_type_smtp_may_be_the_default(airflow: Airflow) -> None:
    airflow.add("relay", "smtp", MARKED)
    assert airflow.reconcile()["email"].config == "relay"


def test_marking_another_unmarks_the_first(airflow: Airflow) -> None:
    airflow.add("b", extra={**MARKED, "sign_name": "推送"})
    airflow.reconcile()
    airflow.add("a", extra=MARKED)
    assert airflow.reconcile()["sms"].config == "a"
    assert airflow.extra("b") == {"is_default": False, "sign_name": "推送"}
    # Also back to an older one.
    airflow.change("b", extra=MARKED)
    assert airflow.reconcile()["sms"].config == "b"
    assert airflow.marked() == {"b"}


def test_of_several_the_newest_is_the_default(airflow: Airflow) -> None:
    for name in ("c", "a", "b"):
        airflow.add(name, extra=MARKED)
    assert airflow.reconcile()["sms"].config == "b"
    assert airflow.marked() == {"b"}
    assert airflow.reconcile()["sms"].config == "b"


@pytest.mark.parametrize("end", ["unmarked", "removed", "of another type"])
def test_the_end_of_a_default(airflow: Airflow, end: str) -> None:
    airflow.add("one", extra=MARKED)
    airflow.reconcile()
    match end:
        case "unmarked":
            airflow.change("one", extra={})
        case "removed":
            airflow.remove("one")
        case _:
            airflow.change("one", conn_type="http")
    assert airflow.reconcile() == {}
    assert default_configs.current(airflow.ledger)["sms"] == "push_aliyun_sms_default"


def test_a_mark_that_was_moved_and_never_noted_is_found(airflow: Airflow) -> None:
    """The process that moved it died between Airflow's database and the ledger."""
    airflow.add("one", extra=MARKED)
    airflow.add("two")
    airflow.reconcile()
    airflow.change("one", extra={"is_default": False})
    airflow.change("two", extra=MARKED)
    assert airflow.reconcile()["sms"].config == "two"
    assert airflow.marked() == {"two"}


def test_nothing_is_noted_if_airflow_s_database_is_away(airflow: Airflow) -> None:
    airflow.add("one", extra=MARKED)

    def away() -> Any:
        raise ConnectionError("away")

    with pytest.raises(ConnectionError):
        default_configs.reconcile(airflow.ledger, away)
    assert defaults.every(airflow.ledger) == {}


# --- connections from elsewhere ---------------------------------------------------------------------------


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def add(conn_id: str, conn_type: str = SMS, **extra: Any) -> None:
        fields = {"conn_type": conn_type, "login": "k", "extra": extra}
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(fields))

    return add


def test_one_from_elsewhere_is_the_default_until_anotheris_marked(
    airflow: Airflow, elsewhere: Callable[..., None]
) -> None:
    airflow.add("one", extra=MARKED)
    airflow.reconcile()
    elsewhere("vaulted")
    assert default_configs.make_default(airflow.ledger, airflow.sessions, "vaulted") == "sms"
    assert airflow.marked() == set()
    for _ in range(2):
        assert airflow.reconcile() == {"sms": Default("vaulted", stored=False)}
    airflow.change("one", extra=MARKED)
    assert airflow.reconcile() == {"sms": Default("one", stored=True)}


@pytest.mark.parametrize(
    ("conn_id", "channel", "error", "words"),
    [
        ("nobody", None, UnknownConfig, "There is no connection 'nobody'"),
        ("web", None, UnknownConfig, "of type 'http'; messages go through 'push_email' or 'smtp' or 'push_aliyun_sms'"),
        ("vaulted", "email", ConfigurationError, "'vaulted' is of type 'push_aliyun_sms', so of channel 'sms'"),
        ("off", None, ConfigurationError, "Connection 'off' is disabled; enable it"),
        ("odd", None, ConfigurationError, "field 'enabled' is 'perhaps'"),
    ],
)
def test_what_cannot_be_the_default(
    airflow: Airflow,
    elsewhere: Callable[..., None],
    conn_id: str,
    channel: str | None,
    error: type[Exception],
    words: str,
) -> None:
    airflow.add("one", extra=MARKED)
    before = airflow.reconcile()
    elsewhere("web", "http")
    elsewhere("vaulted")
    elsewhere("off", enabled=False)
    elsewhere("odd", enabled="perhaps")
    with pytest.raises(error, match=words):
        default_configs.make_default(airflow.ledger, airflow.sessions, conn_id, channel)
    assert airflow.reconcile() == before
    assert airflow.marked() == {"one"}


# --- the watch --------------------------------------------------------------------------------------------


def test_the_watch_works_only_when_something_has_changed(airflow: Airflow, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = default_configs.reconcile, []

    def counted(*arguments: Any) -> bool:
        calls.append(arguments)
        return real(*arguments)

    monkeypatch.setattr(default_configs, "reconcile", counted)
    watch = default_configs.Watch(airflow.sessions)

    def looks(times: int = 3) -> int:
        before = len(calls)
        for _ in range(times):
            watch()
        return len(calls) - before

    airflow.add("one", extra=MARKED)
    assert looks() == 2  # what it wrote itself is looked at once more
    assert defaults.of(airflow.ledger, "sms") == "one"
    assert looks() == 0
    airflow.add("other", "http")
    assert looks() == 0
    airflow.add("two", extra=MARKED)
    assert looks() == 2
    assert defaults.of(airflow.ledger, "sms") == "two"
    # The ledger was restored from yesterday's copy.
    with defaults.changing(airflow.ledger) as connection:
        defaults.put(connection, "sms", None)
    assert looks() == 2
    assert defaults.of(airflow.ledger, "sms") == "two"


def test_the_watch_finds_again_what_it_has_changed_before(airflow: Airflow) -> None:
    watch = default_configs.Watch(airflow.sessions)
    for _ in range(2):
        # Marked, noted and deleted between two looks.
        with defaults.changing(airflow.ledger) as connection:
            defaults.put(connection, "sms", Default("one", stored=True))
        watch()
        assert defaults.every(airflow.ledger) == {}
