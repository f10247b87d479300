"""What the commands of ``airflow push`` do: read the arguments, call the ledger, print rows."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.cli.simple_table import AirflowConsole
from airflow.utils.cli import suppress_logs_and_warning

from push_provider import settings, strict_json, strict_yaml, written
from push_provider.channels.reading import parse_trigger
from push_provider.cli.audited import audited
from push_provider.cli.dag_runs import server_runs, when_known
from push_provider.contract import dag_id
from push_provider.exceptions import ConfigurationError, FieldError, InvalidTask, PushError, RunRefused
from push_provider.visible import visible, visible_json

if TYPE_CHECKING:
    from argparse import Namespace

    from push_provider.contract import Trigger
    from push_provider.ledger.suppressions import SuppressionRow


def _command(function: Callable[[Namespace], None]) -> Callable[[Namespace], None]:
    """Write the call to Airflow's audit log, and end with a message instead of a traceback."""

    @functools.wraps(function)
    def run(args: Namespace) -> None:
        try:
            function(args)
        except InvalidTask as error:
            sys.exit(error.errors.told("\n"))
        except PushError as error:
            sys.exit(str(error))

    # Other people's warnings are no part of the answer, which may be piped into a program.
    return audited(suppress_logs_and_warning(run))


def _print(rows: Sequence[Mapping[str, Any]], args: Namespace) -> None:
    if not rows and args.output in ("json", "yaml"):
        print("[]")
        return
    # Names, reasons and addresses are others' words: "[red]" or ":smile:" is text, and an escape sequence is shown. In
    # JSON and YAML, Airflow escapes all that is not ASCII.
    table = args.output not in ("json", "yaml")
    cells = [{key: _cell(value) if table else value for key, value in row.items()} for row in rows]
    AirflowConsole(markup=False, emoji=False).print_as(data=cells, output=args.output)


def _cell(value: Any) -> Any:
    return visible(value) if isinstance(value, str) else value


def _time(moment: datetime | None) -> str:
    return moment.astimezone().isoformat(timespec="seconds") if moment else ""


@_command
def migrate(args: Namespace) -> None:  # noqa: ARG001  (every command is given them)
    """Create or update the ledger's tables, and the indexes that Airflow's tables lack."""
    from airflow import settings as airflow
    from sqlalchemy.exc import SQLAlchemyError

    from push_provider.databases import reason
    from push_provider.ledger.engine import get_engine
    from push_provider.ledger.schema import migrate as migrate_schema
    from push_provider.metadata import indexes

    before, after = migrate_schema(get_engine())
    print(f"The ledger is at version {after}" + (" already." if before == after else f" (was: {before or 'empty'})."))
    try:
        for name in indexes.bring_about(airflow.get_engine()):  # type: ignore[no-untyped-call]
            print(f"Airflow's database has the index {name} now.")
    except SQLAlchemyError as error:
        print(
            f"Airflow's database lacks indexes that many push tasks need ({reason(error)}). "
            "Let the owner of its tables run:",
            *indexes.LACKING.values(),
            sep="\n  ",
        )


@_command
def apply(args: Namespace) -> None:
    """Create push tasks from files, or update those of the same code: all of them, or none if one is wrong."""
    from push_provider import schedule
    from push_provider.cli import documents
    from push_provider.ledger import definitions
    from push_provider.ledger.engine import get_engine

    now, zone = datetime.now(UTC), settings.default_timezone()
    placed = documents.read_placed(args.files)
    done = definitions.apply_all(get_engine(), placed, now=now, default_timezone=zone, dry_run=args.dry_run)
    rows = []
    for (_, task), applied in zip(placed, done, strict=True):
        due = schedule.next_execution(task, applied.row, now, zone)
        rows.append(
            {
                "code": task.code,
                "action": f"{applied.action} (dry run)" if args.dry_run else applied.action.value,
                "status": applied.row.status.value,
                "dag_id": task.dag_id,
                "next_execution": _time(due) or ("when triggered" if applied.row.open else "none: no more allowed"),
            }
        )
    _print(rows, args)


@_command
def list_tasks(args: Namespace) -> None:
    """List push tasks, newest first."""
    from push_provider.ledger import task_lists
    from push_provider.ledger.engine import get_engine

    filters = {"status": args.status, "channel": args.channel, "app": args.app}
    rows = task_lists.find(get_engine(), **filters, limit=args.limit, offset=args.offset)
    _print(
        [
            {
                "code": row.code,
                "name": row.name,
                "channel": row.channel,
                "status": row.status.value,
                "schedule": row.schedule["kind"],
                "executions": f"{row.executions}/{'∞' if row.max_executions is None else row.max_executions}",
                "recipients": row.recipients,
                "last_execution": _time(row.last_execution_at),
                "dag_id": dag_id(row.code),
            }
            for row in rows
        ],
        args,
    )


@_command
def show(args: Namespace) -> None:
    """Show one push task, as it would be applied, and where it stands."""
    from push_provider.ledger import tasks
    from push_provider.ledger.engine import get_engine

    row = tasks.get_whole(get_engine(), args.code)
    facts = {
        "dag_id": dag_id(row.code),
        "status": row.status.value,
        "executions": row.executions,
        "created_at": _time(row.created_at),
        "updated_at": _time(row.updated_at),
        "last_execution_at": _time(row.last_execution_at) or None,
    }
    if args.output in ("json", "yaml"):
        _dump({**facts, "task": dict(row.spec)}, args.output)
        return
    fields = {
        **facts,
        **{f"task.{key}": _short(value) for key, value in row.spec.items() if value not in (None, [], {})},
    }
    _print([{"field": key, "value": value} for key, value in fields.items()], args)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else written.dumps(value)
    return text if len(text) <= 160 else f"{text[:150]}… ({len(text)} characters)"


def _dump(document: Mapping[str, Any], output: str) -> None:
    if output == "json":
        print(visible_json(written.dumps(document, indent=2)))
    else:
        print(strict_yaml.dumps(document), end="")


@_command
def trigger(args: Namespace) -> None:
    """Begin an execution of a push task now."""
    from push_provider.intake.starter import Starter
    from push_provider.ledger import tasks
    from push_provider.ledger.engine import get_engine

    engine = get_engine()
    row = tasks.get(engine, args.code)
    asked = _asked(args, row.channel)
    starter = Starter(engine, server_runs(), "cli")
    try:
        started = when_known(lambda: starter.begin(args.code, asked, key=args.key))
    except RunRefused as error:
        sys.exit(f"The execution failed: no DAG run could be created: {error}")
    _print([{**started._asdict(), "dag_id": dag_id(args.code)}], args)


def _asked(args: Namespace, channel: str) -> Trigger:
    said: dict[str, Any] = {}
    if args.recipients:
        said["recipients"] = args.recipients
    if args.variables:
        try:
            said["variables"] = strict_json.loads(args.variables)
        except ValueError as error:
            raise InvalidTask([FieldError("--variables", str(error))]) from error
    return parse_trigger(said, channel=channel)


@_command
def cancel(args: Namespace) -> None:
    """Cancel a push task: nothing more of it is sent."""
    from push_provider.ledger import tasks
    from push_provider.ledger.engine import get_engine

    cancelled = tasks.cancel(get_engine(), args.code)
    _print([{"code": args.code, "status": "cancelled", "deliveries_cancelled": cancelled}], args)


@_command
def list_executions(args: Namespace) -> None:
    """List executions, newest first."""
    from push_provider.ledger import executions
    from push_provider.ledger.engine import get_engine

    rows = executions.find(get_engine(), task=args.task, state=args.state, limit=args.limit, offset=args.offset)
    _print(
        [
            {
                "execution": row.id,
                "task": row.task_code,
                "number": row.number,
                "source": row.source,
                "state": row.state.value,
                "total": row.total,
                "sent": row.sent,
                "delivered": row.delivered,
                "failed": row.failed,
                "unknown": row.unknown,
                "cancelled": row.cancelled,
                "begun": _time(row.created_at),
                "finished": _time(row.finished_at),
                "run_id": row.run_id or "",
                "error": row.error or "",
            }
            for row in rows
        ],
        args,
    )


@_command
def list_deliveries(args: Namespace) -> None:
    """List deliveries, newest first: who got what, and why not."""
    from push_provider.ledger import deliveries
    from push_provider.ledger.engine import get_engine

    rows = deliveries.find(
        get_engine(),
        task=args.task,
        execution=args.execution,
        recipient=args.recipient,
        state=args.state,
        limit=args.limit,
        offset=args.offset,
    )
    _print(
        [
            {
                "delivery": row.id,
                "task": row.task_code,
                "execution": row.execution_id,
                "recipient": row.recipient,
                "state": row.state.value,
                "attempts": row.attempts,
                "sent": _time(row.sent_at),
                "code": row.error_code or "",
                "reason": row.error_text or "",
                "message_id": row.provider_id or "",
            }
            for row in rows
        ],
        args,
    )


@_command
def list_suppressions(args: Namespace) -> None:
    """List addresses that are gone, as a provider has said, newest first."""
    from push_provider.ledger import suppressions
    from push_provider.ledger.engine import get_engine

    filters = {"channel": args.channel, "address": args.address, "task": args.task}
    rows = suppressions.find(get_engine(), **filters, limit=args.limit, offset=args.offset)
    _print([_suppressed(row) for row in rows], args)


@_command
def unsuppress(args: Namespace) -> None:
    """Take addresses off the suppressions: all of them, as far as they are known."""
    from push_provider.ledger import suppressions
    from push_provider.ledger.engine import get_engine

    engine = get_engine()
    found = [suppressions.get(engine, number) for number in args.ids]  # none is taken off if one is wrong
    for row in found:
        suppressions.lift(engine, row.id)
    _print([_suppressed(row) for row in found], args)


def _suppressed(row: SuppressionRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "channel": row.channel,
        "address": row.address,
        "code": row.code,
        "reason": row.reason or "",
        "task": row.task_code,
        "since": _time(row.suppressed_at),
    }


@_command
def default(args: Namespace) -> None:
    """Show or change the sender configuration of push tasks that name none."""
    from airflow.utils.session import create_session

    from push_provider import default_configs
    from push_provider.channels.registry import get_channel
    from push_provider.ledger import defaults
    from push_provider.ledger.engine import get_engine

    engine = get_engine()
    if args.channel:
        get_channel(args.channel)
    if args.config:
        default_configs.make_default(engine, create_session, args.config, args.channel)
    marked = defaults.every(engine)
    _print(
        [
            {"channel": channel, "config": config, "is_marked": channel in marked}
            for channel, config in default_configs.current(engine).items()
            if args.channel in (None, channel)
        ],
        args,
    )


# --- Kafka ----------------------------------------------------------------------------------------------


@_command
def produce(args: Namespace) -> None:
    """Send messages to the topic that executions are started from."""
    from push_provider.kafka import connection as kafka
    from push_provider.kafka import producer

    conn_id = settings.kafka_conn_id()
    connection = _find(conn_id)
    if connection is None:
        raise ConfigurationError(kafka.missing(conn_id))
    topic = args.topic or kafka.Topics(settings.kafka_topics(), settings.dead_letter_topic()).first_name()
    values = [sys.stdin.buffer.read() if message == "-" else message.encode() for message in args.messages]
    key = args.key.encode() if args.key is not None else None
    answers = producer.send(connection, [producer.Outgoing(topic, value, key) for value in values])
    _print([answer._asdict() for answer in answers if isinstance(answer, producer.Place)], args)
    refused = [answer for answer in answers if isinstance(answer, str)]
    if refused:
        sys.exit(f"{len(refused)} of {len(answers)} were not taken by topic {topic}: {refused[0]}")


def _find(conn_id: str) -> Any:
    """A connection, not by the SDK's way, which leads through a task's supervisor; None if there is none."""
    from airflow.models.connection import Connection
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        return Connection.get_connection_from_secrets(conn_id)
    except AirflowNotFoundException:
        return None


@_command
def list_rejected(args: Namespace) -> None:
    """List messages that could not be used, newest first."""
    from push_provider.ledger import rejected
    from push_provider.ledger.engine import get_engine

    replayed = None if args.all else False
    rows = rejected.find(get_engine(), task=args.task, replayed=replayed, limit=args.limit, offset=args.offset)
    _print(
        [
            {
                "id": row.id,
                "topic": row.topic,
                "partition": row.partition,
                "offset": row.offset,
                "element": "" if row.element is None else row.element,
                "task": row.task_code or "",
                "reason": row.reason,
                "bytes": "" if row.size is None else row.size,
                "sent": _time(row.sent_at),
                "rejected": _time(row.rejected_at),
                "replayed": _time(row.replayed_at),
            }
            for row in rows
        ],
        args,
    )


@_command
def replay(args: Namespace) -> None:
    """Try rejected messages again."""
    from push_provider.kafka import admission, messages
    from push_provider.ledger import rejected
    from push_provider.ledger.engine import get_engine

    engine = get_engine()
    found = [rejected.get(engine, number) for number in args.ids]  # none is tried if there is none of one id
    rows, left = [], 0
    for number, message in zip(args.ids, found, strict=True):
        taken = admission.take(engine, messages.orders(message), replay=message.position, find=_find)
        left += len(taken.rejected)
        rows.append(
            {
                "id": number,
                "action": taken.action.replace("-", " "),
                "deliveries": taken.deliveries,
                "push_tasks": taken.defined,
                "reason": taken.reason or "",
            }
        )
    _make_runs()
    _print(rows, args)
    if left:
        sys.exit(1)


def _make_runs() -> None:
    """Make the DAG runs of executions that messages have begun; those that cannot be made now, push_kafka makes."""
    from push_provider.intake.starter import make_waiting
    from push_provider.ledger.engine import get_engine
    from push_provider.ledger.orders import SOURCE

    make_waiting(get_engine(), server_runs(), (SOURCE,))
