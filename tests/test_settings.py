"""Every option of [push]: what is read, what holds if it is not set, and what is refused."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from push_provider import settings
from push_provider.exceptions import ConfigurationError


def option(monkeypatch: pytest.MonkeyPatch, key: str, value: str | None, section: str = "PUSH") -> None:
    name = f"AIRFLOW__{section}__{key.upper()}"
    if value is None:
        monkeypatch.delenv(name, raising=False)
    else:
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("postgresql://u:p@h/d", "postgresql+psycopg://u:p@h/d"),
        ("postgres://u:p@h/d", "postgresql+psycopg://u:p@h/d"),
        ("postgresql+psycopg2://u:p@h/d", "postgresql+psycopg://u:p@h/d"),
        ("postgresql+psycopg://u@/d?host=%2Ftmp%2Fx", "postgresql+psycopg://u@/d?host=%2Ftmp%2Fx"),
    ],
)
def test_the_ledger_is_reached_through_psycopg(monkeypatch: pytest.MonkeyPatch, value: str, url: str) -> None:
    option(monkeypatch, "sql_alchemy_conn", value)
    assert settings.sql_alchemy_conn() == url


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (None, "is not set"),
        ("", "is not set"),
        ("mysql://u:sesame@h/d", "begins with 'mysql'"),
        ("sqlite:////tmp/x", "needs postgresql"),
        ("u:sesame@h/d", "is no URL"),
        ("postgresql:/u:sesame@h/d", "is no URL"),
    ],
)
def test_another_database_is_refused_and_no_password_shown(
    monkeypatch: pytest.MonkeyPatch, value: str | None, says: str
) -> None:
    option(monkeypatch, "sql_alchemy_conn", value)
    with pytest.raises(ConfigurationError, match=says) as caught:
        settings.sql_alchemy_conn()
    assert "[push] sql_alchemy_conn" in str(caught.value)
    assert "sesame" not in str(caught.value)


def test_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for key in ("include_dir", "bundle_dir"):
        option(monkeypatch, key, None)
    option(monkeypatch, "dags_folder", str(tmp_path / "project" / "dags"), "CORE")
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "home"))
    assert settings.include_dir() == tmp_path / "project" / "include"
    assert settings.airflow_home() == tmp_path / "home"
    assert settings.bundle_dir() == tmp_path / "home" / "push_dags"

    option(monkeypatch, "include_dir", "~/include")
    option(monkeypatch, "bundle_dir", "~/dags")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert settings.include_dir() == tmp_path / "include"
    assert settings.bundle_dir() == tmp_path / "dags"
    monkeypatch.setenv("AIRFLOW_HOME", "$HOME/af")
    assert settings.airflow_home() == tmp_path / "af"
    monkeypatch.delenv("AIRFLOW_HOME")
    assert settings.airflow_home() == tmp_path / "airflow"


@pytest.mark.parametrize(("value", "zone"), [("utc", "UTC"), ("UTC", "UTC"), ("Asia/Shanghai", "Asia/Shanghai")])
def test_the_clock_is_airflows(monkeypatch: pytest.MonkeyPatch, value: str, zone: str) -> None:
    option(monkeypatch, "default_timezone", value, "CORE")
    assert settings.default_timezone() == zone


def test_the_systems_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    option(monkeypatch, "default_timezone", "system", "CORE")
    import pendulum

    with pendulum.test_local_timezone(pendulum.timezone("Europe/Paris")):
        assert settings.default_timezone() == "Europe/Paris"


@pytest.mark.parametrize(("value", "seconds"), [(None, 300), ("0", 0), ("12.5", 12.5), ("86400", 86400)])
def test_how_late_is_missed(monkeypatch: pytest.MonkeyPatch, value: str | None, seconds: float) -> None:
    option(monkeypatch, "missed_grace", value)
    assert settings.missed_grace() == timedelta(seconds=seconds)


@pytest.mark.parametrize(("value", "seconds"), [(None, 600), ("0", 0), ("12.5", 12.5), ("86400", 86400)])
def test_how_long_the_ledger_is_waited_for(monkeypatch: pytest.MonkeyPatch, value: str | None, seconds: float) -> None:
    option(monkeypatch, "ledger_patience", value)
    assert settings.ledger_patience() == seconds


@pytest.mark.parametrize("value", ["soon", "-1", "86401"])
def test_who_has_patience_for_ever_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    option(monkeypatch, "ledger_patience", value)
    with pytest.raises(ConfigurationError, match=r"\[push\] ledger_patience is .*seconds"):
        settings.ledger_patience()


@pytest.mark.parametrize("value", ["soon", "-1", "nan", "inf", "1e300", "5 minutes"])
def test_what_is_no_number_of_seconds_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    option(monkeypatch, "missed_grace", value)
    with pytest.raises(ConfigurationError, match=r"\[push\] missed_grace is .*seconds"):
        settings.missed_grace()


@pytest.mark.parametrize(
    ("value", "are_set"), [(None, True), ("", True), ("True", True), ("on", True), ("false", False), ("0", False)]
)
def test_areas_of_attachments(monkeypatch: pytest.MonkeyPatch, value: str | None, are_set: bool) -> None:
    option(monkeypatch, "attachment_areas", value)
    assert settings.attachment_areas() is are_set


@pytest.mark.parametrize("value", ["maybe", "2", "off off"])
def test_what_is_neither_true_nor_false_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    option(monkeypatch, "attachment_areas", value)
    with pytest.raises(ConfigurationError, match=r"\[push\] attachment_areas is .*True or False"):
        settings.attachment_areas()


def test_rules_of_applications(monkeypatch: pytest.MonkeyPatch) -> None:
    option(monkeypatch, "app_rules", None)
    assert settings.app_rules() == {}
    option(monkeypatch, "app_rules", '{"role:Op": ["shop", "crm"], "user:bob:b": []}')
    assert settings.app_rules() == {"role:Op": {"shop", "crm"}, "user:bob:b": set()}


@pytest.mark.parametrize(
    "value",
    ["x", "[]", '"shop"', '{"bob": ["shop"]}', '{"user:": ["shop"]}', '{"user:bob": "shop"}', '{"user:bob": [1]}',
     '{"user:bob": ["a"], "user:bob": ["b"]}'],
)  # fmt: skip
def test_rules_of_applications_that_are_none(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    option(monkeypatch, "app_rules", value)
    with pytest.raises(ConfigurationError, match=r"\[push\] app_rules"):
        settings.app_rules()


@pytest.mark.parametrize(
    ("value", "allowed"),
    [(None, True), ("True", True), ("off", False), ("push.admin", {"push.admin"}), ("a, b", {"a", "b"})],
)
def test_who_may_define(monkeypatch: pytest.MonkeyPatch, value: str | None, allowed: Any) -> None:
    option(monkeypatch, "kafka_define", value)
    assert settings.kafka_define() == allowed


def test_rules_of_topics(monkeypatch: pytest.MonkeyPatch) -> None:
    option(monkeypatch, "kafka_rules", None)
    assert settings.kafka_rules() == {}
    rules = '{"a": {"apps": ["shop"], "codes": ["shop-*"], "define": false}, "b": {"apps": ["*"]}, "*": {"codes": []}}'
    option(monkeypatch, "kafka_rules", rules)
    assert settings.kafka_rules() == {
        "a": ({"shop"}, {"shop-*"}, False),
        "b": (None, {"*"}, True),
        "*": (None, set(), True),
    }


@pytest.mark.parametrize(
    "value",
    ["x", "[]", '{"a": []}', '{"a": {"app": ["shop"]}}', '{"a": {"apps": "shop"}}', '{"a": {"codes": [1]}}',
     '{"a": {"define": "no"}}', '{"a": {}, "a": {}}'],
)  # fmt: skip
def test_rules_of_topics_that_are_none(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    option(monkeypatch, "kafka_rules", value)
    with pytest.raises(ConfigurationError, match=r"\[push\] kafka_rules"):
        settings.kafka_rules()


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "many", "１", "9999999999"])
@pytest.mark.parametrize("key", ["kafka_batch_size", "kafka_drains", "marketing_slots"])
def test_a_number_that_is_no_count_is_refused(monkeypatch: pytest.MonkeyPatch, key: str, value: str) -> None:
    option(monkeypatch, key, value)
    with pytest.raises(ConfigurationError, match=rf"\[push\] {key} is .*whole number"):
        getattr(settings, key)()


def test_there_is_an_end_to_the_number_of_drains(monkeypatch: pytest.MonkeyPatch) -> None:
    option(monkeypatch, "kafka_drains", "64")
    assert settings.kafka_drains() == 64
    option(monkeypatch, "kafka_drains", "65")
    with pytest.raises(ConfigurationError, match=r"\[push\] kafka_drains is 65; it takes a whole number from 1 to 64"):
        settings.kafka_drains()


@pytest.mark.parametrize("value", ["-1", "3601", "nan", "soon"])
def test_how_long_a_worker_lingers_has_limits(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    option(monkeypatch, "kafka_linger", value)
    with pytest.raises(ConfigurationError, match=r"\[push\] kafka_linger is .*0 to 3600"):
        settings.kafka_linger()
