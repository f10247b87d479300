"""The indexes that Airflow's tables lack are made once, and used by what Airflow asks for."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

import pytest
from airflow import settings
from airflow.models.dagcode import DagCode
from airflow.models.serialized_dag import SerializedDagModel
from sqlalchemy import Engine, create_engine, select, text

from push_provider.cli import commands
from push_provider.metadata import indexes

NAMES = ["push_dag_code_dag_id_ix", "push_serialized_dag_dag_id_ix"]


def test_they_are_made_once_and_anew_if_that_was_broken_off(metadata: Engine) -> None:
    assert indexes.bring_about(metadata) == NAMES
    assert indexes.bring_about(metadata) == []
    with metadata.begin() as connection:
        broken = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = CAST(:name AS regclass)"
        connection.execute(text(broken), {"name": NAMES[1]})
    assert indexes.bring_about(metadata) == NAMES[1:]
    assert indexes.bring_about(metadata) == []


@pytest.mark.parametrize(("model", "name"), [(DagCode, NAMES[0]), (SerializedDagModel, NAMES[1])])
def test_airflow_finds_a_dag_by_them(metadata: Engine, model: Any, name: str) -> None:
    indexes.bring_about(metadata)
    statement = select(model).where(model.dag_id == "push__a").compile(metadata, compile_kwargs={"literal_binds": True})
    with metadata.begin() as connection:
        connection.execute(text("SET LOCAL enable_seqscan = off"))  # the tables are empty
        assert name in "\n".join(connection.scalars(text(f"EXPLAIN {statement}")))


def test_the_command_makes_them_or_says_how(
    metadata: Engine, ledger: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("push_provider.ledger.engine.get_engine", lambda: ledger)
    monkeypatch.setattr(settings, "get_engine", lambda: metadata)
    with metadata.begin() as connection:
        for name in NAMES:
            connection.execute(text(f"DROP INDEX IF EXISTS {name}"))
    commands.migrate(Namespace(verbose=False))
    assert f"Airflow's database has the index {NAMES[0]} now." in capsys.readouterr().out
    nothing = create_engine(metadata.url.set(database="postgres"))
    monkeypatch.setattr(settings, "get_engine", lambda: nothing)
    commands.migrate(Namespace(verbose=False))
    nothing.dispose()
    said = capsys.readouterr().out
    assert 'need (relation "dag_code" does not exist). Let the owner of its tables run:\n  CREATE INDEX' in said
