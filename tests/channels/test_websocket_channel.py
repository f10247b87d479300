"""The WebSocket channel against the sandbox's Centrifugo, and against a server that answers as it is told."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import Connection
from hostile import nested

from push_provider.channels.base import STOPPED, Delivery, Job, Outcome, Result
from push_provider.channels.codes import Fault
from push_provider.channels.reading import parse
from push_provider.channels.websocket.calls import CentrifugoCalls
from push_provider.channels.websocket.centrifugo_account import centrifugo_config
from push_provider.channels.websocket.centrifugo_client import CentrifugoClient
from push_provider.channels.websocket.codes import CODES, STATUSES, status_meaning
from push_provider.channels.websocket.content import WebsocketContent
from push_provider.channels.websocket.sender import MESSAGE_BYTES, WebsocketChannel, WebsocketSender
from push_provider.channels.websocket.tokens import parse_token_request
from push_provider.exceptions import ConfigurationError, ContentError, InvalidTask, ProviderUnavailable
from push_provider.hooks.centrifugo import PushCentrifugoHook
from push_provider.marks import message_id, receipt_mark
from push_provider.rendering import compile_content

if TYPE_CHECKING:
    from live import Live

JOB = Job(7, "0123456789abcdef" * 2)
SENT, FAILED, RETRY, UNKNOWN = Result.SENT, Result.FAILED, Result.RETRY, Result.UNKNOWN
NOW = datetime(2026, 11, 1, 12, 0, 0, 250_000, tzinfo=UTC)


def connection(fields: dict[str, Any], conn_id: str = "live") -> Connection:
    return Connection(conn_id=conn_id, **{**fields, "extra": json.dumps(fields["extra"])})


def content(**fields: Any) -> WebsocketContent:
    task = {"name": "n", "channel": "websocket", "schedule": {"kind": "manual"}, "title": "Hello {{ name }}"}
    compiled = compile_content(parse({**task, **fields}), {}, push={"code": "c"})
    assert isinstance(compiled, WebsocketContent)
    return compiled


def people(count: int) -> list[Delivery]:
    return [Delivery(number, f"u{number}", {"name": f"n{number}"}) for number in range(1, count + 1)]


def send(live: Live, deliveries: Sequence[Delivery], chunk: int = 10_000, **fields: Any) -> list[Outcome]:
    """Send chunk after chunk, as the operator does; the outcomes in the order of their deliveries."""
    outcomes: list[Outcome] = []
    with WebsocketChannel().open(connection(live.fields()), content(**fields), JOB) as sender:
        for at in range(0, len(deliveries), chunk):
            outcomes += sender.send(deliveries[at : at + chunk])
    return sorted(outcomes)


# --- as it should be ------------------------------------------------------------------------------------


def test_each_user_gets_their_own_message(live: Live) -> None:
    outcomes = send(
        live, people(3), data={"order": "{{ name }}-1", "n": [1, "x"]}, content="*{{ to }}* {{ push.code }}"
    )
    assert outcomes == [Outcome(n, SENT, message_id(JOB.token, n)) for n in (1, 2, 3)]
    assert {user: message["title"] for user, message in live.sent} == {f"u{n}": f"Hello n{n}" for n in (1, 2, 3)}
    (_, message), *_ = live.sent
    at = message.pop("sent_at")
    assert "acknowledge" not in message  # nobody says where this API server is
    assert datetime.fromisoformat(at).tzinfo is not None
    assert message == {
        "id": message_id(JOB.token, 1),
        "title": "Hello n1",
        "content": "*u1* c",
        "format": "text",
        "data": {"order": "n1-1", "n": [1, "x"]},
    }


def test_batches_are_of_five_hundred_and_those_of_a_user_stay_in_order(live: Live) -> None:
    assert live.server is not None
    deliveries = [Delivery(n, f"u{n % 7}", {"name": str(n)}) for n in range(1, 3001)]
    assert {one.result for one in send(live, deliveries)} == {SENT}
    assert 6 <= live.server.api_calls <= 10
    for user in range(7):
        titles = [int(message["title"].split()[1]) for to, message in live.sent if to == f"u{user}"]
        assert titles == sorted(titles)
    assert len(live.sent) == 1000  # as many as the sandbox keeps


def test_a_second_try_changes_nothing(live: Live) -> None:
    assert send(live, people(20)) == send(live, people(20))
    assert len(live.sent) == 20


def test_how_long_a_message_is_worth_something(live: Live) -> None:
    client = CentrifugoClient(centrifugo_config(connection(live.fields())))
    with WebsocketSender(client, content(ttl=90), JOB, clock=lambda: NOW) as sender:
        sender.send(people(1))
    assert live.sent[0][1]["sent_at"] == "2026-11-01T12:00:00.250Z"
    assert live.sent[0][1]["expires_at"] == "2026-11-01T12:01:30.250Z"


def test_a_link_to_acknowledge_begins_where_pages_reach_us(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "http://airflow.local:8080/")
    send(live, people(1))
    monkeypatch.setenv("AIRFLOW__PUSH__PUBLIC_URL", "https://push.example.com/")
    send(live, [Delivery(2, "u2", {"name": "n"})])
    begins = ["http://airflow.local:8080", "https://push.example.com"]
    assert [message["acknowledge"] for _, message in live.sent] == [
        f"{url}/push/v1/receipts/{receipt_mark(JOB.token, number)}" for number, url in enumerate(begins, 1)
    ]


def test_a_ttl_that_is_longer_than_the_history_is_refused(live: Live) -> None:
    with pytest.raises(ContentError, match=r"ttl: is 90 seconds, and connection 'live' keeps messages for 60"):
        WebsocketChannel().open(connection(live.fields(history_ttl=60)), content(ttl=90), JOB)


def test_what_nobody_could_acknowledge_is_not_sent(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    expecting = content(ttl=60, expect="acknowledged")
    with pytest.raises(ConfigurationError, match=r"expect: acknowledged.*set \[push\] public_url, or \[api\] base_url"):
        WebsocketChannel().open(connection(live.fields()), expecting, JOB)
    monkeypatch.setenv("AIRFLOW__PUSH__PUBLIC_URL", "https://push.example.com")
    with WebsocketChannel().open(connection(live.fields()), expecting, JOB) as sender:
        sender.send(people(1))
    assert [user for user, _ in live.sent] == ["u1"]


def test_numbers_are_as_they_were_written(live: Live) -> None:
    from push_provider import written

    assert live.server is not None
    task = written.loads('{"name":"n","channel":"websocket","schedule":{"kind":"manual"},"data":{"amount":12.50}}')
    again = parse(written.loads(written.dumps(parse(task).spec())))
    with WebsocketChannel().open(connection(live.fields()), compile_content(again, {}), JOB) as sender:
        sender.send(people(1))
    assert b'"amount":12.50' in bytes(live.server.streams.latest[0].data)


# --- content --------------------------------------------------------------------------------------------


def test_values_stay_text_in_markdown() -> None:
    made = content(
        title=None,
        format="markdown",
        content="# {{ name }}\n{% macro bold(x) %}**{{ x }}**{% endmacro %}{{ bold(name) }}",
    )
    text = made.render("u", {"name": "<b>*a*</b>\n# [x](javascript:y)"})["content"]
    inert = r"\<b\>\*a\*\<\/b\> \# \[x\]\(javascript\:y\)"
    assert text == f"# {inert}\n**{inert}**"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ w|upper }} {{ w|length }}", r"\_ANN\_\. 6"),
        ("{{ w + name }} {{ [w, name]|join(', ') }}", r"\_ann\_.\_ann\_ \_ann\_., \_ann\_"),
        ("{% filter upper %}**{{ name }}**{% endfilter %}", r"\*\*\_ANN\_\*\*"),
        ("{% set e %}{% endset %}{% if e %}some{% else %}none{% endif %} **{{ w|trim }}**", r"none **\_ann\_.**"),
    ],
)
def test_what_a_template_has_kept_is_text_with_its_values(source: str, text: str) -> None:
    made = content(format="markdown", content="{% set w %}{{ name }}.{% endset %}" + source)
    assert made.render("u", {"name": "_ann_"})["content"] == text


def test_markdown_reads_values_as_they_were() -> None:
    from markdown_it import MarkdownIt

    value = "a_b_ *c* `d` <e> &amp; [f](g) ![h] 1. - + # | ~ \\ !"
    text = content(format="markdown", content="{{ name }}").render("u", {"name": value})["content"]
    shown = MarkdownIt("commonmark").enable("table").render(text)
    escaped = value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert shown == f"<p>{escaped}</p>\n"


def test_a_title_is_one_line() -> None:
    assert content().render("u", {"name": " a\r\n b "})["title"] == "Hello a b"


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"title": "{{ missing }}"}, "the variable 'missing' is missing"),
        ({"data": {"a": ["{{ gone }}"]}}, "data.a.0, line 1: the variable 'gone' is missing"),
        ({"content": "{{ 'x' * 70000 }}"}, "at most 65536"),
        ({"content": "{{ name | reverse }}\ud800"[:-1], "data": {"x": "{{ half }}"}}, "half a character"),
    ],
)
def test_content_that_cannot_be_made_fails_its_recipient_alone(live: Live, fields: dict[str, Any], text: str) -> None:
    good = {"missing": "m", "gone": "g", "half": "h", "name": "n"}
    bad = Delivery(1, "bad", {"name": "n", **({"half": "\ud800"} if "half" in str(fields) else {})})
    outcomes = send(live, [bad, Delivery(2, "good", good)], **fields)
    assert (outcomes[0].result, outcomes[0].code) == (FAILED, "content")
    assert text in (outcomes[0].text or "")
    assert outcomes[1].result is (FAILED if "70000" in str(fields) else SENT)
    assert MESSAGE_BYTES == 65536


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"title": None}, "content: give title, content or data"),
        ({"title": "a\nb"}, "title: must be one line"),
        ({"ttl": 0}, "ttl: must be more than 0 seconds"),
        ({"expect": "acknowledged"}, "ttl: say how long an acknowledgement may take"),
        ({"ttl": 259201}, "ttl: must be a number of seconds from 0 to 259200"),
        ({"format": "html"}, "format: "),
        ({"content_type": "text"}, "content_type: belongs to channel email; leave it out"),
        ({"data": []}, "data: "),
        ({"subject": "s"}, "subject: belongs to channel email; leave it out"),
        *(({"recipients": [user]}, "is no user id that Centrifugo takes") for user in ("a b", "a#b", "a,b", "李雷")),
        ({"recipients": ["u" * 201]}, "is no user id that Centrifugo takes"),
    ],
)
def test_push_tasks_that_are_refused(fields: dict[str, Any], error: str) -> None:
    with pytest.raises(InvalidTask, match=error.replace("(", r"\(")):
        content(**fields)


def test_a_message_may_be_worth_something_for_three_days() -> None:
    assert content(ttl=259200).ttl == 259200


def test_a_preview_is_the_message() -> None:
    assert content().preview("u", {"name": "Ann"}) == {"message": {"title": "Hello Ann"}}


# --- what Centrifugo answers ----------------------------------------------------------------------------


class Scripted:
    """A server API that answers each call as it is told, and then as it should."""

    def __init__(self) -> None:
        self.script: list[Callable[[Any, list[Any]], None]] = []
        self.batches: list[list[str]] = []
        """Of each call, the users."""

    def fields(self, **extra: Any) -> dict[str, Any]:
        settings = {"address": f"http://127.0.0.1:{self.port}", "timeout": 2, **extra}
        return {"conn_type": "push_centrifugo", "password": "key", "extra": settings}

    port = 0


def answer(handler: Any, status: int, body: bytes = b"{}", **headers: str) -> None:
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


def replies(handler: Any, commands: list[Any], codes: dict[str, int] | None = None) -> None:
    made = []
    for command in commands:
        code = (codes or {}).get(command["publish"]["channel"].partition("#")[2])
        made.append({"error": {"code": code, "message": "so"}} if code else {"publish": {"offset": 1}})
    answer(handler, 200, json.dumps({"replies": made}).encode())


def status(number: int, **headers: str) -> Callable[[Any, list[Any]], None]:
    return lambda handler, commands: answer(handler, number, **headers)


def codes(**of: int) -> Callable[[Any, list[Any]], None]:
    return lambda handler, commands: replies(handler, commands, of)


def cut(handler: Any, commands: list[Any]) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)


def gone(handler: Any, commands: list[Any]) -> None:
    """Cut, and nobody listens any more."""
    handler.server.socket.shutdown(socket.SHUT_RDWR)
    cut(handler, commands)


def silence(handler: Any, commands: list[Any]) -> None:
    handler.server.silent.wait(20)


def garbage(handler: Any, commands: list[Any]) -> None:
    answer(handler, 200, b"<html>")


def too_few(handler: Any, commands: list[Any]) -> None:
    answer(handler, 200, b'{"replies":[]}')


def elsewhere(handler: Any, commands: list[Any]) -> None:
    answer(handler, 302, Location="http://127.0.0.1:1/")


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    told = Scripted()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            commands = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["commands"]
            told.batches.append([one["publish"]["channel"].partition("#")[2] for one in commands])
            (told.script.pop(0) if told.script else replies)(self, commands)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.silent = threading.Event()  # type: ignore[attr-defined]
        told.port = server.server_port
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield told
        server.silent.set()  # type: ignore[attr-defined]
        server.shutdown()


def sleepless(scripted: Scripted, slept: list[float], **extra: Any) -> WebsocketSender:
    """A sender that notes its waits instead of waiting."""
    client = CentrifugoClient(centrifugo_config(connection(scripted.fields(max_connections=1, **extra))))
    return WebsocketSender(client, content(), JOB, calls=CentrifugoCalls(client, slept.append))


def results(outcomes: Sequence[Outcome]) -> dict[int, tuple[Result, str | None]]:
    return {outcome.id: (outcome.result, outcome.code) for outcome in outcomes}


@pytest.mark.parametrize(
    "again", [status(503), status(429), status(500), status(408), cut, garbage, too_few, codes(u1=100, u2=113)]
)
def test_what_passes_is_tried_again_at_once(scripted: Scripted, again: Any) -> None:
    scripted.script = [again, again]
    slept: list[float] = []
    with sleepless(scripted, slept) as sender:
        assert results(sender.send(people(2))) == {1: (SENT, None), 2: (SENT, None)}
    assert scripted.batches == [["u1", "u2"]] * 3
    assert slept == [0.2, 0.8]


def test_only_those_for_whom_there_was_no_time_are_tried_again(scripted: Scripted) -> None:
    scripted.script = [codes(u2=100, u3=107)]
    with sleepless(scripted, []) as sender:
        assert results(sender.send(people(3))) == {1: (SENT, None), 2: (SENT, None), 3: (FAILED, "107")}
    assert scripted.batches == [["u1", "u2", "u3"], ["u2"]]


@pytest.mark.parametrize(
    ("fault", "code", "result"),
    [
        (cut, "connection", UNKNOWN),
        (garbage, "protocol", UNKNOWN),
        (too_few, "protocol", UNKNOWN),
        (status(504, Retry_After="120"), "timeout", UNKNOWN),
        (codes(u1=100), "100", RETRY),
    ],
)
def test_what_does_not_pass_is_left_to_the_next_try(scripted: Scripted, fault: Any, code: str, result: Result) -> None:
    scripted.script = [fault] * 3
    with sleepless(scripted, []) as sender:
        assert results(sender.send(people(1))) == {1: (result, code)}


@pytest.mark.parametrize(
    ("script", "calls"),
    [
        ([cut, status(503), status(503)], 3),
        ([cut, status(503, Retry_After="120")], 2),
        ([cut, codes(u1=100), codes(u1=113)], 3),
        ([cut, status(401)], 2),
        ([gone], 1),
    ],
    ids=["no time", "no time for long", "no time for one", "refused", "gone"],
)
def test_what_may_be_published_stays_in_doubt_whatever_comes_of_later_calls(
    scripted: Scripted, script: Any, calls: int
) -> None:
    scripted.script = script
    with sleepless(scripted, []) as sender:
        assert results(sender.send(people(1))) == {1: (UNKNOWN, "connection")}
    assert len(scripted.batches) == calls


def test_a_silent_server_leaves_its_batch_in_doubt_and_the_rest_for_later(scripted: Scripted) -> None:
    scripted.script = [silence] * 3
    with sleepless(scripted, [], timeout=0.2) as sender:
        found = results(sender.send(people(501)))
        assert found[1] == (UNKNOWN, "timeout")
        assert found[501] == (RETRY, "connection")
        with pytest.raises(ProviderUnavailable, match=r"gave no answer in 0\.2 s"):
            sender.send(people(1))
    assert len(scripted.batches) == 3


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        (status(401), ConfigurationError, "HTTP status 401; correct the API key"),
        (status(404), ConfigurationError, "HTTP status 404; correct the connection's address"),
        (status(418), ConfigurationError, "HTTP status 418; correct the connection's address"),
        (elsewhere, ConfigurationError, "answers with a redirect"),
        (status(503, Retry_After="120"), ProviderUnavailable, "HTTP status 503"),
    ],
)
def test_what_concerns_all_ends_the_execution_with_one_error(
    scripted: Scripted, fault: Any, error: type[Exception], words: str
) -> None:
    scripted.script = [fault]
    with sleepless(scripted, []) as sender, pytest.raises(error, match=words) as raised:
        sender.send(people(1000))
    assert len(scripted.batches) == 1
    if error is ProviderUnavailable:
        assert raised.value.retry_after == 120  # type: ignore[attr-defined]
    assert "key" not in str(raised.value).replace("API key", "")


def test_a_namespace_that_is_not_there_fails_all_with_one_message(scripted: Scripted) -> None:
    scripted.script = [codes(**{f"u{n}": 102 for n in range(1, 501)})]
    with sleepless(scripted, []) as sender:
        outcomes = results(sender.send(people(1000)))
        assert outcomes[1] == (FAILED, "102")
        assert outcomes[1000] == (FAILED, "configuration")
        with pytest.raises(ConfigurationError, match=r"refuses channel 'push:#u1' with 102 .*give the"):
            sender.send(people(1))
    assert len(scripted.batches) == 1


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    fields = {"conn_type": "push_centrifugo", "password": "k", "extra": {"address": f"http://127.0.0.1:{port}"}}
    client = CentrifugoClient(centrifugo_config(connection(fields)))
    sender = WebsocketSender(client, content(), JOB, calls=CentrifugoCalls(client, lambda _: None))
    with sender, pytest.raises(ProviderUnavailable, match=rf"127\.0\.0\.1:{port} cannot be reached"):
        sender.send(people(2))


def test_asked_to_stop_it_begins_no_more(scripted: Scripted) -> None:
    with sleepless(scripted, []) as sender:
        scripted.script = [lambda handler, commands: (sender.stop(), replies(handler, commands))]
        found = results(sender.send(people(1200)))
        assert found[1] == (SENT, None)
        assert found[1200] == (RETRY, STOPPED)
        assert results(sender.known()) == found
    assert len(scripted.batches) == 1


@pytest.mark.parametrize(
    ("fault", "calls", "found"),
    [
        (status(503), 1, {1: (RETRY, STOPPED), 2: (RETRY, STOPPED)}),
        (codes(u1=100), 1, {1: (RETRY, STOPPED), 2: (SENT, None)}),
        # What may be published is asked for once more.
        (cut, 2, {1: (SENT, None), 2: (SENT, None)}),
    ],
    ids=["refused", "one refused", "cut"],
)
def test_asked_to_stop_while_it_waits_it_begins_nothing_anew(
    scripted: Scripted, fault: Any, calls: int, found: dict[int, Any]
) -> None:
    scripted.script = [fault]
    client = CentrifugoClient(centrifugo_config(connection(scripted.fields(max_connections=1))))
    waiting = CentrifugoCalls(client, lambda _: waiting.stop())
    with WebsocketSender(client, content(), JOB, calls=waiting) as sender:
        assert results(sender.send(people(2))) == found
    assert len(scripted.batches) == calls


def test_every_code_has_a_source_and_a_remedy_where_one_is_needed() -> None:
    for meaning in (*CODES.values(), *STATUSES.values()):
        assert meaning.source.startswith("https://")
        assert bool(meaning.remedy) == (meaning.fault is Fault.ACCOUNT)
    assert status_meaning(599).fault is Fault.BUSY


# --- connections ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"conn_type": "http"}, "field 'type' is 'http'"),
        ({"password": ""}, "field 'password' is empty; enter the API key"),
        ({"password": "geheim\n x"}, "field 'password' is no API key"),
        ({"address": ""}, "field 'address' is empty"),
        ({"address": "centrifugo:8000"}, "field 'address' is 'centrifugo:8000'; it takes https://"),
        ({"address": "ftp://x"}, "field 'address'"),
        ({"address": "http://centrifugo:8000"}, "the API key would go in clear to another machine"),
        ({"address": "https://me:pw@x"}, "field 'address'"),
        ({"client_url": "https://x"}, "field 'client_url' is 'https://x'; it takes wss://"),
        ({"namespace": "a:b"}, "field 'namespace' is 'a:b'"),
        ({"history_ttl": -1}, "field 'history_ttl'"),
        ({"history_size": "many"}, "field 'history_size'"),
        ({"enabled": False}, "Connection 'live' is disabled"),
    ],
)
def test_connections_that_are_refused(live: Live, fields: dict[str, Any], error: str) -> None:
    with pytest.raises(ConfigurationError, match=error) as raised:
        centrifugo_config(connection(live.fields(**fields)))
    assert "geheim" not in str(raised.value)


@pytest.mark.parametrize(
    ("fields", "address", "client_url"),
    [
        ({"address": "https://x.example/"}, "https://x.example", "wss://x.example/connection/websocket"),
        ({"address": "http://[::1]:8000"}, "http://[::1]:8000", "ws://[::1]:8000/connection/websocket"),
        (
            {"address": "http://centrifugo:8000", "allow_http": True, "client_url": "wss://push.example/ws"},
            "http://centrifugo:8000",
            "wss://push.example/ws",
        ),
    ],
)
def test_addresses(live: Live, fields: dict[str, Any], address: str, client_url: str) -> None:
    config = centrifugo_config(connection(live.fields(**fields)))
    assert (config.address, config.client_url) == (address, client_url)
    assert "secret" not in repr(config).replace("token_secret", "")


@pytest.mark.parametrize(
    ("fields", "good", "words"),
    [
        ({}, True, "API key accepted. Namespace 'push': keeps messages"),
        ({"password": "another"}, False, "HTTP status 401; correct the API key"),
        (
            {"namespace": "other"},
            False,
            "Namespace 'other': unknown channel \\(102\\); give the connection",
        ),
        ({"token_secret": None}, True, "No HMAC secret"),
        ({"address": "http://127.0.0.1:1"}, False, "cannot be reached; try again later"),
    ],
)
def test_the_test_of_a_connection(
    live: Live, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], good: bool, words: str
) -> None:
    import re

    live.connect(monkeypatch, **fields)
    found, text = PushCentrifugoHook().test_connection()
    assert found is good
    assert re.search(words, text), text


def test_a_server_without_history_is_told_of(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    assert live.server is not None
    live.server.streams.history_size = 0
    live.connect(monkeypatch)
    found, text = PushCentrifugoHook().test_connection()
    assert not found
    assert "not available (108); give the namespace a history_size" in text


# --- tokens -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "field", "says"),
    [
        ({"user": "a\0"}, "user", "must not hold a NUL character"),
        ({"user": "a\ud800"}, "user", "must not hold half a surrogate pair"),
        ({"user": "a", "\ud800": 1}, "(document)", "has the name '\\ud800'"),
        ({"user": "a", "config": nested(40)}, "config", "is nested too deeply; at most 32 levels fit"),
        ({"user": "a", **{f"f{number}": 1 for number in range(1000)}}, "f0", "is not a field"),
        ({"user": ""}, "user", "must not be empty"),
    ],
)
def test_a_request_for_a_token_that_is_refused(wanted: dict[str, Any], field: str, says: str) -> None:
    with pytest.raises(InvalidTask) as refused:
        parse_token_request(wanted)
    assert refused.value.errors[0].field.startswith(field)
    assert says in refused.value.errors[0].message
