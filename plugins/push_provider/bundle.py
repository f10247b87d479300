"""The DAG files of all push tasks, as a bundle: Airflow's own way to supply DAG files.

The folder holds one file for each shard that has a task: an import and a call, the same for ever. A change of a
task touches its shard's file, and the DAG processor parses that file at once and leaves the others alone.
"""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from typing import Any

from airflow.dag_processing.bundles.base import BaseDagBundle

from push_provider import settings
from push_provider.exceptions import PushError

log = logging.getLogger(__name__)

_FILE = '''"""Push tasks of shard {shard}, as Airflow DAGs. Written by PushTaskBundle; changes are lost."""

from push_provider.dag_factory import push_dags

push_dags({shard})
'''
_TOUCH_AGAIN_SECONDS = 2.0


def shard_file(shard: int) -> str:
    """Name of a shard's file in the bundle."""
    return f"shard_{shard:03d}.py"


class PushTaskBundle(BaseDagBundle):
    """Supplies the DAGs of all push tasks in the ledger.

    In ``[dag_processor] dag_bundle_config_list``::

        {"name": "push", "classpath": "push_provider.bundle.PushTaskBundle", "kwargs": {}}

    ``[dag_processor] bundle_refresh_check_interval = 0`` makes the DAG processor ask every second whether a task
    has changed, which costs one query of at most a row a shard.
    """

    supports_versioning = False

    def __init__(self, **kwargs: Any) -> None:
        self._seen: dict[int, int] = {}
        self._touched: dict[int, float] = {}
        self._reachable = True
        super().__init__(**kwargs)
        self._folder = settings.bundle_dir()

    @property
    def path(self) -> Path:
        """Folder of the shard files."""
        return self._folder

    @property
    def refresh_interval(self) -> int:
        """Seconds between refreshes: none when a task has changed, else as configured.

        The DAG processor scans the folder and logs about it at every refresh; so it is asked to only if needed.
        """
        return 0 if self._stale(self._shards()) else self._interval

    @refresh_interval.setter
    def refresh_interval(self, seconds: int) -> None:
        self._interval = seconds

    def get_current_version(self) -> None:
        """Versions are not kept: what an execution sends is pinned in the ledger when it begins."""

    def initialize(self) -> None:
        """Write the files that are missing: a worker may be on another machine than the DAG processor."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for shard in self._shards():
            self._write(shard)
        super().initialize()

    def refresh(self) -> None:
        """Touch the files of shards that changed since the last refresh."""
        # Parsers are forked from the DAG processor, which so has what they need; a task process has no use for it.
        from push_provider import dag_factory  # noqa: F401

        shards = self._shards()
        for shard in self._stale(shards):
            if not self._write(shard):
                os.utime(self._folder / shard_file(shard))
            self._touched[shard] = time.monotonic()
        self._seen = {shard: revision for shard, (revision, _) in shards.items()}

    def view_url(self, version: str | None = None) -> None:
        """Nothing to view elsewhere."""

    def view_url_template(self) -> None:
        """Nothing to view elsewhere."""

    def _shards(self) -> dict[int, tuple[int, bool]]:
        from push_provider.ledger import tasks
        from push_provider.ledger.engine import get_engine

        try:
            shards = tasks.shards(get_engine())
        except PushError as error:
            # The DAGs that Airflow has stay; new ones wait until the ledger is back.
            if self._reachable:
                log.warning("Push tasks cannot be read: %s", error)
            self._reachable = False
            return {}
        self._reachable = True
        return shards

    def _stale(self, shards: dict[int, tuple[int, bool]]) -> list[int]:
        """Shards whose file must be parsed.

        A parse that was under way when the task changed has not seen the change, and the DAG processor takes a
        file touched during its parse for parsed: a file is touched until the parse notes the revision.
        """
        now = time.monotonic()
        return [
            shard
            for shard, (revision, built) in shards.items()
            if not built
            and (self._seen.get(shard) != revision or now - self._touched.get(shard, 0.0) > _TOUCH_AGAIN_SECONDS)
        ]

    def _write(self, shard: int) -> bool:
        """Write a shard's file, unless it is there as this version writes it; true if it was written."""
        target, text = self._folder / shard_file(shard), _FILE.format(shard=shard)
        if target.exists() and target.read_text() == text:
            return False
        # In one step, so that no parser and no other process reads half a file.
        scratch = target.with_name(f".{target.name}.{os.getpid()}")
        scratch.write_text(text)
        scratch.replace(target)
        return True
