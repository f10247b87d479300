"""What Airflow makes of the provider info: its schemas, its providers manager, its configuration."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from importlib.metadata import distribution, entry_points, version
from pathlib import Path
from typing import Any

import airflow
import jsonschema
import pytest
from airflow.providers_manager import ProvidersManager

from push_provider import provider, settings
from push_provider.channels.email.account import email_config
from push_provider.channels.email.services import find_service

AIRFLOW = Path(airflow.__file__).parent
INFO = provider.get_provider_info()
(PUSH_EMAIL,) = [one for one in INFO["connection-types"] if one["connection-type"] == "push_email"]
OPTIONS = INFO["config"]["push"]["options"]


def schema(name: str) -> dict[str, Any]:
    """One of Airflow's JSON schemas."""
    return json.loads((AIRFLOW / name).read_text())


@pytest.fixture(scope="module")
def manager() -> ProvidersManager:
    """Airflow's register of installed providers."""
    return ProvidersManager()


def test_the_info_fits_airflow_s_schema() -> None:
    jsonschema.validate(INFO, schema("provider_info.schema.json"))


def test_every_option_fits_airflow_s_schema_to_the_letter() -> None:
    # The schema of provider info misspells additionalProperties, and forgives what this does not.
    option = {**schema("provider_info.schema.json")["definitions"]["option"], "additionalProperties": False}

    for described in OPTIONS.values():
        jsonschema.validate(described, option)


def test_the_connection_form_fits_airflow_s_schema() -> None:
    form = schema("provider.yaml.schema.json")["properties"]["connection-types"]

    jsonschema.validate(INFO["connection-types"], form)


def test_airflow_lists_the_provider(manager: ProvidersManager) -> None:
    info = manager.providers["airflow-push-provider"]

    assert info.version == version("airflow-push-provider")
    assert {key: info.data[key] for key in INFO} == INFO
    assert distribution("airflow-push-provider").metadata["Name"] == INFO["package-name"]
    (entry,) = [
        one
        for one in entry_points(group="apache_airflow_provider")
        if one.dist and one.dist.name == INFO["package-name"]
    ]
    assert entry.load() is provider.get_provider_info


@pytest.mark.slow
def test_airflow_loads_everything_without_a_warning() -> None:
    """In a process of its own: Airflow says these things once, when it first looks."""
    script = (
        "import json, warnings\n"
        "warnings.simplefilter('always')\n"
        "from airflow.providers_manager import ProvidersManager\n"
        "from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime\n"
        "hook = ProvidersManagerTaskRuntime().hooks['push_email']\n"
        "manager = ProvidersManager()\n"
        "manager.initialize_providers_hooks()\n"
        "commands = [f.__module__ for f in manager.cli_command_functions]\n"
        "print('RESULT' + json.dumps([hook._asdict(), commands]))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    *said, result = done.stdout.strip().splitlines()
    hook, commands = json.loads(result.removeprefix("RESULT"))

    assert hook["hook_class_name"] == "push_provider.hooks.email.PushEmailHook"
    assert (hook["hook_name"], hook["connection_id_attribute_name"]) == ("Push Email", "smtp_conn_id")
    assert (hook["package_name"], hook["connection_testable"]) == ("airflow-push-provider", True)
    assert "push_provider.cli.definition" in commands
    assert [line for line in [*said, *done.stderr.splitlines()] if "push" in line.lower()] == []


def test_the_form_that_airflow_shows(manager: ProvidersManager) -> None:
    manager.initialize_providers_hooks()
    fields = {
        widget.field_name: widget.field
        for key, widget in manager._connection_form_widgets.items()
        if key.startswith("extra__push_email__")
    }
    behaviour = manager._field_behaviours["push_email"]

    assert fields.keys() == PUSH_EMAIL["conn-fields"].keys()
    assert fields["service"]["schema"]["enum"][0] == ""
    assert len(fields["service"]["schema"]["enum"]) == 48
    assert all(find_service(name) for name in fields["service"]["schema"]["enum"][1:])
    for switch in ("secure", "ignore_tls", "enabled", "is_default"):
        assert fields[switch]["schema"]["type"] == ["boolean", "null"]
    assert {name: field["value"] for name, field in fields.items() if field["value"] is not None} == {
        "max_connections": 4,
        "timeout": 30,
        "ssl_context": "default",
        "enabled": True,
    }
    assert behaviour["hidden_fields"] == ["schema", "extra"]
    assert behaviour["relabeling"]["login"].startswith("Sender address (authUser")
    assert "授权码" in behaviour["relabeling"]["password"]


@pytest.mark.parametrize("form", INFO["connection-types"], ids=lambda form: form["connection-type"])
def test_every_form_can_switch_off_and_mark_as_default(form: dict[str, Any]) -> None:
    fields = form["conn-fields"]
    assert fields["enabled"]["schema"] == {"type": ["boolean", "null"], "default": True}
    # Untouched, the form must not mark what it saves.
    assert fields["is_default"]["schema"] == {"type": ["boolean", "null"]}


def test_an_untouched_form_leaves_everything_to_the_service() -> None:
    """Airflow stores every field of the form: its default, else null."""
    from airflow.sdk import Connection

    extra = {name: field["schema"].get("default") for name, field in PUSH_EMAIL["conn-fields"].items()}
    stored = {"conn_id": "account", "conn_type": "push_email", "password": "x", "extra": json.dumps(extra)}

    for login in ("me@qq.com", "me@gmail.com", "me@aol.com", "me@hotmail.com"):
        untouched = email_config(Connection(**stored, login=login))
        bare = email_config(Connection(**{**stored, "extra": None}, login=login))
        assert untouched == bare


def test_what_the_info_names_exists() -> None:
    for kind in ("hooks", "operators", "bundles"):
        for group in INFO[kind]:
            assert group["integration-name"] in {one["integration-name"] for one in INFO["integrations"]}
            for module in group["python-modules"]:
                import_module(module)


# --- options --------------------------------------------------------------------------------------------


def test_settings_read_the_options_that_are_described(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def note(key: str, fallback: str = "") -> str:
        read.append(key)
        return OPTIONS[key]["example"]

    monkeypatch.setattr(settings, "_get", note)
    for name in OPTIONS:
        getattr(settings, name)()

    assert read == list(OPTIONS)


_READERS = ("_get", "_number", "_count", "_flag", "_rules", "_days")


def test_no_option_is_left_undescribed() -> None:
    """Every function of settings that reads ``[push]`` is an option of its own name."""
    import inspect

    readers = {
        name
        for name, function in inspect.getmembers(settings, inspect.isfunction)
        if function.__module__ == settings.__name__
        and any(f"{reader}(" in inspect.getsource(function) for reader in _READERS)
        and name not in _READERS
    }

    assert readers == set(OPTIONS)


def test_a_described_default_is_the_default() -> None:
    assert settings.missed_grace().total_seconds() == float(OPTIONS["missed_grace"]["default"])
    assert settings.ledger_patience() == float(OPTIONS["ledger_patience"]["default"])
    assert settings.receipt_days().days == float(OPTIONS["receipt_days"]["default"])
    for name in ("retention_days", "rejected_days", "message_id_days"):
        kept = getattr(settings, name)()
        assert (kept.days if kept else 0) == float(OPTIONS[name]["default"])
    names = "kafka_conn_id kafka_topics kafka_batch_size kafka_drains kafka_linger dead_letter_topic"
    for name in (*names.split(), "service_pool", "marketing_pool", "marketing_slots"):
        default = OPTIONS[name]["default"]
        assert getattr(settings, name)() == type(getattr(settings, name)())(default), name
    for name in ("max_body_size", "max_recipients", "max_open_tasks", "request_rate_limit"):
        assert getattr(settings, name)() == float(OPTIONS[name]["default"])
    assert str(settings.attachment_areas()) == OPTIONS["attachment_areas"]["default"]
    assert settings.app_rules() == {}
    assert settings.kafka_rules() == {}
    assert str(settings.kafka_define()) == OPTIONS["kafka_define"]["default"]
    assert OPTIONS["app_rules"]["default"] == OPTIONS["kafka_rules"]["default"] == ""
    assert OPTIONS["sql_alchemy_conn"]["sensitive"] is True
    assert [name for name, option in OPTIONS.items() if option["sensitive"]] == ["sql_alchemy_conn"]


# --- what it costs --------------------------------------------------------------------------------------


def test_provider_info_imports_nothing_heavy() -> None:
    script = (
        "import sys, json; before = set(sys.modules); from push_provider.provider import get_provider_info; "
        "get_provider_info(); print(json.dumps(sorted({m.split('.')[0] for m in set(sys.modules) - before})))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    heavy = {
        "airflow",
        "pydantic",
        "sqlalchemy",
        "alembic",
        "psycopg",
        "email_validator",
        "aiosmtplib",
        "ssl",
    }
    assert heavy.intersection(json.loads(done.stdout)) == set()
