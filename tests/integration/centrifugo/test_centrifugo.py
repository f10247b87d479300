"""The channel and the real client library on the real Centrifugo, and on the sandbox's: they must not differ."""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import Connection
from live import Live, listening, token

from push_provider.channels.base import Delivery, Job, Outcome, Result
from push_provider.channels.reading import parse
from push_provider.channels.websocket.sender import WebsocketChannel
from push_provider.exceptions import ConfigurationError, ProviderUnavailable
from push_provider.hooks.centrifugo import PushCentrifugoHook
from push_provider.rendering import compile_content

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from centrifugo_server import RealCentrifugo
    from tcp_proxy import TcpProxy

JOB = Job(7, "0123456789abcdef" * 2)


def send(engine: Live, deliveries: Sequence[Delivery], chunk: int = 5000, **extra: Any) -> list[Outcome]:
    fields = engine.fields(**extra)
    connection = Connection(conn_id="live", **{**fields, "extra": json.dumps(fields["extra"])})
    task = {"name": "n", "channel": "websocket", "schedule": {"kind": "manual"}, "title": "{{ n }}"}
    outcomes: list[Outcome] = []
    with WebsocketChannel().open(connection, compile_content(parse(task), {}), JOB) as sender:
        for at in range(0, len(deliveries), chunk):
            outcomes += sender.send(deliveries[at : at + chunk])
    return sorted(outcomes)


def numbered(users: Sequence[str], *numbers: int) -> list[Delivery]:
    """Each user's messages of these numbers."""
    width = len(users)
    return [
        Delivery(1 + number * width + place, user, {"n": str(number)})
        for number in numbers
        for place, user in enumerate(users)
    ]


def through(engine: Live, between: TcpProxy) -> Live:
    """The same, for clients that take the way that can be cut."""
    return Live(f"http://127.0.0.1:{between.port}", engine.server)


def test_each_gets_their_own_in_order_and_once_however_often_it_is_sent(engine: Live, tmp_path: Path) -> None:
    users = [f"u{number}" for number in range(50)]
    with listening(tmp_path / "node", engine, users) as clients:
        for _ in range(2):
            assert {one.result for one in send(engine, numbered(users, *range(20)))} == {Result.SENT}
        send(engine, numbered(users, 20))
        clients.await_count("message", 50 * 21)
        assert clients.messages() == {user: [str(number) for number in range(21)] for user in users}


def test_a_thousand_of_whom_half_are_cut_off_in_the_middle_miss_nothing(
    engine: Live, between: TcpProxy, tmp_path: Path
) -> None:
    users = [f"u{number}" for number in range(1000)]
    with listening(tmp_path / "node", through(engine, between), users, page=True) as clients:
        send(engine, numbered(users, 0))
        sending = threading.Thread(target=send, args=(engine, numbered(users, 1, 2, 3)))
        sending.start()
        assert between.cut(every=2) >= 400
        sending.join()
        clients.tell(do="disconnect", users=users[:100])
        clients.await_count("disconnected", 100)
        send(engine, numbered(users, 4))
        clients.tell(do="connect", users=users[:100])
        clients.await_count("message", 5000, 120)
        assert clients.messages() == {user: ["0", "1", "2", "3", "4"] for user in users}


def test_who_comes_for_the_first_time_reads_the_history(engine: Live, tmp_path: Path) -> None:
    send(engine, numbered(["ann"], 0, 1))
    with listening(tmp_path / "node", engine, ["ann"]) as clients:
        assert not clients.of("subscribed")[0]["recovered"]
        clients.tell(do="history", users=["ann"])
        clients.await_count("history", 1)
        assert clients.of("history")[0]["titles"] == ["0", "1"]


@pytest.mark.parametrize(
    ("made", "event", "code"),
    [
        (lambda: token("ann", "another secret, long enough for HS256"), "disconnected", 3500),
        (lambda: token("bob"), "unsubscribed", 103),
        (lambda: token("ann", exp=int(time.time()) - 60), "disconnected", 1),
    ],
    ids=["another secret", "another user", "expired"],
)
def test_who_may_not_listen(engine: Live, tmp_path: Path, made: Any, event: str, code: int) -> None:
    with listening(tmp_path / "node", engine, ["ann"], tokens={"ann": made()}) as clients:
        clients.await_count(event, 1)
        assert clients.of(event)[0]["code"] == code
        send(engine, numbered(["ann"], 0))
        assert clients.messages() == {}


def test_the_test_of_a_connection(engine: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    engine.connect(monkeypatch)
    good, text = PushCentrifugoHook().test_connection()
    assert good, text
    assert "Centrifugo 6.9.1" in text
    engine.connect(monkeypatch, namespace="other")
    good, text = PushCentrifugoHook().test_connection()
    assert not good
    assert "unknown channel (102)" in text


@pytest.mark.parametrize(
    ("extra", "error"),
    [
        ({"password": "another"}, "HTTP status 401"),
        ({"address_path": "/nothing"}, "HTTP status 404"),
    ],
)
def test_what_is_refused_as_a_whole(engine: Live, extra: dict[str, str], error: str) -> None:
    fields = {**extra}
    if path := fields.pop("address_path", ""):
        fields["address"] = engine.address + path
    with pytest.raises(ConfigurationError, match=error):
        send(engine, numbered(["ann"], 0), **fields)


def test_a_namespace_that_is_not_there(engine: Live) -> None:
    (outcome,) = send(engine, numbered(["ann"], 0), namespace="other")
    assert (outcome.result, outcome.code) == (Result.FAILED, "102")


def test_two_nodes_are_one_and_kills_of_one_cost_nobody_a_message(
    two_nodes: tuple[RealCentrifugo, RealCentrifugo], tmp_path: Path
) -> None:
    """Messages go to one node and clients are at the other; each is killed in the middle, and comes back."""
    one, other = two_nodes
    entry, door = Live(one.address), Live(other.address)
    users = [f"u{number}" for number in range(100)]
    wanted = {user: [str(number) for number in range(40)] for user in users}
    left = numbered(users, *range(40))
    with listening(tmp_path / "node", door, users, page=True) as clients:
        for turn in range(20):
            victim = (one, other)[turn % 2]
            killer = threading.Timer(0.03, victim.kill) if turn < 4 else None
            if killer:
                killer.start()
            with suppress(ProviderUnavailable):
                done = {out.id for out in send(entry, left, chunk=500, timeout=2) if out.result is Result.SENT}
                left = [one_ for one_ in left if one_.id not in done]
            if killer:
                killer.join()
                victim.start()
            elif not left:
                break
        assert left == []
        clients.await_(lambda: clients.messages() == wanted, "all have all, once and in order", 90)
