"""What Airflow's audit log says of commands: that they were called, and of people and content nothing."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from doors import Doors
from sqlalchemy import text

from push_provider.cli.audited import audited, without_people
from push_provider.cli.definition import get_push_cli_commands

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from sandbox.postgres import PostgresServer

SECRET = "geheim-4711"
PEOPLE = ("-r", f"{SECRET}@example.com")
VARIABLES = f'{{"code": "{SECRET}"}}'
CALLS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("trigger", ("alarm", *PEOPLE, *PEOPLE, "--variables", VARIABLES), "alarm -r *** -r *** --variables ***"),
    (
        "trigger",
        ("alarm", f"--recipient={SECRET}", f"--variables={VARIABLES}"),
        "alarm --recipient=*** --variables=***",
    ),
    ("trigger", (f"-r{SECRET}", "alarm", f"-r={SECRET}"), "-r*** alarm -r=***"),
    ("trigger", ("alarm", "--rec", SECRET, f"--var={VARIABLES}", "--k", SECRET), "alarm --rec *** --var=*** --k ***"),
    ("trigger", ("alarm", "--key", f"{SECRET}=x", "-o", "json"), "alarm --key *** -o json"),
    ("produce", (VARIABLES, f'{{"task": "{SECRET}"}}', "--topic", "orders"), "*** *** --topic orders"),
    ("produce", ("-", f"--key={SECRET}"), "- --key=***"),
    ("deliveries", ("--recipient", SECRET, "--task", "alarm"), "--recipient *** --task alarm"),
    ("suppressions", (f"--address={SECRET}", "--limit", "3"), "--address=*** --limit 3"),
    ("show", ("alarm",), "alarm"),
)
"""Command, its arguments, and what is told of them."""


def parsed(command: str, *arguments: str) -> Any:
    (group,) = get_push_cli_commands()
    (found,) = [one for one in group.subcommands if one.name == command]  # type: ignore[union-attr]
    parser = ArgumentParser()
    for argument in found.args:  # type: ignore[union-attr]
        argument.add_to_parser(parser)
    return parser.parse_args(arguments)


@pytest.mark.parametrize(("command", "arguments", "told"), CALLS)
def test_values_that_are_people_or_content_are_asterisks(command: str, arguments: tuple[str, ...], told: str) -> None:
    said = without_people(["airflow", "push", command, *arguments], parsed(command, *arguments))
    assert " ".join(said) == f"airflow push {command} {told}"


def test_every_argument_that_takes_words_is_known_to_be_private_or_not() -> None:
    """One that is new is thought of here."""
    (group,) = get_push_cli_commands()
    names = {argument.flags[-1] for one in group.subcommands for argument in one.args}  # type: ignore[union-attr]
    private = {"--recipient", "--address", "--variables", "messages", "--key"}
    places = {"files", "code", "channel", "config", "ids", "--topic", "--task", "--execution", "--app", "--channel"}
    forms = {"--status", "--state", "--limit", "--offset", "--dry-run", "--all", "--output", "--verbose"}
    assert names == private | places | forms


def test_the_command_line_is_itself_again(monkeypatch: pytest.MonkeyPatch) -> None:
    line = ["airflow", "push", "trigger", "alarm", *PEOPLE]
    monkeypatch.setattr(sys, "argv", line)

    def fail(_: Any) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        audited(fail)(parsed(*line[2:]))
    assert sys.argv is line


@pytest.fixture(scope="module")
def doors(postgres: PostgresServer, metadata: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    """A command line whose ledger and broker nobody can reach, and whose audit log is there."""
    airflow = metadata.url.render_as_string(hide_password=False)
    env = {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": airflow,
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": airflow.replace("+psycopg:", "+psycopg_async:"),
        "AIRFLOW__PUSH__SQL_ALCHEMY_CONN": "postgresql://127.0.0.1:1/nowhere",
    }
    with Doors(env, tmp_path_factory.mktemp("doors")) as doors:
        yield doors


@pytest.mark.slow
def test_the_audit_log_has_neither_addresses_nor_content(doors: Doors, metadata: Engine) -> None:
    for command, arguments, _ in CALLS:
        if "-" not in arguments:  # nobody writes to its standard input
            assert doors.run(command, *arguments).refused
    with metadata.connect() as connection:
        rows = connection.execute(text("SELECT event, extra FROM log WHERE event LIKE 'cli_%' ORDER BY id")).all()
    assert {row.event for row in rows} == {
        "cli_trigger", "cli_produce", "cli_list_deliveries", "cli_list_suppressions", "cli_show",
    }  # fmt: skip
    expected = [
        ["airflow", "push", command, *told.split()] for command, arguments, told in CALLS if "-" not in arguments
    ]
    assert [json.loads(row.extra)["full_command"] for row in rows] == [str(words) for words in expected]
    assert SECRET not in str(rows)
