"""The DAG files of all push tasks, as a bundle: Airflow's own way to supply DAG files.

The folder holds one file for each shard that has a task: an import and a call, the same for ever. A change of a
task touches its shard's file, and the DAG processor parses that file at once and leaves the others alone. The file of
a shard without a task goes when Airflow has none of its DAGs any more.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from airflow.dag_processing.bundles.base import BaseDagBundle
from sqlalchemy.exc import SQLAlchemyError

from push_provider import parses, settings
from push_provider.exceptions import LedgerUnavailable, PushError
from push_provider.parses import shard_file

log = logging.getLogger(__name__)

_FILE = '''"""Push tasks of shard {shard}, as Airflow DAGs. Written by PushTaskBundle; changes are lost."""

from push_provider.dag_factory import push_dags

push_dags({shard})
'''
_TOUCH_AGAIN_SECONDS = 2.0
_STORING = timedelta(seconds=5)
"""How long Airflow may take to store what a parse found, from the parse's beginning."""
_PATIENCE_SECONDS = 60.0
"""The longest time between two parses of a file whose tasks do not come to be DAGs."""


class _Touch(NamedTuple):
    """When a file was touched for a revision, and how long that is given to be parsed and stored."""

    revision: int
    at: float
    wait: float


class PushTaskBundle(BaseDagBundle):
    """Supplies the DAGs of all push tasks in the ledger.

    In ``[dag_processor] dag_bundle_config_list``::

        {"name": "push", "classpath": "push_provider.bundle.PushTaskBundle", "kwargs": {}}

    ``[dag_processor] bundle_refresh_check_interval = 0`` makes the DAG processor ask every second whether a task
    has changed, which costs one query of at most a row a shard.
    """

    supports_versioning = False

    def __init__(self, **kwargs: Any) -> None:
        self._touched: dict[int, _Touch] = {}
        self._listed: frozenset[str] = frozenset()
        """The files that were there at the last refresh: of no others does the DAG processor know."""
        self._is_whole = False
        """Whether a refresh has written the files of all push tasks since this began."""
        self._reachable = True
        super().__init__(**kwargs)
        self._folder = settings.bundle_dir()

    @property
    def path(self) -> Path:
        """Folder of the shard files."""
        return self._folder

    @property
    def refresh_interval(self) -> int:
        """Seconds between refreshes: none when a file has come or is to come or to go, else as configured.

        The DAG processor asks in each of its rounds, and at a refresh it scans the folder and reads all DAGs of the
        bundle: three seconds of a hundred thousand. It parses what is only touched without one, so that is done here.
        """
        found = self._shards()
        if found is None:
            return self._interval
        shards = self._settled(found)
        stale = self._stale(shards)
        try:
            # A task's process may have written a file since the last refresh.
            if self._left(found) or not all(shard_file(shard) in self._listed for shard in found):
                return 0
            for shard in stale:
                self._touch(shard, shards[shard][0])
        except OSError:  # what is wrong with the folder, the refresh says
            return 0
        return self._interval

    @refresh_interval.setter
    def refresh_interval(self, seconds: int) -> None:
        self._interval = seconds

    def get_current_version(self) -> None:
        """Versions are not kept: what an execution sends is pinned in the ledger when it begins."""

    def initialize(self) -> None:
        """Write the files that are missing: a worker may be on another machine than the DAG processor."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for shard in self._shards() or ():
            try:
                self._write(shard)
            except OSError as error:  # as in refresh, which the DAG processor asks for only after this
                log.warning("The file of shard %s cannot be written: %s", shard, error)
        super().initialize()

    def refresh(self) -> None:
        """Write the files that are missing, touch those of shards that have changed, and remove those that are left.

        :raises LedgerUnavailable: push tasks cannot be read, and have not been since this began. Airflow would take
            the DAGs of files that are missing for deleted ones; after an error it does not look.
        """
        # Parsers are forked from the DAG processor, which so has what they need; a task process has no use for it.
        from push_provider import dag_factory  # noqa: F401

        found = self._shards()
        if found is None:
            if not self._is_whole:
                raise LedgerUnavailable("Push tasks cannot be read: their DAGs stay as they are until they can")
            return
        for file in self._left(found):
            file.unlink(missing_ok=True)
        shards = self._settled(found)
        stale = set(self._stale(shards))
        faults = []
        for shard in shards:
            try:
                # Also of those that are built: another DAG processor may have done that, or one whose folder is gone.
                self._write(shard)
                if shard in stale:
                    self._touch(shard, shards[shard][0])
            except OSError as error:  # a full disk takes no new file, and every touch
                faults.append(error)
        self._listed = frozenset(file.name for file in self._folder.glob("shard_*.py"))
        if faults:
            raise faults[0]
        self._is_whole = True

    def view_url(self, version: str | None = None) -> None:
        """Nothing to view elsewhere."""

    def view_url_template(self) -> None:
        """Nothing to view elsewhere."""

    def _shards(self) -> dict[int, tuple[int, bool]] | None:
        """Every shard that has a file; None if nobody can tell."""
        from push_provider.ledger import shards
        from push_provider.ledger.engine import get_engine

        try:
            found = shards.revisions(get_engine())
        except PushError as error:
            # The DAGs that Airflow has stay; new ones wait until the ledger is back.
            if self._reachable:
                log.warning("Push tasks cannot be read: %s", error)
            self._reachable = False
            return None
        self._reachable = True
        return found

    def _settled(self, found: dict[int, tuple[int, bool]]) -> dict[int, tuple[int, bool]]:
        """The same, when those are noted as built whose newest revision Airflow has stored since."""
        from push_provider.ledger import shards
        from push_provider.ledger.engine import get_engine

        seen = {}
        for shard, (revision, built) in found.items():
            parse = None if built else parses.latest(self._folder, shard)
            if parse and parse.revision == revision:
                seen[shard] = parse
        if not seen:
            return found
        try:
            stored = parses.stored(self.name, seen)
            shards.mark_built(get_engine(), {shard: seen[shard].revision for shard in stored})
        except (PushError, SQLAlchemyError) as error:
            log.warning("Whether push tasks are DAGs cannot be told yet: %s", type(error).__name__)
            return found
        return found | {shard: (seen[shard].revision, True) for shard in stored}

    def _stale(self, shards: dict[int, tuple[int, bool]]) -> list[int]:
        """Shards whose file must be parsed.

        A parse that was under way when the task changed has not seen the change, and the DAG processor takes a
        file touched during its parse for parsed; and what a parse found may not come to be stored. So a file is
        touched until Airflow has what the newest revision says.
        """
        return [shard for shard, (revision, built) in shards.items() if not built and self._is_due(shard, revision)]

    def _left(self, shards: Collection[int]) -> list[Path]:
        """The files of shards that hold no task any more, and of which Airflow has no DAG any more.

        While it has one, it marks that as stale when the file is gone; and if the DAG is deleted just then, the DAG
        processor dies of it (``StaleDataError`` in ``DagFileProcessorManager.deactivate_deleted_dags``).
        """
        names = {shard_file(shard) for shard in shards}
        left = {file.name: file for file in self._folder.glob("shard_*.py") if file.name not in names}
        if not left:
            return []
        try:
            held = parses.held(self.name, left)
        except SQLAlchemyError as error:
            log.warning("Files of shards without a push task stay for now: %s", type(error).__name__)
            return []
        return [file for name, file in left.items() if name not in held]

    def _is_due(self, shard: int, revision: int) -> bool:
        touch = self._touched.get(shard)
        if touch is None or touch.revision != revision:
            return True
        parse = parses.latest(self._folder, shard)
        if parse and parse.revision == revision and timedelta(0) <= datetime.now(UTC) - parse.began < _STORING:
            return False
        return time.monotonic() - touch.at > touch.wait

    def _touch(self, shard: int, revision: int) -> None:
        """Have a shard's file parsed."""
        os.utime(self._folder / shard_file(shard))
        before = self._touched.get(shard)
        again = before is not None and before.revision == revision
        wait = min(2 * before.wait, _PATIENCE_SECONDS) if before and again else _TOUCH_AGAIN_SECONDS
        self._touched[shard] = _Touch(revision, time.monotonic(), wait)

    def _write(self, shard: int) -> None:
        """Write a shard's file, unless it is there as this version writes it."""
        target, text = self._folder / shard_file(shard), _FILE.format(shard=shard)
        if target.exists() and target.read_text() == text:
            return
        # In one step, so that no parser and no other process reads half a file.
        scratch = target.with_name(f".{target.name}.{os.getpid()}")
        scratch.write_text(text)
        scratch.replace(target)
