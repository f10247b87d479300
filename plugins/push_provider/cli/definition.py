"""The commands of ``airflow push``, as Airflow's parser wants them; what they do is in ``commands``.

Every ``airflow`` command imports this module, so it imports nothing of ours.
"""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable

from airflow.cli.cli_config import (
    ARG_OUTPUT,
    ARG_VERBOSE,
    ActionCommand,
    Arg,
    CLICommand,
    GroupCommand,
    lazy_load_command,
    positive_int,
)

_COMMANDS = "push_provider.cli.commands"


def _whole(*, allow_zero: bool = False) -> Callable[[str], int]:
    """A type of arguments: the whole numbers that the ledger can look for, which are PostgreSQL's bigint."""
    positive = positive_int(allow_zero=allow_zero)

    def whole(text: str) -> int:
        number: int = positive(text)
        if number >= 2**63:
            raise ArgumentTypeError(f"must be less than {2**63}")
        return number

    return whole


_FILES = Arg(("files",), metavar="FILE", nargs="+", help="YAML or JSON: push tasks, one or many a file; - reads stdin")
_DRY_RUN = Arg(("--dry-run",), action="store_true", help="Check everything, and change nothing")
_CODE = Arg(("code",), metavar="CODE", help="Code of the push task")
_STATUS = Arg(("--status",), help="Only tasks of this status: pending, running, active, finished, failed, cancelled")
_CHANNEL = Arg(("--channel",), help="Only tasks of this channel, such as email or sms")
_APP = Arg(("--app",), help="Only tasks of this application")
_STATE = Arg(("--state",), help="Only those in this state")
_TASK = Arg(("--task",), metavar="CODE", help="Only those of this push task")
_EXECUTION = Arg(("--execution",), metavar="ID", type=_whole(), help="Only those of this execution")
_RECIPIENT = Arg(("--recipient",), metavar="ADDRESS", help="Only those to this address")
_LIMIT = Arg(("--limit",), type=_whole(), default=100, help="At most so many (default: 100)")
_OFFSET = Arg(("--offset",), type=_whole(allow_zero=True), default=0, help="Leave out the first so many")
_RECIPIENTS = Arg(
    ("-r", "--recipient"),
    dest="recipients",
    metavar="ADDRESS",
    action="append",
    help="Send to this address instead of the task's own recipients; may be given many times",
)
_VARIABLES = Arg(("--variables",), metavar="JSON", help='Template variables of this execution: \'{"order": "A-7"}\'')
_KEY = Arg(("--key",), help="Idempotency key: the same key again begins no second execution")

_CHANNEL_OF_DEFAULT = Arg(
    ("channel",), metavar="CHANNEL", nargs="?", help="Only that of this channel, such as email or sms"
)
_CONFIG = Arg(("config",), metavar="CONFIG", nargs="?", help="Make this connection the default of the channel")

_MESSAGES = Arg(
    ("messages",), metavar="MESSAGE", nargs="+", help='JSON, like \'{"task": "report"}\'; - reads one from stdin'
)
_TOPIC = Arg(("--topic",), help="The topic; without it, the first that [push] kafka_topics names")
_MESSAGE_KEY = Arg(("--key",), help="Key of the messages, by which Kafka chooses the partition")
_ADDRESS = Arg(("--address",), metavar="ADDRESS", help="Only this address")
_SUPPRESSED = Arg(
    ("ids",),
    metavar="ID",
    nargs="+",
    type=_whole(),
    help="Ids, as 'airflow push suppressions' lists",
)
_ALL = Arg(("--all",), action="store_true", help="Also those that a replay has taken")
_REJECTED = Arg(("ids",), metavar="ID", nargs="+", type=_whole(), help="Ids, as 'airflow push rejected' lists")


def get_push_cli_commands() -> list[CLICommand]:
    """The command group that provider.py registers with Airflow."""
    return [
        GroupCommand(
            name="push",
            help="Define push tasks, trigger them, and see who got what",
            subcommands=(
                ActionCommand(
                    name="migrate",
                    help="Create or update the ledger's tables",
                    func=lazy_load_command(f"{_COMMANDS}.migrate"),
                    args=(ARG_VERBOSE,),
                ),
                ActionCommand(
                    name="apply",
                    help="Create push tasks from files, or update those of the same code",
                    func=lazy_load_command(f"{_COMMANDS}.apply"),
                    args=(_FILES, _DRY_RUN, ARG_OUTPUT, ARG_VERBOSE),
                ),
                ActionCommand(
                    name="tasks",
                    help="List push tasks, newest first",
                    func=lazy_load_command(f"{_COMMANDS}.list_tasks"),
                    args=(_STATUS, _CHANNEL, _APP, _LIMIT, _OFFSET, ARG_OUTPUT, ARG_VERBOSE),
                ),
                ActionCommand(
                    name="show",
                    help="Show one push task",
                    func=lazy_load_command(f"{_COMMANDS}.show"),
                    args=(_CODE, ARG_OUTPUT, ARG_VERBOSE),
                ),
                ActionCommand(
                    name="trigger",
                    help="Begin an execution of a push task now",
                    func=lazy_load_command(f"{_COMMANDS}.trigger"),
                    args=(_CODE, _RECIPIENTS, _VARIABLES, _KEY, ARG_OUTPUT, ARG_VERBOSE),
                ),
                ActionCommand(
                    name="cancel",
                    help="Cancel a push task: nothing more of it is sent",
                    func=lazy_load_command(f"{_COMMANDS}.cancel"),
                    args=(_CODE, ARG_OUTPUT, ARG_VERBOSE),
                ),
                ActionCommand(
                    name="executions",
                    help="List executions, newest first",
                    func=lazy_load_command(f"{_COMMANDS}.list_executions"),
                    args=(_TASK, _STATE, _LIMIT, _OFFSET, ARG_OUTPUT, ARG_VERBOSE),
                ),
                ActionCommand(
                    name="deliveries",
                    help="List deliveries, newest first: who got what, and why not",
                    func=lazy_load_command(f"{_COMMANDS}.list_deliveries"),
                    args=(_TASK, _EXECUTION, _RECIPIENT, _STATE, _LIMIT, _OFFSET, ARG_OUTPUT, ARG_VERBOSE),
                ),
                ActionCommand(
                    name="suppressions",
                    help="List addresses that are gone, as a provider has said, newest first: they get nothing more",
                    func=lazy_load_command(f"{_COMMANDS}.list_suppressions"),
                    args=(_CHANNEL, _ADDRESS, _TASK, _LIMIT, _OFFSET, ARG_OUTPUT, ARG_VERBOSE),
                ),
                ActionCommand(
                    name="unsuppress",
                    help="Take addresses off the suppressions, because they are there after all",
                    func=lazy_load_command(f"{_COMMANDS}.unsuppress"),
                    args=(_SUPPRESSED, ARG_OUTPUT, ARG_VERBOSE),
                ),
                ActionCommand(
                    name="default",
                    help="Show or change the sender configuration of push tasks that name none",
                    func=lazy_load_command(f"{_COMMANDS}.default"),
                    args=(_CHANNEL_OF_DEFAULT, _CONFIG, ARG_OUTPUT, ARG_VERBOSE),
                ),
                ActionCommand(
                    name="produce",
                    help="Send messages to the Kafka topic that executions are started from",
                    func=lazy_load_command(f"{_COMMANDS}.produce"),
                    args=(_MESSAGES, _TOPIC, _MESSAGE_KEY, ARG_OUTPUT, ARG_VERBOSE),
                ),
                ActionCommand(
                    name="rejected",
                    help="List Kafka messages that could not be used, newest first, with the reason",
                    func=lazy_load_command(f"{_COMMANDS}.list_rejected"),
                    args=(_TASK, _ALL, _LIMIT, _OFFSET, ARG_OUTPUT, ARG_VERBOSE),
                ),
                ActionCommand(
                    name="replay",
                    help="Try rejected messages again",
                    func=lazy_load_command(f"{_COMMANDS}.replay"),
                    args=(_REJECTED, ARG_OUTPUT, ARG_VERBOSE),
                ),
            ),
        )
    ]
