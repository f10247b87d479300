"""Push tasks as DAGs: what Airflow's DAG bag makes of the bundle's files, and keeps of the DAGs it found."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from airflow.api_fastapi.core_api.datamodels.dags import DAGResponse
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import AirflowFailException
from airflow.serialization.serialized_objects import DagSerialization
from markdown_it import MarkdownIt
from sqlalchemy import cast, func, update
from sqlalchemy.dialects.postgresql import JSONB

from push_provider import parses
from push_provider.bundle import PushTaskBundle, shard_file
from push_provider.channels.reading import parse
from push_provider.cli import documents
from push_provider.ledger import definitions, shards, tasks
from push_provider.ledger.tables import push_task, shard_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from airflow.sdk import DAG
    from airflow.serialization.definitions.dag import SerializedDAG
    from sqlalchemy import Engine

EXAMPLES = Path(__file__).resolve().parents[1] / "include" / "tasks"
NOW = datetime(2026, 7, 1, 5, 25, tzinfo=UTC)
SECRET_ADDRESS, SECRET_CONTENT = "somebody@example.com", "nobody else is to read this"


class Desk:
    """A ledger, a bundle on it, and Airflow's DAG bag of its files."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.bundle = PushTaskBundle(name="push")

    def apply(self, code: str, **fields: Any) -> None:
        smallest = {"code": code, "name": code, "channel": "email", "subject": "s", "content": SECRET_CONTENT}
        task = parse({"recipients": [SECRET_ADDRESS], **smallest, **fields})
        definitions.apply(self.engine, task, now=NOW, default_timezone="UTC")

    def damage(self, code: str, field: str, value: Any) -> None:
        """Store what this version refuses or does not understand, as another version might have."""
        column = push_task.c.spec
        with self.engine.begin() as connection:
            connection.execute(
                update(push_task)
                .where(push_task.c.code == code)
                .values(spec=func.jsonb_set(column, [field], cast(value, JSONB)))
            )
            shards.changed(connection, code)

    def load(self, code: str | None = None) -> DagBag:
        """Load all files, or the one of a task."""
        self.bundle.initialize()
        path = self.bundle.path if code is None else self.bundle.path / shard_file(shard_of(code))
        return DagBag(dag_folder=str(path), bundle_path=self.bundle.path, bundle_name="push", load_op_links=False)

    def dag(self, code: str, **fields: Any) -> DAG:
        """The DAG of a task with these fields."""
        self.apply(code, **fields)
        bag = self.load(code)
        assert bag.import_errors == {}
        return bag.dags[f"push__{code}"]

    def is_noted(self, code: str) -> bool:
        """Whether the parse left word that it saw the shard as it is."""
        parse = parses.latest(self.bundle.path, shard_of(code))
        return parse is not None and parse.revision == shards.revisions(self.engine)[shard_of(code)][0]


@pytest.fixture
def desk(ledger: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setenv("AIRFLOW__PUSH__BUNDLE_DIR", str(tmp_path / "push_dags"))
    return Desk(ledger)


def neighbours(code: str, count: int) -> list[str]:
    """Codes of tasks in the same file."""
    codes = (f"neighbour-{n}" for n in range(100_000))
    found = (other for other in codes if shard_of(other) == shard_of(code))
    return [next(found) for _ in range(count)]


def stored(dag: DAG) -> SerializedDAG:
    """The DAG as the scheduler and the API server see it: written as JSON, checked, and read back."""
    document = DagSerialization.to_dict(dag)
    DagSerialization.validate_schema(document)
    return DagSerialization.from_dict(json.loads(json.dumps(document)))


def first_run(dag: DAG) -> datetime | None:
    """When the scheduler makes the first run."""
    info = stored(dag).next_dagrun_info(last_automated_run_info=None)
    return info and info.run_after


# --- a task as a DAG --------------------------------------------------------------------------------------


def test_a_whole_task(desk: Desk) -> None:
    dag = desk.dag(
        "whole",
        name="每日报告 / Daily",
        execution={"type": "loop", "max_executions": 3},
        schedule={"kind": "daily", "time": "09:00", "timezone": "Asia/Shanghai"},
        missed="all",
        max_active_runs=4,
        app="billing",
        owner="Ann",
        retries=5,
        retry_delay=30,
    )
    for seen in (dag, stored(dag)):
        assert seen.dag_id == "push__whole"
        assert seen.dag_display_name == "每日报告 / Daily"
        assert seen.description == "email: s to 1 recipient"
        assert set(seen.tags) == {"push", "email", "app:billing"}
        assert seen.max_active_runs == 4
        assert seen.catchup is True
        assert seen.is_paused_upon_creation is False
        assert list(seen.task_dict) == ["send"]
        task = seen.task_dict["send"]
        assert (task.task_type, task.owner, task.retries) == ("EmailPushOperator", "Ann", 5)
        assert task.retry_delay == timedelta(seconds=30)
        assert task.retry_exponential_backoff
        assert task.max_retry_delay == timedelta(hours=1)
    assert first_run(dag) == datetime(2026, 7, 2, 1, tzinfo=UTC)
    assert desk.is_noted("whole")


def test_a_smallest_task(desk: Desk) -> None:
    seen = stored(desk.dag("smallest"))
    assert set(seen.tags) == {"push", "email"}
    assert (seen.max_active_runs, seen.catchup) == (1, False)
    task = seen.task_dict["send"]
    assert (task.owner, task.retries, task.retry_delay) == ("push", 3, timedelta(minutes=1))
    assert (task.pool, task.priority_weight) == ("default_pool", 1)


def test_marketing_has_a_pool_of_its_own_and_comes_after_service(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def lane(code: str, **fields: Any) -> tuple[str, int, bool]:
        seen = stored(desk.dag(code, **fields))
        task = seen.task_dict["send"]
        return task.pool, task.priority_weight, "push:marketing" in seen.tags

    assert lane("later", category="marketing") == ("push_marketing", 0, True)
    assert lane("changed", category="marketing") == ("push_marketing", 0, True)
    assert lane("changed", category="service") == ("default_pool", 1, False)
    monkeypatch.setenv("AIRFLOW__PUSH__MARKETING_POOL", "slow")
    monkeypatch.setenv("AIRFLOW__PUSH__SERVICE_POOL", "urgent")
    assert lane("later", category="marketing") == ("slow", 0, True)
    assert lane("changed", category="service") == ("urgent", 1, False)


def test_a_task_of_an_earlier_version_is_a_service(desk: Desk) -> None:
    desk.apply("old")
    with desk.engine.begin() as connection:
        connection.execute(update(push_task).values(spec=push_task.c.spec.op("-")("category")))
        shards.changed(connection, "old")
    task = stored(desk.load("old").dags["push__old"]).task_dict["send"]
    assert (task.pool, task.priority_weight) == ("default_pool", 1)


@pytest.mark.parametrize(
    ("schedule", "due"),
    [
        ({"kind": "now"}, NOW),
        ({"kind": "at", "at": "2026-07-03T09:00:00+08:00"}, datetime(2026, 7, 3, 1, tzinfo=UTC)),
        ({"kind": "hourly", "minute": 45}, datetime(2026, 7, 1, 6, 45, tzinfo=UTC)),
        ({"kind": "daily", "time": "09:00"}, datetime(2026, 7, 2, 9, tzinfo=UTC)),
        ({"kind": "cron", "cron": "30 9 * * mon"}, datetime(2026, 7, 6, 9, 30, tzinfo=UTC)),
        ({"kind": "manual"}, None),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else "",
)
def test_the_first_run(desk: Desk, schedule: Mapping[str, Any], due: datetime | None) -> None:
    assert first_run(desk.dag("timed", schedule=schedule, execution={"type": "loop"})) == due


def test_the_default_time_zone_is_airflow_s(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__DEFAULT_TIMEZONE", "Asia/Shanghai")
    dag = desk.dag("zone", schedule={"kind": "daily", "time": "09:00"})
    assert first_run(dag) == datetime(2026, 7, 2, 1, tzinfo=UTC)


def test_a_closed_task_has_no_schedule_any_more(desk: Desk) -> None:
    assert first_run(desk.dag("closed")) == NOW
    tasks.cancel(desk.engine, "closed")
    assert not desk.is_noted("closed")
    assert first_run(desk.load("closed").dags["push__closed"]) is None
    assert desk.is_noted("closed")


@pytest.mark.slow
def test_a_long_delay_of_retries_is_not_cut_short(desk: Desk) -> None:
    task = desk.dag("patient", retry_delay=7200).get_task("send")
    assert (task.retry_delay, task.max_retry_delay) == (timedelta(hours=2), timedelta(hours=2))


@pytest.mark.parametrize(
    ("fields", "owner", "tags"),
    [
        ({"app": "shop"}, "shop", {"app:shop"}),
        ({"owner": "Ann", "app": "x" * 200}, "Ann", {"app:" + "x" * 96}),  # Airflow's tags have at most 100 characters
        ({"owner": "Zhang, Wei"}, "Zhang Wei", set()),
        ({"owner": "张伟，李娜"}, "张伟，李娜", set()),
        ({"owner": ", ,", "app": "a,b"}, "a b", {"app:a,b"}),
        ({"owner": ","}, "push", set()),
    ],
)
def test_owner_and_app(desk: Desk, fields: Mapping[str, Any], owner: str, tags: set[str]) -> None:
    dag = desk.dag("owned", **fields)
    assert dag.get_task("send").owner == owner
    assert DAGResponse.get_owners(stored(dag).owner) == [owner]  # as Airflow's API tells the page
    assert set(dag.tags) == {"push", "email"} | tags


@pytest.mark.parametrize("count", [0, 1, 2])
def test_the_number_of_recipients_is_told(desk: Desk, count: int) -> None:
    people = [f"{n}@example.com" for n in range(count)]
    dag = desk.dag("people", recipients=people, schedule={"kind": "manual"})
    assert (dag.description or "").endswith(f" {count} recipient" if count == 1 else f" {count} recipients")
    assert f"{count} of its own" in (dag.doc_md or "")
    own = dag.params.get_param("recipients").description
    assert (f"the task's own {count} get the message" in str(own)) is (count > 0)
    assert ("name at least one" in str(own)) is (count == 0)


def test_a_dag_holds_neither_recipients_nor_content(desk: Desk) -> None:
    dag = desk.dag("private", variables={"token": "seventeen"}, attachments=["secret.pdf"])
    document = json.dumps(DagSerialization.to_dict(dag))
    for secret in (SECRET_ADDRESS, SECRET_CONTENT, "seventeen", "secret.pdf"):
        assert secret not in document


# --- the form of a manual run -----------------------------------------------------------------------------


FORM: list[tuple[str, Any, bool]] = [
    ("recipients", None, True),
    ("recipients", [], True),
    ("recipients", ["a@example.com", {"to": "b@example.com", "variables": {"name": "B"}}], True),
    ("recipients", [{"to": "b@example.com"}], True),
    ("recipients", "a@example.com", False),
    ("recipients", ["", "a@example.com"], True),  # an empty line of the form
    ("recipients", [{"variables": {}}], False),
    ("recipients", [{"to": "b@example.com", "cc": "c@example.com"}], False),
    ("variables", None, True),
    ("variables", {"order": {"id": 7}}, True),
    ("variables", [1], False),
]


def test_the_form_of_a_manual_run(desk: Desk) -> None:
    params = stored(desk.dag("form")).params
    for name, value, fits in FORM:
        schema = params.get_param(name).schema
        assert schema["title"]
        assert jsonschema.Draft202012Validator(schema).is_valid(value) is fits, (name, value)


def test_the_form_names_the_variables(desk: Desk) -> None:
    fields = {"subject": "{{ shop }}", "content": "{{ name }}{% for one in lines %}{{ one }}{% endfor %}"}
    params = stored(desk.dag("names", **fields, variables={"url": "x", "name": "y"})).params
    assert (params.get_param("variables").description or "").endswith("It speaks of: lines, name, shop, url.")


def test_an_untouched_form_says_nothing(desk: Desk) -> None:
    dag = desk.dag("untouched")
    assert dag.params.dump() == {"recipients": [], "variables": {}}


# --- many tasks, and what a process asks for --------------------------------------------------------------


def test_the_dag_processor_builds_all_of_a_shard(desk: Desk) -> None:
    codes = ["one", *neighbours("one", 2)]
    for code in codes:
        desk.apply(code)
    bag = desk.load("one")
    assert bag.import_errors == {}
    assert bag.captured_warnings == {}
    assert sorted(bag.dags) == sorted(f"push__{code}" for code in codes)
    assert desk.is_noted("one")


def test_a_task_process_builds_only_the_dag_it_runs(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for code in ("one", *neighbours("one", 2)):
        desk.apply(code)
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "push__one")
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_TASK_ID", "send")
    bag = desk.load("one")
    assert list(bag.dags) == ["push__one"]
    assert not desk.is_noted("one")  # the DAG processor has not seen it


@pytest.mark.parametrize("asked", ["push__other", "other", "push__", "", "push__one "])
def test_a_task_process_finds_no_other_dag(desk: Desk, monkeypatch: pytest.MonkeyPatch, asked: str) -> None:
    desk.apply("one")
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", asked)
    bag = desk.load("one")
    assert (bag.dags, bag.import_errors) == ({}, {})
    assert not desk.is_noted("one")


def test_a_parse_that_cannot_be_noted_has_its_dags_all_the_same(desk: Desk) -> None:
    """As on a full disk: the bundle has the file parsed until it is noted."""
    desk.apply("one")
    desk.bundle.initialize()
    note = desk.bundle.path / f".{shard_file(shard_of('one')).removesuffix('.py')}.parse"
    (note / "in the way").mkdir(parents=True)
    bag = desk.load("one")
    assert (set(bag.dags), bag.import_errors) == ({"push__one"}, {})
    assert not desk.is_noted("one")
    (note / "in the way").rmdir()
    note.rmdir()
    desk.load("one")
    assert desk.is_noted("one")


def test_without_the_ledger_the_file_has_an_import_error(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.apply("one")
    desk.bundle.initialize()
    monkeypatch.setenv("AIRFLOW__PUSH__SQL_ALCHEMY_CONN", f"postgresql://u@/d?host={desk.bundle.path}")
    bag = desk.load("one")
    assert bag.dags == {}
    ((file, text),) = bag.import_errors.items()
    assert file == shard_file(shard_of("one"))
    assert "LedgerUnavailable" in text


# --- what cannot be built ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("schedule", {"kind": "never"}, "schedule.kind: 'never' is none of"),
        ("channel", "pigeon", "channel: must be 'email'"),
        ("smell", "roses", "smell: is not a field here"),
        ("schedule", {"kind": "daily", "time": "09:00", "timezone": "Mars/Base"}, "is not a time zone"),
    ],
)
def test_a_broken_task_shows_its_error_and_harms_no_other(desk: Desk, field: str, value: Any, reason: str) -> None:
    good = neighbours("broken", 2)
    for code in ("broken", *good):
        desk.apply(code)
    desk.damage("broken", field, value)
    bag = desk.load("broken")
    assert bag.import_errors == {}
    assert sorted(bag.dags) == sorted(f"push__{code}" for code in ("broken", *good))
    assert desk.is_noted("broken")
    for code in good:
        assert stored(bag.dags[f"push__{code}"]).task_dict["send"].task_type == "EmailPushOperator"
    dag = bag.dags["push__broken"]
    seen = stored(dag)
    assert reason in (seen.description or "")
    assert first_run(dag) is None
    assert set(seen.tags) == {"push", "push:broken"}
    assert seen.task_dict["send"].retries == 0
    assert reason in shown(seen.doc_md)
    with pytest.raises(AirflowFailException, match="Push task 'broken' cannot be built: ") as failed:
        dag.get_task("send").execute({})
    assert reason in str(failed.value)


# --- text from users --------------------------------------------------------------------------------------

# fmt: off
HARMLESS = {
    "heading_open", "heading_close", "paragraph_open", "paragraph_close", "inline", "text", "text_special", "softbreak",
    "code_inline", "table_open", "table_close", "thead_open", "thead_close", "tbody_open", "tbody_close",
    "tr_open", "tr_close", "th_open", "th_close", "td_open", "td_close",
}
# fmt: on
HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "![x](https://evil.example/pixel.png)",
    "[click](javascript:alert(1))",
    "<https://evil.example>",
    "| a | b |",
    "`code` ``` fence",
    "# heading",
    "**bold** _em_ ~~gone~~",
    "&lt;b&gt; &#60; &amp;",
    "a \\| b \\` c \\",
    "---",
    "1. one",
    "$(x) {{ conn.x }} {% raw %}",
    "a\tb\x0bc\x85d\u2028e",
    "[ref]: https://evil.example",
    "‮right to left",
]


def tokens(markdown: str | None) -> Iterable[Any]:
    """What a reader of markdown with tables, and with HTML, sees."""
    reader = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    for token in reader.parse(markdown or ""):
        yield token
        yield from token.children or ()


def shown(markdown: str | None) -> str:
    """The text that is shown."""
    return "\n".join(
        "".join("\n" if child.type == "softbreak" else child.content for child in token.children or [token])
        for token in tokens(markdown)
        if token.type == "inline"
    )


def check_harmless(seen: SerializedDAG, *expected: str) -> None:
    """The notes hold plain text only, and in it what is expected, as one line each; the description is one line."""
    assert {token.type for token in tokens(seen.doc_md)} <= HARMLESS
    lines = [" ".join(line.split()) for line in shown(seen.doc_md).split("\n")]
    for text in expected:
        assert " ".join(text.split()) in lines
    assert not {"\n", "\r"} & set(seen.description or "")
    assert len(seen.description or "") <= 1000


def test_text_of_users_is_shown_and_nothing_more(desk: Desk) -> None:
    for number, text in enumerate(HOSTILE):
        desk.apply(f"hostile-{number}", subject=text)
        for field in ("name", "owner", "app", "config"):  # control characters are refused there since
            desk.damage(f"hostile-{number}", field, text)
    bag = desk.load()
    assert bag.import_errors == {}
    assert len(bag.dags) == len(HOSTILE)
    for number, text in enumerate(HOSTILE):
        seen = stored(bag.dags[f"push__hostile-{number}"])
        assert seen.dag_display_name == text.strip()
        check_harmless(seen, text, text)
        cells = [cell for cell in shown(seen.doc_md).split("\n") if cell]
        assert len(cells) == 1 + 2 * 7 + 3  # the heading, the table's rows, the last lines


def test_a_configuration_of_many_lines_stays_one_cell(desk: Desk) -> None:
    desk.apply("lines")
    desk.damage("lines", "config", "a\n\n# b\n<b>c</b> | `d` |\r\ne")  # refused since
    seen = stored(desk.load("lines").dags["push__lines"])
    check_harmless(seen, "a # b <b>c</b> | `d` | e")


def test_an_error_that_quotes_users_is_shown_and_nothing_more(desk: Desk) -> None:
    hostile = [*HOSTILE, "x\n```\n<b>y</b>\n# z", "~~~\n# z", "x" * 5000]
    for number, text in enumerate(hostile):
        desk.apply(f"broken-{number}")
        desk.damage(f"broken-{number}", text, 1)
        desk.damage(f"broken-{number}", "schedule", {"kind": text})
    bag = desk.load()
    assert bag.import_errors == {}
    assert len(bag.dags) == len(hostile)
    for number in range(len(hostile)):
        seen = stored(bag.dags[f"push__broken-{number}"])
        assert "is none of" in shown(seen.doc_md)
        check_harmless(seen)


def test_the_longest_texts_fit(desk: Desk) -> None:
    seen = stored(desk.dag("long", name="n" * 200, subject="s" * 1000, owner="o" * 200, app="a" * 200))
    check_harmless(seen, "n" * 200, "s" * 1000)


# --- the examples -----------------------------------------------------------------------------------------


def test_every_example_becomes_a_dag(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__PUSH__INCLUDE_DIR", str(EXAMPLES.parent))
    examples = documents.read([str(path) for path in sorted(EXAMPLES.glob("*.yaml"))])
    assert len(examples) >= 3
    for task in examples:
        definitions.apply(desk.engine, task, now=NOW, default_timezone="UTC")
    bag = desk.load()
    assert bag.import_errors == {}
    assert bag.captured_warnings == {}
    assert sorted(bag.dags) == sorted(task.dag_id for task in examples)
    for task in examples:
        dag = bag.dags[task.dag_id]
        document = DagSerialization.to_dict(dag)
        again = DagSerialization.from_dict(json.loads(json.dumps(document)))
        assert (again.dag_display_name, again.max_active_runs) == (task.name, task.max_active_runs)
        assert "push:broken" not in again.tags
        assert again.task_dict["send"].task_type == f"{task.channel.capitalize()}PushOperator"
        assert (first_run(dag) is None) == (task.schedule.kind == "manual")
        # What Airflow compares to know whether a DAG has changed.
        assert DagSerialization.to_dict(desk.load(task.code).dags[task.dag_id]) == document
