"""A connection that is not there, and one that Airflow cannot be asked for just now."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import Connection
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import ConnectionResult, ErrorResponse, GetConnection

from push_provider.exceptions import ConfigurationError, TransientError
from push_provider.kafka import admission, connection, messages
from push_provider.ledger import rejected, tasks

if TYPE_CHECKING:
    from sqlalchemy import Engine


class Supervisor:
    """Airflow's side of a task: says what it is told to of every connection, as an answer or as an error."""

    def __init__(self) -> None:
        self.says: ErrorResponse | ConnectionResult | None = None
        self.raises = False
        self.only: str | None = None
        """The one connection that it says this of; of others, that there is none."""

    def send(self, asked: GetConnection) -> ErrorResponse | ConnectionResult | None:
        assert isinstance(asked, GetConnection)
        if self.only not in (None, asked.conn_id):
            return ABSENT[0]
        if self.raises:
            assert isinstance(self.says, ErrorResponse)
            raise AirflowRuntimeError(self.says)
        return self.says


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> Supervisor:
    supervisor = Supervisor()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
    return supervisor


def error(kind: ErrorType, status: int | None = None) -> ErrorResponse:
    return ErrorResponse(error=kind, detail={"status_code": status, "message": "Connection refused"})


def there() -> ConnectionResult:
    return ConnectionResult.model_validate({
        "conn_id": "shop-mail", "conn_type": "push_email", "extra": '{"apps": "shop"}',
        **dict.fromkeys(("host", "schema", "login", "password", "port")),
    })  # fmt: skip


AWAY = (error(ErrorType.API_SERVER_ERROR), error(ErrorType.API_SERVER_ERROR, 503), error(ErrorType.GENERIC_ERROR),
        error(ErrorType.PERMISSION_DENIED, 401))  # fmt: skip
ABSENT = (error(ErrorType.CONNECTION_NOT_FOUND), error(ErrorType.PERMISSION_DENIED, 403))


@pytest.mark.parametrize("raises", [False, True])
@pytest.mark.parametrize("says", ABSENT)
def test_what_is_not_there_is_none(supervisor: Supervisor, says: ErrorResponse, raises: bool) -> None:
    supervisor.says, supervisor.raises = says, raises
    assert connection.find("shop-mail") is None


@pytest.mark.parametrize("raises", [False, True])
@pytest.mark.parametrize("says", AWAY)
def test_what_cannot_be_asked_for_may_be_there(supervisor: Supervisor, says: ErrorResponse, raises: bool) -> None:
    supervisor.says, supervisor.raises = says, raises
    with pytest.raises(TransientError, match=r"'shop-mail' just now: .*Connection refused"):
        connection.find("shop-mail")


def test_one_that_airflow_cannot_read_holds_nobody_up(supervisor: Supervisor) -> None:
    supervisor.says, supervisor.only = error(ErrorType.API_SERVER_ERROR, 500), "shop-mail"
    assert connection.find("shop-mail") is None


def test_what_is_there_is_found(supervisor: Supervisor) -> None:
    supervisor.says = there()
    found = connection.find("shop-mail")
    assert (found and found.conn_type) == "push_email"


@pytest.mark.parametrize(
    ("extra", "kbytes"), [({}, 16384), ({"queued.max.messages.kbytes": 2048}, 2048)], ids=["ours", "the connection's"]
)
def test_what_is_fetched_ahead_is_bounded(extra: dict[str, Any], kbytes: int) -> None:
    given = Connection(conn_id="kafka_default", conn_type="kafka", extra=json.dumps({"bootstrap.servers": "b"} | extra))
    config = connection.consumer_config(given, lambda _: None)
    assert config["queued.max.messages.kbytes"] == kbytes


def test_a_message_waits_for_what_cannot_be_asked_for(ledger: Engine, supervisor: Supervisor) -> None:
    task = {"code": "t", "name": "T", "channel": "email", "schedule": {"kind": "manual"}, "subject": "S",
            "content": "C", "app": "shop", "config": "shop-mail"}  # fmt: skip

    def take() -> Any:
        orders = messages.read("orders", 0, 0, json.dumps({"define": task}).encode(), timestamp=1)
        return admission.take(ledger, orders)

    supervisor.says = AWAY[0]
    with pytest.raises(TransientError):
        take()
    assert rejected.find(ledger) == []
    supervisor.says = there()
    assert take().defined == 1
    assert tasks.get(ledger, "t").config == "shop-mail"


def test_a_push_task_waits_for_it_too(supervisor: Supervisor) -> None:
    from push_provider.connections.lookup import get_connection

    def look() -> Any:
        return get_connection("shop-mail", default="push_email_default", form="Push Email", options="")

    supervisor.says = AWAY[0]
    with pytest.raises(TransientError):
        look()
    supervisor.says = ABSENT[0]
    with pytest.raises(ConfigurationError, match="there is no connection 'shop-mail'"):
        look()
