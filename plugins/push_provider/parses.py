"""What the parses of shard files saw, and whether Airflow has stored what became of them.

A parser hands its DAGs to the DAG processor and ends; whether that one can store them, nobody tells. So a parse leaves
a note beside the shard's file, and the bundle compares it with Airflow's rows of the file's DAGs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import Path
from typing import NamedTuple


def shard_file(shard: int) -> str:
    """Name of a shard's file in the bundle."""
    return f"shard_{shard:03d}.py"


class Parse(NamedTuple):
    """One parse of a whole shard.

    :param revision: of the shard, as the parse saw it.
    :param dags: how many DAGs it built.
    :param began: when it began, by the clock of this machine.
    """

    revision: int
    dags: int
    began: datetime


def note(folder: Path, shard: int, parse: Parse) -> None:
    """Leave a note of the latest parse of a shard.

    :param folder: the bundle's.
    :raises OSError: it takes none; its disk may be full.
    """
    target = _note_of(folder, shard)
    # In one step: the bundle may be reading it.
    scratch = target.with_name(f"{target.name}.{os.getpid()}")
    try:
        scratch.write_text(json.dumps({**parse._asdict(), "began": parse.began.isoformat()}))
        scratch.replace(target)
    except OSError:
        scratch.unlink(missing_ok=True)  # each parse is a process of its own, and would leave another one
        raise


def latest(folder: Path, shard: int) -> Parse | None:
    """The latest parse of a shard; None if none is known."""
    try:
        said = json.loads(_note_of(folder, shard).read_text())
        return Parse(said["revision"], said["dags"], datetime.fromisoformat(said["began"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def stored(bundle: str, parses: Mapping[int, Parse]) -> set[int]:
    """Of which shards Airflow has stored the latest parse; only where its database may be used: in the DAG processor.

    It stores the DAGs of a file in one transaction, and gives each of them a new time.

    :param bundle: name of the bundle.
    :param parses: the latest parse of each shard.
    :raises sqlalchemy.exc.SQLAlchemyError: Airflow's database cannot be used.
    """
    from airflow.models.dag import DagModel
    from airflow.utils.session import create_session
    from sqlalchemy import DateTime, String, and_, column, false, func, select, values

    wanted = values(column("file", String), column("began", DateTime(timezone=True)), name="parse").data(
        [(shard_file(shard), parse.began) for shard, parse in parses.items()]
    )
    query = (
        select(wanted.c.file, func.count().label("stored"))
        .join(
            DagModel,
            and_(
                DagModel.bundle_name == bundle,
                DagModel.relative_fileloc == wanted.c.file,
                DagModel.last_parsed_time >= wanted.c.began,
                DagModel.has_import_errors == false(),
            ),
        )
        .group_by(wanted.c.file)
    )
    with create_session(scoped=False) as session:
        counts = {row.file: row.stored for row in session.execute(query)}
    return {shard for shard, parse in parses.items() if counts.get(shard_file(shard), 0) >= parse.dags}


def held(bundle: str, files: Collection[str]) -> set[str]:
    """Those of some files of which Airflow has DAGs that are not stale; only where its database may be used.

    :param bundle: name of the bundle.
    :raises sqlalchemy.exc.SQLAlchemyError: Airflow's database cannot be used.
    """
    from airflow.models.dag import DagModel
    from airflow.utils.session import create_session
    from sqlalchemy import false, select

    query = (
        select(DagModel.relative_fileloc)
        .where(DagModel.bundle_name == bundle, DagModel.relative_fileloc.in_(files), DagModel.is_stale == false())
        .distinct()
    )
    with create_session(scoped=False) as session:
        return {str(path) for path in session.scalars(query)}


def _note_of(folder: Path, shard: int) -> Path:
    return folder / f".shard_{shard:03d}.parse"
