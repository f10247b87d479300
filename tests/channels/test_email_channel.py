"""Delivering: the right outcome for whatever the server does, and for each delivery by itself."""

from __future__ import annotations

import json
import random
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP as SmtpProtocol  # noqa: N811  (a class, not a constant)
from airflow.sdk import Connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mail_content import File, Given, Templates
from smtp_server import At, Do, Server, after_so_many

from push_provider.channels.base import Delivery, Job, Outcome, Result
from push_provider.channels.email.content import Content
from push_provider.channels.email.sender import EmailChannel, EmailSender
from push_provider.channels.email.smtp_config import SmtpConfig, Tls
from push_provider.channels.reading import parse
from push_provider.channels.registry import get_channel
from push_provider.exceptions import ConfigurationError, ProviderUnavailable
from push_provider.marks import message_id

Serve = Callable[..., Server]
Account = Callable[..., SmtpConfig]
JOB = Job(1, "cd" * 16)
PLAIN = ("8BITMIME", "SIZE 50000000")
PIPELINING = ("PIPELINING", *PLAIN)
MAIL = Templates("Hello {name}", "Dear {name}")


def deliveries(count: int, **variables: Any) -> list[Delivery]:
    return [Delivery(i, f"r{i}@example.org", {"name": f"N{i}", **variables}) for i in range(1, count + 1)]


def send(config: SmtpConfig, chunk: list[Delivery], content: Any = None) -> dict[int, Outcome]:
    content = content or Templates("Hello {name}", "Dear {name}")
    with EmailSender(config, content, JOB) as sender:
        outcomes = sender.send(chunk)
    assert Counter(o.id for o in outcomes) == Counter(d.id for d in chunk), "one outcome for each delivery"
    return {outcome.id: outcome for outcome in outcomes}


def results(outcomes: dict[int, Outcome]) -> list[str]:
    return [str(outcomes[i].result) for i in sorted(outcomes)]


def nth(step: str, number: int, answer: Any) -> Callable[[At], Any]:
    """The ``number``-th time that the server comes to ``step``, it does this."""
    return lambda here: answer if here.step == step and here.count == number else None


@pytest.fixture(params=[True, False], ids=["pipelining", "one by one"])
def extensions(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return PIPELINING if request.param else PLAIN


def test_registry() -> None:
    assert isinstance(get_channel("email"), EmailChannel)
    with pytest.raises(ConfigurationError, match="known are: email"):
        get_channel("fax")


def test_accepted(serve: Serve, account: Account, extensions: tuple[str, ...]) -> None:
    server = serve(extensions=extensions, strict=extensions is PLAIN)
    outcomes = send(account(server, max_connections=1), deliveries(3))
    assert outcomes[2] == Outcome(2, Result.SENT, f"<{message_id(JOB.token, 2)}@example.com>", "250", "2.0.0 taken")
    assert server.accepted == ["r1@example.org", "r2@example.org", "r3@example.org"]
    for number, mail in enumerate(server.received, 1):
        parsed = message_from_bytes(mail.data, policy=policy.default)
        assert parsed["To"] == mail.to == f"r{number}@example.org"
        assert parsed["Subject"] == f"Hello N{number}"
        assert parsed["Message-ID"] == f"<{message_id(JOB.token, number)}@example.com>"
        assert JOB.token.encode() not in mail.data
        assert mail.sender.startswith("MAIL FROM:<shop@example.com> SIZE=")
    assert server.connections == 1


REFUSALS = [("450 4.2.0 later", "retry", "450"), ("550 5.1.1 no", "failed", "550")]


@pytest.mark.parametrize(("answer", "result", "code"), REFUSALS)
@pytest.mark.parametrize("step", ["mail", "rcpt", "data", "dot"])
@pytest.mark.parametrize("victim", [1, 2, 4])
def test_refused(
    step: str,
    answer: str,
    result: str,
    code: str,
    victim: int,
    serve: Serve,
    account: Account,
    extensions: tuple[str, ...],
) -> None:
    server = serve(nth(step, victim, answer), extensions=extensions, strict=extensions is PLAIN)
    outcomes = send(account(server, max_connections=1), deliveries(4))
    if (step, result) == ("mail", "retry"):
        # Not about the mail: it is sent on another connection.
        assert results(outcomes) == ["sent"] * 4
        assert sorted(server.accepted) == [f"r{i}@example.org" for i in range(1, 5)]
        assert server.connections == 2
        return
    assert results(outcomes) == [result if i == victim else "sent" for i in range(1, 5)]
    assert (outcomes[victim].code, outcomes[victim].text) == (code, answer[4:])
    assert server.accepted == [f"r{i}@example.org" for i in range(1, 5) if i != victim]
    assert server.connections == 1


@pytest.mark.parametrize(
    "answer", [Do.CLOSE, "421 4.7.0 enough", b"\x00\xffjunk\r\n", b"2" * 20000, b"250-a\r\n" * 300]
)
@pytest.mark.parametrize("step", ["mail", "rcpt", "data", "dot"])
@pytest.mark.parametrize("victim", [1, 3])
def test_connection_lost(
    step: str, answer: Any, victim: int, serve: Serve, account: Account, extensions: tuple[str, ...]
) -> None:
    server = serve(nth(step, victim, answer), extensions=extensions)
    outcomes = send(account(server, max_connections=1), deliveries(4))
    expected = "sent"
    if step == "dot":
        # 421 is the server's word that it did not take the mail; without a word nobody knows.
        expected = "retry" if answer == "421 4.7.0 enough" else "unknown"
    assert results(outcomes) == [expected if i == victim else "sent" for i in range(1, 5)]
    # What is in doubt may be there: the script's junk follows upon the server having taken the mail.
    doubtful = f"r{victim}@example.org" if expected == "unknown" else None
    assert Counter(to for to in server.accepted if to != doubtful) == Counter(
        f"r{i}@example.org" for i in range(1, 5) if i != victim or expected == "sent"
    )
    assert server.connections == 2


@pytest.mark.parametrize("answer", [Do.CLOSE, "421 4.7.0 not that one"])
@pytest.mark.parametrize("victims", [{8}, {1, 2}, {7, 15, 23}, {29, 30}])
def test_a_recipient_for_whom_the_connection_is_ended(
    answer: Any, victims: set[int], serve: Serve, account: Account, extensions: tuple[str, ...]
) -> None:
    unwanted = {f"<r{i}@" for i in victims}
    server = serve(
        lambda here: answer if here.step == "rcpt" and any(name in here.argument for name in unwanted) else None,
        extensions=extensions,
    )
    outcomes = send(account(server, max_connections=2), deliveries(30))
    assert {i for i in outcomes if outcomes[i].result == "retry"} == victims
    assert len(server.accepted) == 30 - len(victims)
    assert server.connections < 30  # one for each would be that many


@pytest.mark.slow
@pytest.mark.parametrize("step", ["mail", "rcpt", "data", "dot"])
def test_silence(step: str, serve: Serve, account: Account, extensions: tuple[str, ...]) -> None:
    server = serve(nth(step, 2, Do.HANG), extensions=extensions)
    outcomes = send(account(server, max_connections=1, timeout=1), deliveries(4))
    assert results(outcomes) == ["sent", "unknown" if step == "dot" else "retry", "sent", "sent"]
    assert outcomes[2].code == "timeout"
    assert Counter(server.accepted) == Counter(["r1@example.org", "r3@example.org", "r4@example.org"])


@pytest.mark.slow
@pytest.mark.parametrize(("more", "result"), [(30.0, "sent"), (None, "unknown")])
def test_a_server_that_looks_at_a_content_for_long(
    more: float | None, result: str, serve: Serve, account: Account, extensions: tuple[str, ...]
) -> None:
    def script(here: At) -> None:
        if here.step == "dot" and here.count == 2:
            time.sleep(1.5)  # longer than any other answer may take

    server = serve(script, extensions=extensions)
    outcomes = send(account(server, max_connections=1, timeout=1, content_timeout=more), deliveries(3))
    assert results(outcomes) == ["sent", result, "sent"]


@pytest.mark.parametrize("step", ["rcpt", "dot"])
def test_only_the_answer_to_a_content_has_longer_and_not_when_it_is_to_stop(
    step: str, serve: Serve, account: Account, extensions: tuple[str, ...]
) -> None:
    reached = threading.Event()

    def script(here: At) -> Any:
        if here.step == step and here.count == 2:
            reached.set()
            return Do.HANG
        return None

    server = serve(script, extensions=extensions)
    config = account(server, max_connections=1, timeout=0.5, content_timeout=1000)
    with EmailSender(config, MAIL, JOB) as sender:

        def stop() -> None:
            reached.wait(20)
            sender.stop()

        stopper = threading.Thread(target=stop if step == "dot" else list)
        stopper.start()
        outcomes = {outcome.id: outcome for outcome in sender.send(deliveries(2))}
        stopper.join()
    assert results(outcomes) == ["sent", "unknown" if step == "dot" else "retry"]


@pytest.mark.slow
@pytest.mark.parametrize("action", [Do.CLOSE, Do.HANG])
def test_content_not_handed_over_is_surely_not_accepted(
    action: Do, serve: Serve, account: Account, extensions: tuple[str, ...]
) -> None:
    def script(here: At) -> Any:
        return action if here.step == "body" and here.argument == "r2@example.org" else None

    large = Templates(
        "s",
        "Dear {name}",
        attachments=(File("f", random.Random(1).randbytes(8 << 20), "application/x-test"),),
    )
    server = serve(script, extensions=extensions)
    patience = 2.0 if action is Do.HANG else 15.0  # longer than a busy machine takes to read such a mail
    outcomes = send(account(server, max_connections=1, timeout=patience), deliveries(3), large)
    assert results(outcomes) == ["sent", "retry", "sent"]
    assert outcomes[2].code == ("timeout" if action is Do.HANG else "connection")
    assert Counter(server.accepted) == Counter(["r1@example.org", "r3@example.org"])


def test_recipient_refused_and_data_accepted(serve: Serve, account: Account) -> None:
    def script(here: At) -> str | None:
        if here.step == "rcpt" and "r2@" in here.argument:
            return "550 5.1.1 nobody"
        return "354 go on" if here.step == "data" and not here.argument else None

    server = serve(script)
    outcomes = send(account(server, max_connections=1), deliveries(3))
    assert results(outcomes) == ["sent", "failed", "sent"]
    assert outcomes[2].text == "5.1.1 nobody"
    assert [(mail.to, mail.accepted) for mail in server.received] == [
        ("r1@example.org", True),
        ("r3@example.org", True),
    ]
    assert server.connections == 1


@pytest.mark.parametrize("data", ["503 5.5.1 RCPT first", "554 5.5.1 no valid recipients", "451 later"])
def test_recipient_refused_and_data_too(data: str, serve: Serve, account: Account) -> None:
    def script(here: At) -> str | None:
        if here.step == "rcpt" and "r2@" in here.argument:
            return "450-4.2.1 mailbox\r\n450 4.2.1 full"
        return data if here.step == "data" and not here.argument else None

    server = serve(script)
    outcomes = send(account(server, max_connections=1), deliveries(3))
    assert results(outcomes) == ["sent", "retry", "sent"]
    assert (outcomes[2].code, outcomes[2].text) == ("450", "4.2.1 mailbox 4.2.1 full")
    assert server.connections == 1


def test_sender_refused(serve: Serve, account: Account, extensions: tuple[str, ...]) -> None:
    server = serve(lambda here: "553 5.7.1 not your address" if here.step == "mail" else None, extensions=extensions)
    outcomes = send(account(server), deliveries(20))
    assert set(results(outcomes)) == {"failed"}
    assert {(o.code, o.text) for o in outcomes.values()} == {("553", "5.7.1 not your address")}


@pytest.mark.parametrize("code", ["530", "535"])
def test_login_wanted_at_the_first_mail(code: str, serve: Serve, account: Account, extensions: tuple[str, ...]) -> None:
    server = serve(lambda here: f"{code} 5.7.0 log in" if here.step == "mail" else None, extensions=extensions)
    with pytest.raises(ConfigurationError, match=f"push_email_test.*{code} 5.7.0 log in.*login"):
        send(account(server), deliveries(20))
    assert server.accepted == []


@pytest.mark.parametrize("answer", ["450 later", "554 no"])
def test_a_server_that_cannot_be_used_raises(answer: str, serve: Serve, account: Account) -> None:
    server = serve(lambda here: answer if here.step == "connect" else None)
    with pytest.raises(ProviderUnavailable if answer[0] == "4" else ConfigurationError):
        send(account(server), deliveries(20))
    assert server.connections == 1


@pytest.mark.parametrize("answer", [Do.CLOSE, "421 go away"])
def test_a_server_that_ends_every_session(
    answer: Any, serve: Serve, account: Account, extensions: tuple[str, ...]
) -> None:
    server = serve(lambda here: answer if here.step == "mail" else None, extensions=extensions)
    said = "the server closed the connection" if answer is Do.CLOSE else answer
    with pytest.raises(ProviderUnavailable, match=f"push_email_test.*takes no mail just now: {said}"):
        send(account(server), deliveries(50))
    assert server.connections < 10


def test_the_server_is_gone_in_the_middle(serve: Serve, account: Account) -> None:
    def script(here: At) -> Any:
        if here.step == "connect" and here.count > 1:
            return Do.CLOSE
        return Do.CLOSE if here.step == "dot" and here.count == 3 else None

    server = serve(script)
    outcomes = send(account(server, max_connections=1), deliveries(6))
    assert results(outcomes) == ["sent", "sent", "unknown", "retry", "retry", "retry"]
    assert outcomes[6].code == "connection"


AUTH = (*PIPELINING, "AUTH PLAIN")
LATER_REFUSALS = [
    ("auth", "535 5.7.3 Authentication unsuccessful"),  # Office 365, of a token that has run out
    ("auth", "550 User has no permission: login frequency limited"),  # 163
    ("connect", "554 not for you"),
    ("mail", "530 5.7.57 Client not authenticated"),
]


@pytest.mark.parametrize(("step", "answer"), LATER_REFUSALS)
def test_a_login_that_is_refused_later_leaves_the_rest_to_a_later_try(
    step: str, answer: str, serve: Serve, account: Account
) -> None:
    def script(here: At) -> Any:
        if here.step == step and here.connection > 1:
            return answer
        return "421 4.7.0 good bye" if here.step == "dot" and here.count == 3 else None

    server = serve(script, extensions=AUTH)
    with EmailSender(account(server, user="ann", password="s3cret", max_connections=1), MAIL, JOB) as sender:
        outcomes = {outcome.id: outcome for outcome in sender.send(deliveries(6))}
        assert results(outcomes) == ["sent", "sent", *["retry"] * 4]
        assert answer in str(outcomes[6].text)
        assert isinstance(sender.given_up(), ProviderUnavailable)
        for _ in range(2):
            with pytest.raises(ProviderUnavailable, match=f"push_email_test.*{answer}.*was let in before"):
                sender.send(deliveries(6))
    assert server.connections == 2, "accounts get locked for logins that are refused"


@pytest.mark.parametrize(("step", "answer"), LATER_REFUSALS)
def test_a_login_that_is_refused_between_chunks(step: str, answer: str, serve: Serve, account: Account) -> None:
    def script(here: At) -> Any:
        if here.step == step and here.connection > 1:
            return answer
        return Do.CLOSE if here.step == "mail" and here.here == 3 else None

    server = serve(script, extensions=AUTH)
    with EmailSender(account(server, user="ann", password="s3cret", max_connections=1), MAIL, JOB) as sender:
        assert {str(o.result) for o in sender.send(deliveries(2))} == {"sent"}
        assert sender.given_up() is None
        with pytest.raises(ProviderUnavailable, match=answer):
            sender.send(deliveries(2))
    assert server.connections == 2


def test_more_logins_than_the_server_takes_are_tried_once(serve: Serve, account: Account) -> None:
    def script(here: At) -> Any:
        return "535 login frequency limited" if here.step == "auth" and here.connection > 1 else None

    server = serve(script, extensions=AUTH)
    with EmailSender(account(server, user="ann", password="s3cret", max_connections=2), MAIL, JOB) as sender:
        assert {str(o.result) for o in sender.send(deliveries(100))} == {"sent"}
        for start in (1000, 2000):
            chunk = [d._replace(id=d.id + start) for d in deliveries(100)]
            assert {str(o.result) for o in sender.send(chunk)} == {"sent"}
        assert sender.given_up() is None
    assert server.connections == 2


ENOUGH = [
    Do.CLOSE,
    "421 4.7.0 enough for one connection",
    "452 4.5.3 Too many recipients: Too many messages sent",
    "451 DT:DMC",
]


@pytest.mark.slow
@pytest.mark.parametrize("farewell", ENOUGH)
@pytest.mark.parametrize("every", [1, 2, 3, 7])
@pytest.mark.parametrize("connections", [1, 4])
def test_a_server_that_takes_so_many_mails_of_a_connection(
    farewell: Any, every: int, connections: int, serve: Serve, account: Account, extensions: tuple[str, ...]
) -> None:
    server = serve(after_so_many(every, farewell), extensions=extensions)
    outcomes = send(account(server, max_connections=connections), deliveries(40))
    assert set(results(outcomes)) == {"sent"}
    assert sorted(server.accepted) == sorted(f"r{i}@example.org" for i in range(1, 41))


def refused(server: Server) -> int:
    """MAIL commands that were not accepted."""
    return sum(line.startswith("MAIL") for _, line in server.commands) - len(server.received)


@pytest.mark.parametrize("farewell", ENOUGH)
def test_the_limit_of_a_connection_is_learnt(
    farewell: Any, serve: Serve, account: Account, extensions: tuple[str, ...]
) -> None:
    server = serve(after_so_many(10, farewell), extensions=extensions)
    with EmailSender(account(server, max_connections=1), Templates("s", "{name}"), JOB) as sender:
        for start in range(3):
            chunk = [d._replace(id=d.id + start * 100) for d in deliveries(45)]
            assert {str(o.result) for o in sender.send(chunk)} == {"sent"}
    assert len(server.accepted) == 135
    assert refused(server) == 2, "once may be chance, twice is a limit"
    assert server.connections == 14


@pytest.mark.parametrize(
    "ways",
    [
        {"discards": 10_000},  # Haraka 3.3.4
        {"script": after_so_many(100, "452 4.5.3 Too many recipients: Too many messages sent")},  # OpenSMTPD 6.8
        {"script": after_so_many(100, "452 4.5.3 Too many messages sent"), "discards": 10_000},
    ],
    ids=["Haraka", "OpenSMTPD", "both"],
)
@pytest.mark.parametrize("connections", [1, 4])
def test_five_hundred_at_once(connections: int, ways: dict[str, Any], serve: Serve, account: Account) -> None:
    server = serve(**ways)
    outcomes = send(account(server, max_connections=connections), deliveries(500))
    assert Counter(results(outcomes)) == {"sent": 500}
    assert Counter(server.accepted) == Counter(f"r{i}@example.org" for i in range(1, 501))


def test_a_refusal_in_passing_is_no_limit(serve: Serve, account: Account, extensions: tuple[str, ...]) -> None:
    server = serve(nth("mail", 3, "451 4.3.0 a moment's trouble"), extensions=extensions)
    outcomes = send(account(server, max_connections=1), deliveries(40))
    assert set(results(outcomes)) == {"sent"}
    assert server.connections == 2


def test_what_was_learnt_is_forgotten_when_new_connections_take_no_mail_either(serve: Serve, account: Account) -> None:
    def script(here: At) -> str | None:
        if here.step != "mail":
            return None
        early = here.connection <= 2 and here.here > 3
        return "450 4.7.1 too much mail from you" if early or here.connection == 3 else None

    server = serve(script)
    with EmailSender(account(server, max_connections=1), Templates("s", "{name}"), JOB) as sender:
        assert {str(o.result) for o in sender.send(deliveries(40))} == {"sent"}
    assert server.connections == 4


@pytest.mark.parametrize("step", ["mail", "rcpt", "data"])
def test_503_to_what_was_sent_in_the_right_order(
    step: str, serve: Serve, account: Account, extensions: tuple[str, ...]
) -> None:
    """It is taken for what it says, and the mail not sent for ever."""
    server = serve(
        lambda here: "503 5.5.1 log in first" if here.step == step and here.count > 3 else None, extensions=extensions
    )
    outcomes = send(account(server, max_connections=1), deliveries(12))
    assert results(outcomes) == ["sent"] * 3 + ["retry" if step == "mail" else "failed"] * 9
    assert {o.code for o in outcomes.values()} == {"250", "503"}
    assert refused(server) < 15


@pytest.mark.parametrize("discards", [10_000, 1, 20, 27, 45, 60, 70])
@pytest.mark.parametrize("connections", [1, 4])
def test_a_server_that_throws_away_what_follows_a_content(
    discards: int, connections: int, serve: Serve, account: Account
) -> None:
    server = serve(discards=discards)
    with EmailSender(account(server, max_connections=connections), Templates("Hello", "Dear {name}"), JOB) as sender:
        for start in range(2):
            chunk = [d._replace(id=d.id + start * 1000) for d in deliveries(100)]
            assert {str(o.result) for o in sender.send(chunk)} == {"sent"}
    assert Counter(server.accepted) == Counter(f"r{i}@example.org" for i in [*range(1, 101), *range(1, 101)])
    assert server.connections <= connections
    assert refused(server) <= connections, "no more is sent ahead once it was refused"


def test_a_server_that_closes_on_what_follows_a_content(serve: Serve, account: Account) -> None:
    server = serve(discards=10_000, discarded="554 5.5.0 pipelining is abuse")
    outcomes = send(account(server, max_connections=1), deliveries(40))
    assert set(results(outcomes)) == {"sent"}
    assert len(server.accepted) == 40
    assert server.connections == 2


@pytest.mark.parametrize("answer", ["451 4.3.2 not now", "452 4.3.1 disk full", "503 5.5.1 log in first"])
@pytest.mark.parametrize("before", [0, 20])
def test_a_server_that_takes_no_mail_is_not_asked_for_each(
    answer: str, before: int, serve: Serve, account: Account, extensions: tuple[str, ...]
) -> None:
    server = serve(lambda here: answer if here.step == "mail" and here.count > before else None, extensions=extensions)
    words = f"'push_email_test': the mail server 127.0.0.1:{server.port} takes no mail just now: {answer}"
    if before:
        outcomes = send(account(server), deliveries(500))
        assert Counter(results(outcomes)) == {"sent": 20, "retry": 480}
        assert {(o.code, words in str(o.text)) for o in outcomes.values() if o.result == "retry"} == {
            (answer[:3], True)
        }
    else:
        with pytest.raises(ProviderUnavailable, match=words):
            send(account(server), deliveries(500))
    assert refused(server) < 15
    assert server.connections < 15


def test_a_mail_that_alone_is_refused_at_its_beginning(serve: Serve, account: Account) -> None:
    """Its size may be the cause: the others must not wait for it."""
    large = re.compile("MAIL .* SIZE=[0-9]{4}")
    server = serve(lambda here: "452 4.3.1 no room for that" if large.match(here.argument) else None)
    chunk = deliveries(30)
    chunk[7] = chunk[7]._replace(variables={"name": "x" * 1200})
    outcomes = send(account(server, max_connections=1), chunk)
    assert results(outcomes) == ["retry" if i == 8 else "sent" for i in range(1, 31)]
    assert "452 4.3.1 no room for that" in str(outcomes[8].text)


@pytest.mark.parametrize("connections", [1, 4])
def test_too_many_recipients_of_one_are_those_of_the_connection(
    connections: int, serve: Serve, account: Account, extensions: tuple[str, ...]
) -> None:
    server = serve(
        lambda here: "452 4.5.3 Too many recipients" if here.step == "rcpt" and here.here > 5 else None,
        extensions=extensions,
    )
    outcomes = send(account(server, max_connections=connections), deliveries(40))
    assert set(results(outcomes)) == {"sent"}


@pytest.mark.parametrize("answer", ["451 4.7.1 greylisted", "452 4.2.2 mailbox full", "452 4.5.3 Too many recipients"])
def test_a_recipient_put_off_is_that_recipients(
    answer: str, serve: Serve, account: Account, extensions: tuple[str, ...]
) -> None:
    server = serve(lambda here: answer if here.step == "rcpt" else None, extensions=extensions)
    outcomes = send(account(server, max_connections=1), deliveries(40))
    assert set(results(outcomes)) == {"retry"}
    assert {(o.code, o.text) for o in outcomes.values()} == {(answer[:3], answer[4:])}


def test_fewer_connections_than_wanted(serve: Serve, account: Account) -> None:
    server = serve(lambda here: "421 too many" if here.step == "connect" and here.connection > 2 else None)
    outcomes = send(account(server, max_connections=8), deliveries(200))
    assert set(results(outcomes)) == {"sent"}
    assert Counter(server.accepted) == Counter(f"r{i}@example.org" for i in range(1, 201))


@pytest.mark.parametrize("limit", [1, 7])
def test_own_limit_of_a_connection(limit: int, serve: Serve, account: Account, extensions: tuple[str, ...]) -> None:
    server = serve(extensions=extensions)
    outcomes = send(account(server, max_connections=2, messages_per_connection=limit), deliveries(40))
    assert set(results(outcomes)) == {"sent"}
    assert max(Counter(mail.connection for mail in server.received).values()) <= limit
    assert len(server.accepted) == 40


@pytest.mark.parametrize(("count", "most"), [(1, 1), (3, 1), (400, 4)])
def test_connections_are_opened_as_needed_and_kept(count: int, most: int, serve: Serve, account: Account) -> None:
    server = serve()
    with EmailSender(account(server), Templates("s", "t {name}"), JOB) as sender:
        assert server.connections == 0
        for start in range(3):
            chunk = [d._replace(id=d.id + start * 1000) for d in deliveries(count)]
            assert {str(o.result) for o in sender.send(chunk)} == {"sent"}
        assert 1 <= server.connections <= most
    assert len(server.accepted) == 3 * count


@pytest.mark.parametrize("farewell", [Do.CLOSE, "421 4.4.2 idle"])
def test_a_connection_that_ended_between_chunks(farewell: Any, serve: Serve, account: Account) -> None:
    server = serve(nth("mail", 2, farewell))
    with EmailSender(account(server), Templates("s", "t {name}"), JOB) as sender:
        for delivery in deliveries(3):
            [outcome] = sender.send([delivery])
            assert outcome.result == "sent"
    assert server.connections == 2


@pytest.mark.slow
def test_a_connection_that_is_still_being_opened_holds_up_nothing(serve: Serve, account: Account) -> None:
    server = serve(lambda here: Do.HANG if here.step == "connect" and here.connection > 1 else None)
    outcomes = send(account(server, timeout=2), deliveries(40))
    assert set(results(outcomes)) == {"sent"}
    for thread in threading.enumerate():
        if thread.name == "push-smtp-connect":
            thread.join(5)
            assert not thread.is_alive()


def test_a_recipient_that_nobody_thought_of_fails_alone(
    serve: Serve, account: Account, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Templates):
        def render(self, to: str, variables: Any) -> Any:
            if variables["name"] in ("N2", "N5"):
                raise ZeroDivisionError("by zero")
            return super().render(to, variables)

    server = serve()
    outcomes = send(account(server, max_connections=1), deliveries(6), Broken("s", "{name}"))
    assert results(outcomes) == ["sent", "failed", "sent", "sent", "failed", "sent"]
    assert (outcomes[2].code, outcomes[2].text) == ("content", "ZeroDivisionError: by zero")
    assert caplog.text.count("Traceback") == 1


def test_an_interruption_leaves_no_half_open_conversation(serve: Serve, account: Account) -> None:
    class Broken(Templates):
        def render(self, to: str, variables: Any) -> Any:
            if variables["name"] == "N5":
                raise KeyboardInterrupt
            return super().render(to, variables)

    server = serve()
    with EmailSender(account(server, max_connections=1), Broken("s", "{name}"), JOB) as sender:
        with pytest.raises(KeyboardInterrupt):
            sender.send(deliveries(8))
        assert {str(o.result) for o in sender.send(deliveries(4))} == {"sent"}
    assert server.connections == 2
    assert "r5@example.org" not in server.accepted


def test_content_error_is_one_recipients(serve: Serve, account: Account) -> None:
    chunk = deliveries(5)
    chunk[1] = Delivery(2, "r2@example.org", {})
    chunk[3] = Delivery(4, "r4@example.org", {"name": "a\r\nBcc: eve@example.net"})
    server = serve()
    outcomes = send(account(server), chunk)
    assert results(outcomes) == ["sent", "failed", "sent", "failed", "sent"]
    assert {outcomes[2].code, outcomes[4].code} == {"content"}
    assert "'name' is missing" in str(outcomes[2].text)


@pytest.mark.parametrize("offered", [True, False])
def test_addresses_outside_ascii(offered: bool, serve: Serve, account: Account) -> None:
    server = serve(extensions=(*PIPELINING, "SMTPUTF8") if offered else PIPELINING)
    chunk = [Delivery(1, "用户@例子.cn", {"name": "N"}), *deliveries(2)[1:]]
    outcomes = send(account(server), chunk)
    assert results(outcomes) == ["sent" if offered else "failed", "sent"]
    if offered:
        assert server.received[0].to == "用户@例子.cn"
        assert " SMTPUTF8" in server.received[0].sender
    else:
        assert outcomes[1].code == "smtputf8"
    assert " SMTPUTF8" not in server.received[-1].sender


@pytest.mark.parametrize("offers", [PIPELINING, ("PIPELINING", "SMTPUTF8")])
def test_a_sender_that_the_server_cannot_carry_is_the_configuration_s_fault(
    offers: tuple[str, ...], serve: Serve, account: Account
) -> None:
    server = serve(extensions=offers)
    config = account(server, from_email="用户@例子.cn")
    with (
        EmailSender(config, MAIL, JOB) as sender,
        pytest.raises(
            ConfigurationError, match=r"does not offer SMTPUTF8 \(RFC 6531\), which the sender '用户@例子\.cn'"
        ),
    ):
        sender.send(deliveries(20))
    assert server.received == []
    with EmailSender(
        account(serve(extensions=(*PIPELINING, "SMTPUTF8")), from_email="用户@例子.cn"), MAIL, JOB
    ) as sender:
        assert {one.result for one in sender.send(deliveries(20))} == {Result.SENT}


@pytest.mark.parametrize("offered", [True, False])
def test_eight_bits(offered: bool, serve: Serve, account: Account) -> None:
    server = serve(extensions=("PIPELINING", "8BITMIME") if offered else ("PIPELINING",))
    send(account(server), deliveries(1), Templates("s", "你好 {name}"))
    [mail] = server.received
    assert mail.data.isascii() is not offered
    assert (" BODY=8BITMIME" in mail.sender) is offered
    assert message_from_bytes(mail.data, policy=policy.default).get_content().rstrip() == "你好 N1"


@pytest.mark.slow
@pytest.mark.parametrize("implicit", [True, False])
def test_over_tls(implicit: bool, serve: Serve, account: Account, certificate: Path) -> None:
    extensions = (*PIPELINING, "STARTTLS")
    server = serve(extensions=extensions, certificate=certificate, implicit=implicit)
    config = account(server, tls=Tls.IMPLICIT if implicit else Tls.REQUIRED, verify=False)
    content = Templates("s", "{name}", attachments=(File("f", b"x" * 300_000, "application/x-test"),))
    outcomes = send(config, deliveries(40), content)
    assert set(results(outcomes)) == {"sent"}
    assert Counter(server.accepted) == Counter(f"r{i}@example.org" for i in range(1, 41))
    for mail in server.received:
        [part] = message_from_bytes(mail.data, policy=policy.default).iter_attachments()  # type: ignore[attr-defined]
        assert part.get_content() == b"x" * 300_000


@pytest.mark.parametrize("kind", ["text", "html", "markdown"])
def test_a_push_task_through_an_airflow_connection(kind: str, serve: Serve) -> None:
    server = serve()
    task = parse(
        {
            "name": "Dispatch",
            "channel": "email",
            "schedule": {"kind": "manual"},
            "subject": "订单 {{ order }}",
            "content": "Dear {{ name }}, {{ order }} is on its way.",
            "content_type": kind,
            "attachments": [{"name": "发票.txt", "content_base64": "aGFsbG8="}],
        }
    )
    connection = Connection(
        conn_id="shop",
        conn_type="push_email",
        host="127.0.0.1",
        port=server.port,
        extra=json.dumps({"from_email": "shop@example.com", "from_name": "商店", "ignore_tls": True}),
    )
    chunk = [
        Delivery(1, "ann@example.org", {"name": "<Ann>", "order": "A-1"}),
        Delivery(2, "bob@example.org", {"name": "Bob"}),
    ]
    with EmailChannel().open(connection, Content(task, {}), JOB) as sender:
        outcomes = {outcome.id: outcome for outcome in sender.send(chunk)}
    assert results(outcomes) == ["sent", "failed"]
    assert outcomes[2].code == "content"
    parsed: Any = message_from_bytes(server.received[0].data, policy=policy.default)
    assert parsed["Subject"] == "订单 A-1"
    assert parsed["From"].addresses[0].display_name == "商店"
    assert "Dear <Ann>, A-1" in parsed.get_body(("plain",)).get_content()
    rich = parsed.get_body(("html",))
    assert (rich is not None) == (kind != "text")
    if rich is not None:
        assert "Dear &lt;Ann&gt;, A-1" in rich.get_content()
    [file] = parsed.iter_attachments()
    assert (file.get_filename(), file.get_payload(decode=True)) == ("发票.txt", b"hallo")


# --- an independent server --------------------------------------------------------------------------------


class Box:
    """Collects what aiosmtpd takes."""

    def __init__(self) -> None:
        self.mails: list[tuple[str, list[str], bytes]] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        """Keep it."""
        self.mails.append((envelope.mail_from, envelope.rcpt_tos, envelope.content))
        return "250 kept"


class _Controller(Controller):
    def factory(self) -> SmtpProtocol:
        return SmtpProtocol(self.handler, hostname="test", enable_SMTPUTF8=True)


@pytest.fixture(scope="module")
def box() -> Iterator[tuple[Box, int]]:
    handler = Box()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = _Controller(handler, hostname="127.0.0.1", port=port)
    controller.start()
    yield handler, port
    controller.stop()


LINES = st.text(st.characters(exclude_categories=("Cs",)) | st.sampled_from(".\r\n é中"), max_size=200)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.tuples(LINES, LINES), min_size=1, max_size=4))
def test_aiosmtpd_receives_what_was_meant(texts: list[tuple[str, str]], box: tuple[Box, int], account: Account) -> None:
    handler, port = box
    handler.mails.clear()
    chunk = [
        Delivery(i, f"r{i}@example.org", {"subject": f"商店 {i}", "text": text, "html": html})
        for i, (text, html) in enumerate(texts)
    ]
    outcomes = send(account(port), chunk, Given(has_html=True))
    assert set(results(outcomes)) == {"sent"}
    assert len(handler.mails) == len(chunk)
    got = {}
    for sender, recipients, content in handler.mails:
        parsed: Any = message_from_bytes(content, policy=policy.default)
        assert sender == "shop@example.com"
        assert recipients == [parsed["To"]]
        parts = [
            parsed.get_body((kind,)).get_payload(decode=True).decode().replace("\r\n", "\n")
            for kind in ("plain", "html")
        ]
        got[parsed["To"]] = (parsed["Subject"], *parts)
    for delivery in chunk:
        wanted = [str(delivery.variables[k]).replace("\r\n", "\n").replace("\r", "\n") for k in ("text", "html")]
        assert got[delivery.to] == (delivery.variables["subject"], *wanted)
