"""Airflow's rows of push tasks' DAGs: which there are, and how to have those built that are missing.

For the API server, which may use Airflow's ORM; tasks and DAG files may not.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from push_provider.contract import DAG_PREFIX

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

SYSTEM = ("push_kafka", "push_receipts", "push_upkeep")
"""The platform's own DAGs, where they are deployed."""
_BUNDLE_CLASS = "push_provider.bundle.PushTaskBundle"
_ACTIVE = ("queued", "running")


class File(NamedTuple):
    """A DAG file, as Airflow names it.

    :param bundle: name of its bundle.
    :param path: below the bundle's folder.
    """

    bundle: str
    path: str


class Files(NamedTuple):
    """The files of the push tasks.

    :param good: how many DAGs of each file are neither stale nor in error, by path.
    :param all: how many there are of each file, but for those that are stale and paused: that mark is all they are for.
    :param paused: ids of the DAGs that are paused.
    """

    good: Mapping[str, int]
    all: Mapping[str, int]
    paused: set[str]


class Row(NamedTuple):
    """What is to be known of a DAG to bring it back."""

    file: File
    is_paused: bool
    is_stale: bool


def push_bundle() -> str:
    """Name of the bundle that supplies the push tasks' DAGs."""
    from airflow.configuration import conf

    bundles: Any = conf.getjson("dag_processor", "dag_bundle_config_list", fallback=[])
    return next((str(one["name"]) for one in bundles if one.get("classpath") == _BUNDLE_CLASS), "push")


def files(session: Session, bundle: str) -> Files:
    """What Airflow has of the push tasks' files."""
    from airflow.models.dag import DagModel
    from sqlalchemy import and_, false, func, or_, select

    good = and_(DagModel.is_stale == false(), DagModel.has_import_errors == false())
    kept = or_(DagModel.is_stale == false(), DagModel.is_paused == false())
    counts = (
        select(DagModel.relative_fileloc, func.count().filter(good), func.count().filter(kept))
        .where(DagModel.bundle_name == bundle)
        .group_by(DagModel.relative_fileloc)
    )
    paused = select(DagModel.dag_id).where(DagModel.bundle_name == bundle, DagModel.is_paused)
    found = [(str(path), some, every) for path, some, every in session.execute(counts)]
    return Files(
        {path: some for path, some, _ in found},
        {path: every for path, _, every in found},
        set(session.scalars(paused)),
    )


def of_files(session: Session, bundle: str, paths: Collection[str]) -> list[str]:
    """The ids of the DAGs that Airflow has of some files, as :class:`Files` counts all of them."""
    from airflow.models.dag import DagModel
    from sqlalchemy import false, or_, select

    query = select(DagModel.dag_id).where(
        DagModel.bundle_name == bundle,
        DagModel.relative_fileloc.in_(paths),
        or_(DagModel.is_stale == false(), DagModel.is_paused == false()),
    )
    return list(session.scalars(query.order_by(DagModel.dag_id)))


def take_away(session: Session, ids: Collection[str]) -> int:
    """Take some DAGs out of Airflow, with their runs, as *Delete* in its UI does; returns how many.

    Those that have a run which goes on stay. One that is paused leaves its row, which is stale, and with it the pause:
    should it come back, it does so paused; runs of it wait for that, and stay as they are. What the audit log says of
    all stays.
    """
    from airflow.models.dag import DagModel
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.db import get_sqla_model_classes
    from sqlalchemy import delete, select, update

    busy = set(session.scalars(select(DagRun.dag_id).where(DagRun.dag_id.in_(ids), DagRun.state.in_(_ACTIVE))))
    paused = set(session.scalars(select(DagModel.dag_id).where(DagModel.dag_id.in_(ids), DagModel.is_paused)))
    gone = set(ids) - busy - paused
    if paused:
        session.execute(update(DagModel).where(DagModel.dag_id.in_(paused)).values(is_stale=True))
    if gone:
        # In the order of airflow.api.common.delete_dag, which does one at a time, with forty statements each.
        first = [TaskInstance, DagRun]
        every: Any = get_sqla_model_classes()  # type: ignore[no-untyped-call]
        rest = [model for model in every if model not in first and model.__name__ != "Log"]
        for model in [*first, *rest]:
            if hasattr(model, "dag_id"):
                session.execute(
                    delete(model).where(model.dag_id.in_(gone)), execution_options={"synchronize_session": False}
                )
    return len(paused) + len(gone)


def absent(session: Session, ids: Collection[str]) -> set[str]:
    """Those of some DAGs that Airflow has no row of: somebody has deleted them there."""
    from airflow.models.dag import DagModel
    from sqlalchemy import select

    return set(ids) - set(session.scalars(select(DagModel.dag_id).where(DagModel.dag_id.in_(ids))))


_PAUSES = {
    "push_pause_task": True,
    "push_resume_task": False,
    "cli_dag_pause": True,
    "cli_dag_unpause": False,
}
"""What Airflow's audit log calls it when a DAG is paused (True) or resumed, where its name says which. Of DAGs that
somebody pauses or resumes by a pattern it has no ids."""


def newest_entry(session: Session) -> int:
    """The id of the newest entry of Airflow's audit log; those written later have higher ones."""
    from airflow.models.log import Log
    from sqlalchemy import func, select

    return session.scalar(select(func.max(Log.id))) or 0


def pause_on_record(session: Session, dag: str, *, after: int = 0) -> bool | None:
    """Whether a DAG was paused when somebody last paused or resumed it by itself; None if nobody did.

    :param after: an entry of the audit log; only what was written later counts.
    """
    from airflow.models.log import Log
    from sqlalchemy import select

    said = select(Log.event, Log.extra).where(Log.dag_id == dag, Log.id > after, Log.event.in_(("patch_dag", *_PAUSES)))
    for event, extra in session.execute(said.order_by(Log.id.desc()).limit(100)):
        with contextlib.suppress(ValueError, TypeError, KeyError):
            entry = json.loads(extra or "{}")
            if "refused" not in entry:  # as the REST API says of what the caller had no right to
                return _PAUSES[event] if event in _PAUSES else bool(entry["is_paused"])
    return None


def ask_for(session: Session, file: File) -> None:
    """Ask the DAG processor to parse a file before all others."""
    from airflow.models.dagbag import DagPriorityParsingRequest
    from sqlalchemy import select

    asked = select(DagPriorityParsingRequest.id).where(
        DagPriorityParsingRequest.bundle_name == file.bundle, DagPriorityParsingRequest.relative_fileloc == file.path
    )
    if session.execute(asked).first() is None:
        session.add(DagPriorityParsingRequest(bundle_name=file.bundle, relative_fileloc=file.path))


def add_paused(session: Session, dag: str, file: File) -> None:
    """Add the row of a DAG that was deleted while it was paused: its file's next parse then finds it paused."""
    from airflow.models.dag import DagModel

    row = DagModel(dag_id=dag, bundle_name=file.bundle, relative_fileloc=file.path)  # type: ignore[no-untyped-call]
    row.is_paused = row.is_stale = True
    session.add(row)


def system(session: Session) -> dict[str, Row]:
    """The rows of the platform's own DAGs."""
    from airflow.models.dag import DagModel
    from sqlalchemy import select

    query = select(
        DagModel.dag_id, DagModel.bundle_name, DagModel.relative_fileloc, DagModel.is_paused, DagModel.is_stale
    ).where(DagModel.dag_id.in_(SYSTEM))
    return {
        row.dag_id: Row(File(row.bundle_name, row.relative_fileloc or ""), row.is_paused, row.is_stale)
        for row in session.execute(query)
    }


def deleted_system(session: Session, dag: str) -> Row | None:
    """Where one of the platform's own DAGs was, if somebody has deleted it before this process knew it."""
    from airflow.configuration import conf
    from airflow.models.log import Log
    from sqlalchemy import select

    path = f"{dag}.py"
    if not Path(conf.get_mandatory_value("core", "dags_folder"), path).exists():
        return None
    deleted = select(Log.id).where(Log.dag_id == dag, Log.event == "delete_dag").limit(1)
    if session.execute(deleted).first() is None:
        return None
    return Row(File("dags-folder", path), is_paused=False, is_stale=True)


def free(session: Session) -> list[str]:
    """Let DAGs take runs that Airflow takes for full, and that are not; their ids.

    A run that is marked from outside leaves the mark until its DAG's next parse
    (``airflow.models.dag.DagModel.exceeds_max_non_backfill``).
    """
    from airflow.models.dag import DagModel
    from airflow.models.dagrun import DagRun
    from sqlalchemy import func, or_, select

    ours = or_(DagModel.dag_id.startswith(DAG_PREFIX, autoescape=True), DagModel.dag_id.in_(SYSTEM))
    # Whoever makes runs holds the row meanwhile, so that the count below is true as long as this transaction lasts.
    full = session.scalars(
        select(DagModel).where(DagModel.exceeds_max_non_backfill, ours).with_for_update(skip_locked=True, of=DagModel)
    ).all()
    if not full:
        return []
    counts = select(DagRun.dag_id, func.count()).where(
        DagRun.dag_id.in_([model.dag_id for model in full]), DagRun.state.in_(_ACTIVE), DagRun.run_type != "backfill"
    )
    active = {str(dag): count for dag, count in session.execute(counts.group_by(DagRun.dag_id))}
    freed = [model for model in full if active.get(model.dag_id, 0) < (model.max_active_runs or 0)]
    for model in freed:
        model.exceeds_max_non_backfill = False
    return [model.dag_id for model in freed]
