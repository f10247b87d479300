"""The docs say what is so: commands exist and parse, examples are sound, tables match the code."""

from __future__ import annotations

import configparser
import itertools
import json
import os
import re
import struct
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pages
import pytest
import yaml
from pydantic import TypeAdapter
from pydantic_core import PydanticUndefined

from push_provider.channels import registry
from push_provider.channels.email.content import Content
from push_provider.channels.email.services import find_service
from push_provider.channels.reading import parse
from push_provider.channels.sms.content import Parameters
from push_provider.cli import documents
from push_provider.contract import PushTask, Schedule
from push_provider.ledger.tables import DeliveryState, ExecutionState, TaskStatus
from push_provider.provider import get_provider_info
from push_provider.rendering import compile_content, freeze
from sandbox.sms_faults import NUMBERS

IMAGE_LIMIT = 300 * 1024
KNOWN_LANGUAGES = {"bash", "yaml", "json", "text", "ini", "python", "toml", "javascript"}

# Commands that are neither ours nor Airflow's: each is known here, and a new one must be looked at.
KNOWN_OTHERS = (
    r"python3 -m venv \.venv",
    r"\.venv/bin/python -m pip install -r requirements\.txt",
    r"\.venv/bin/python -m pip install --no-deps --editable \.",
    r"TOKEN=\$\(curl -s http://127\.0\.0\.1:8080/auth/token \| sed .+\)",
    r"docker compose( --profile mail| --profile workers)? up --build --detach( --scale worker=3)?",
    r"curl -s -X POST http://127\.0\.0\.1:8080/api/v2/dags/push__[a-z-]+/dagRuns .+",
    r"curl -s -X POST http://127\.0\.0\.1:8080/push/v1/tasks(/[a-z-]+/trigger)? .+",
    r'curl -s "http://127\.0\.0\.1:8080/push/v1/(executions|deliveries)\?task=[a-z-]+" .+',
)
each_page = pytest.mark.parametrize("page", pages.ALL)
each_language = pytest.mark.parametrize("docs", [pages.ENGLISH, pages.CHINESE], ids=["en", "zh-CN"])


# --- commands -----------------------------------------------------------------------------------------


@each_page
def test_every_command_is_known(page: str) -> None:
    for command in pages.Pages((page,)).commands():
        program = command.split()[0]
        if program.startswith("./scripts/"):
            path = pages.ROOT / program
            assert path.is_file(), command
            assert os.access(path, os.X_OK), command
        elif program != ".venv/bin/airflow":
            assert any(re.fullmatch(known, command) for known in KNOWN_OTHERS), command


@each_language
def test_every_airflow_command_parses(docs: pages.Pages, capsys: pytest.CaptureFixture[str]) -> None:
    from airflow.cli.cli_parser import get_parser

    calls = docs.airflow_arguments()
    assert len(calls) > 10
    for arguments in calls:
        try:
            get_parser().parse_args(arguments)
        except SystemExit:
            pytest.fail(f"{arguments}: {capsys.readouterr().err}")


@each_language
def test_airflow_push_is_shown_whole(docs: pages.Pages) -> None:
    from push_provider.cli.definition import get_push_cli_commands

    known = {command.name for command in get_push_cli_commands()[0].subcommands}
    assert {arguments[1] for arguments in docs.airflow_arguments() if arguments[0] == "push"} == known


def test_scripts_named_in_text_exist() -> None:
    for page in pages.ALL:
        for name in set(re.findall(r"\./scripts/(\w+)", pages.text(page))):
            assert os.access(pages.ROOT / "scripts" / name, os.X_OK), f"{page}: ./scripts/{name}"


@each_page
def test_every_benchmark_named_exists(page: str) -> None:
    named = re.findall(r"\./scripts/bench (\w+)(?:`, `(\w+)`, `(\w+)`, `(\w+)`)?", pages.text(page))
    for name in filter(None, itertools.chain(*named)):
        assert (pages.ROOT / "scripts" / "benchmarks" / f"{name}.py").is_file(), name


@each_language
def test_connections_name_services_that_exist(docs: pages.Pages) -> None:
    named = set()
    for arguments in docs.airflow_arguments():
        if arguments[:2] == ["connections", "add"]:
            extra = json.loads(arguments[arguments.index("--conn-extra") + 1])
            named.add(extra.get("service"))
    assert named == {"QQ", "163", "Gmail", None}
    assert all(find_service(name) for name in named - {None})


@each_language
def test_curl_sends_what_airflow_takes(docs: pages.Pages) -> None:
    from push_provider.channels.reading import parse_trigger

    (command,) = [command for command in docs.commands() if "/api/v2/" in command]
    body = json.loads(command.split("-d '", 1)[1].removesuffix("'"))
    assert body["logical_date"] is None
    assert parse_trigger(body["conf"], channel="email").recipients
    code = urlsplit(command.split()[4]).path.split("/")[4].removeprefix("push__")
    assert code in {task.code for task in documents.read([str(path) for path in EXAMPLES])}


@each_language
def test_curl_sends_what_our_api_takes(docs: pages.Pages) -> None:
    from push_provider.channels.reading import parse_trigger

    ours = [command for command in docs.commands() if "-X POST http://127.0.0.1:8080/push/" in command]
    inject, trigger = [json.loads(command.split("-d '", 1)[1].removesuffix("'")) for command in ours]
    said = parse_trigger(trigger, channel="email")
    renders(parse(inject).model_copy(update={"recipients": said.recipients, "variables": said.variables}))


_ROUTES = """
import json
from push_provider.api.app import create_app
routes = [route for route in create_app().routes if route.path.startswith("/v1/")]
print("RESULT" + json.dumps([f"{method} {route.path[3:]}" for route in routes for method in route.methods]))
"""


@each_language
@pytest.mark.slow
def test_calls_of_the_api_are_listed(docs: pages.Pages) -> None:
    # In a process of its own: it brings the whole of Airflow's API server along.
    done = subprocess.run([sys.executable, "-c", _ROUTES], capture_output=True, text=True, check=True)
    real = json.loads(done.stdout.rpartition("RESULT")[2])
    assert sorted(row[0].strip("`") for row in docs.table("calls")) == sorted(real)


@each_language
def test_requirements_named_exist(docs: pages.Pages) -> None:
    named = re.findall(r"pip install -r (\S+)", "\n".join(docs.commands()))
    assert named
    assert all((pages.ROOT / name).is_file() for name in named)


# --- examples and settings ----------------------------------------------------------------------------

EXAMPLES = sorted((pages.ROOT / "include" / "tasks").glob("*.yaml"))


@each_language
def test_code_blocks_are_of_languages_that_are_checked(docs: pages.Pages) -> None:
    assert set(docs.languages()) <= KNOWN_LANGUAGES


@each_language
def test_yaml_is_a_task_and_renders(docs: pages.Pages) -> None:
    blocks = docs.blocks("yaml")
    assert blocks
    for block in blocks:
        renders(parse(yaml.safe_load(block)))


@each_language
def test_toml_is_what_the_sample_channel_has(docs: pages.Pages) -> None:
    sample = tomllib.loads((pages.ROOT / "tests/samples/webhook_channel/pyproject.toml").read_text())
    blocks = docs.blocks("toml")
    assert blocks
    for block in blocks:
        assert tomllib.loads(block)["project"]["entry-points"] == sample["project"]["entry-points"]


@each_language
def test_python_makes_tasks_of_push_tasks_that_are_there(docs: pages.Pages) -> None:
    from airflow.sdk import DAG

    from push_provider.operators.begin import PushOperator

    blocks = docs.blocks("python")
    assert blocks
    for block in blocks:
        with DAG("of_the_docs") as dag:
            exec(compile(block, "docs", "exec"), {})
        operators = [one for one in dag.tasks if isinstance(one, PushOperator)]
        assert operators
        assert {one.push_task for one in operators} <= {path.stem for path in EXAMPLES}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_render(path: Any) -> None:
    for task in documents.read([str(path)]):
        renders(task)


def renders(task: PushTask) -> None:
    """Every recipient's message can be made, or, where a trigger names them, anybody's."""
    include = pages.ROOT / "include"
    facts = {"code": task.code, "name": task.name, "execution": 1, "scheduled_for": None}
    if task.channel == "sms":
        sms = compile_content(task, {}, push=facts)
        assert isinstance(sms, Parameters)
        for to, variables in [(r.to, r.variables) for r in task.recipients] or [("13800138000", {"order": "A-1"})]:
            assert all(sms.render(to, variables).values())
        return
    if task.channel in ("websocket", "app"):
        live = compile_content(task, {}, push=facts)
        for to, variables in [(r.to, r.variables) for r in task.recipients] or [("lilei", {})]:
            assert "{{" not in json.dumps(live.preview(to, variables))
        return
    content = Content(task, freeze(task, include=include), push=facts, include=include)
    for to, variables in [(r.to, r.variables) for r in task.recipients] or [("buyer@example.com", {})]:
        message = content.render(to, variables)
        assert message.subject.strip()
        assert message.text.strip()
        assert "{{" not in message.subject + message.text + (message.html or "")


@each_language
def test_settings_exist(docs: pages.Pages) -> None:
    from airflow.configuration import conf

    (block,) = docs.blocks("ini")
    settings = configparser.ConfigParser(interpolation=None)
    settings.read_string(block)
    push = get_provider_info()["config"]["push"]["options"]
    for section in settings.sections():
        for option in settings[section]:
            known = option in push if section == "push" else conf.has_option(section, option)
            # Airflow derives this one, and it takes part in no list of defaults.
            assert known or option == "sql_alchemy_conn_async", f"[{section}] {option}"
    bundles = json.loads(settings["dag_processor"]["dag_bundle_config_list"])
    for path in [bundle["classpath"] for bundle in bundles] + [settings["core"]["executor"]]:
        module, _, name = path.rpartition(".")
        assert hasattr(import_module(module), name), path


@each_language
def test_options_of_push_are_listed(docs: pages.Pages) -> None:
    (rows,) = [table for table in docs.tables() if "`[push]`" in table[0][0]]
    named = [row[0].strip("`") for row in rows[2:]]
    assert named == list(get_provider_info()["config"]["push"]["options"])
    for row in rows[2:]:
        default = get_provider_info()["config"]["push"]["options"][row[0].strip("`")]["default"]
        assert not default or row[2] == f"`{default}`", row


@each_language
def test_kafka_messages_are_understood(docs: pages.Pages) -> None:
    from push_provider.kafka import messages
    from push_provider.ledger.orders import Define, Start

    (block,) = docs.blocks("json")
    produced = [call[2] for call in docs.airflow_arguments() if call[:2] == ["push", "produce"]]
    orders = [order for text in [block, *produced] for order in messages.read("t", 0, 0, text.encode())]
    assert [type(order) for order in orders] == [Start, Start, Define, Start]
    known = {task.code for task in documents.read([str(path) for path in EXAMPLES])}
    for order in orders:
        if isinstance(order, Start):
            assert order.code in known
        elif isinstance(order, Define):
            renders(order.task)


# --- tables -------------------------------------------------------------------------------------------


@each_language
def test_fields_and_defaults(docs: pages.Pages) -> None:
    rows = docs.table("fields")
    assert sorted(row[0].strip("`") for row in rows) == sorted(registry.all_fields())
    models = [registry.task_model(name) for name in registry.names()]
    fields = {name: field for model in models for name, field in model.model_fields.items()}
    fields |= PushTask.model_fields
    shown = {}
    for model in models:
        shown |= model.model_construct().model_dump(mode="json", warnings=False)
    for name, default, meaning in rows:
        field = fields[name.strip("`")]
        assert meaning
        if field.default_factory is not None:
            assert default in ("generated", "自动生成"), name
        elif field.default is PydanticUndefined:
            assert default in ("**required**", "**必填**"), name
        elif field.default is None:
            assert default == "–", name
        else:
            assert json.loads(default.strip("`")) == shown[name.strip("`")], name


@each_language
def test_schedules(docs: pages.Pages) -> None:
    (rows,) = [table for table in docs.tables() if table[0][0] == "`schedule`"]
    schedules: TypeAdapter[Any] = TypeAdapter(Schedule)
    kinds = [schedules.validate_python(json.loads(row[0].strip("`"))).kind for row in rows[2:]]
    assert sorted(kinds) == sorted(["now", "at", "hourly", "daily", "cron", "manual"])


@pytest.mark.parametrize(
    ("heads", "states"),
    [
        (("delivery", "投递状态"), DeliveryState),
        (("execution", "执行状态"), ExecutionState),
        (("push task", "任务状态"), TaskStatus),
    ],
)
@each_language
def test_states(docs: pages.Pages, heads: tuple[str, str], states: Any) -> None:
    (rows,) = [table for table in docs.tables() if table[0][0] in heads]
    assert {row[0].strip("`") for row in rows[2:]} == {state.value for state in states}


@each_language
def test_numbers_that_fail(docs: pages.Pages) -> None:
    (rows,) = [table for table in docs.tables() if table[0][0] in ("number", "号码")]
    assert [row[0].strip("`…") for row in rows[2:]] == list(NUMBERS)
    for number, what in rows[2:]:
        outcome = NUMBERS[number.strip("`…")]
        code = outcome.refused or (outcome.receipt_code if outcome.receipt_code != "DELIVERED" else "")
        assert code in what


@each_language
def test_environment_variables(docs: pages.Pages) -> None:
    source = (pages.ROOT / "sandbox" / "platform.py").read_text()
    (rows,) = [table for table in docs.tables() if any("PUSH_PORT" in row[0] for row in table)]
    for variable, _, default in rows[2:]:
        name, value = variable.strip("`"), default.strip("`")
        assert f'"{name}"' in source
        assert value == ".airflow" or f'"{name}", {value})' in source


@each_language
def test_47_services(docs: pages.Pages) -> None:
    from push_provider.channels.email.services import service_names

    assert re.search(rf"\b{len(service_names())}\b", docs.text())


# --- both languages -----------------------------------------------------------------------------------


def test_both_languages_have_the_same_pages() -> None:
    english, chinese = ([Path(page).name for page in docs.names[1:]] for docs in (pages.ENGLISH, pages.CHINESE))
    assert english == chinese
    assert len(english) > 10


@pytest.mark.parametrize(("english", "chinese"), list(zip(pages.ENGLISH.names, pages.CHINESE.names, strict=True)))
def test_both_languages_say_the_same(english: str, chinese: str) -> None:
    both = [pages.Pages((page,)) for page in (english, chinese)]
    assert both[0].commands() == both[1].commands()
    for language in ("yaml", "json", "ini", "text", "python", "javascript"):
        assert both[0].blocks(language) == both[1].blocks(language)
    lengths = [[len(table) for table in page.tables()] for page in both]
    assert lengths[0] == lengths[1]
    comments = [re.findall(r"<!-- [\w-]+ -->", page.text()) for page in both]
    assert comments[0] == comments[1]
    headings = [re.findall(r"^#+ ", page.text(), re.MULTILINE) for page in both]
    assert headings[0] == headings[1]


def test_both_languages_have_the_same_defaults() -> None:
    both = (pages.ENGLISH, pages.CHINESE)
    defaults = [[row[:2] for row in docs.table("fields") if row[1].startswith("`")] for docs in both]
    assert defaults[0] == defaults[1]


@each_language
def test_every_page_leads_to_the_other_language(docs: pages.Pages) -> None:
    other = pages.CHINESE if docs == pages.ENGLISH else pages.ENGLISH
    for page, twin in zip(docs.names, other.names, strict=True):
        assert next(pages.links(page)) == (twin, "")


@each_language
def test_the_readme_leads_to_every_page(docs: pages.Pages) -> None:
    assert set(docs.names[1:]) <= {page for page, _ in pages.links(docs.names[0])}


# --- links and pictures -------------------------------------------------------------------------------


@each_page
def test_links_lead_somewhere(page: str) -> None:
    for path, anchor in pages.links(page):
        assert (pages.ROOT / path).exists(), path
        if anchor:
            assert anchor in pages.anchors(path), f"{path}#{anchor}"


@each_language
def test_pictures_are_there_and_small(docs: pages.Pages) -> None:
    assert len([path for path, _ in pages.links(docs.names[0]) if path.endswith(".png")]) >= 2
    pictures = [path for page in docs.names for path, _ in pages.links(page) if path.endswith(".png")]
    for picture in pictures:
        content = (pages.ROOT / picture).read_bytes()
        assert content.startswith(b"\x89PNG\r\n\x1a\n")
        assert len(content) < IMAGE_LIMIT
        width, height = struct.unpack(">II", content[16:24])
        assert min(width, height) > 400


def test_licence_is_the_one_that_the_package_names() -> None:
    licence = pages.text("LICENSE")
    assert "Apache License" in licence
    assert "Version 2.0, January 2004" in licence
    assert 'license = "Apache-2.0"' in pages.text("pyproject.toml")


def test_changelog_has_an_unreleased_section() -> None:
    assert re.search(r"^## \[Unreleased\]\n\n### Added\n\n- ", pages.text("CHANGELOG.md"), re.MULTILINE)


def test_no_page_names_a_place_of_this_machine() -> None:
    for page in pages.ALL:
        assert not re.search(r"(?<![\w.])/(work|tmp|root|home)/", pages.text(page)), page
