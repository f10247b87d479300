"""What Airflow has and what the ledger says, compared every few seconds and brought together.

People mark runs, delete them, delete DAGs; processes are killed; databases are away while somebody looks. Airflow and
the ledger are each told such things once, if at all. So the API server looks at both:

* An execution whose run has ended, or is gone, is closed, with the reason: a person's deed stays a person's deed. A
  process that is still sending notices, and stops between two messages.
* An execution of a cancelled push task that nobody sends, and that waits for another try, is closed: while the task's
  DAG is paused, that try does not come.
* An execution that has ended before its run came to write its deliveries gets them, as what became of them.
* A run that has ended, or is gone, before an execution was planned becomes a failed execution, with the reason.
* A push task whose DAG is gone, stale or in error has its DAG built again; deleted in Airflow, it comes back as it
  was, paused if it was paused. So do the platform's own DAGs.
* A DAG whose push task is retired, or gone, leaves Airflow.
* A run for a time in the future, which would hold up all others until then, fails with that reason.
* A DAG that Airflow still takes for full, after one of its runs was marked, takes runs again.
* A pool that push tasks run in, and that is not there, is made: Airflow runs nothing of it until then.
"""

from __future__ import annotations

import contextlib
import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence, Set
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy import text

from push_provider.contract import DAG_PREFIX, dag_id
from push_provider.exceptions import UnknownExecution
from push_provider.ledger import closing, executions, retiring, shards, writing
from push_provider.ledger.engine import transaction
from push_provider.metadata import dag_rows, pools, run_ends, runs
from push_provider.parses import shard_file
from push_provider.policy import lanes
from push_provider.reconciling.unplanned import Unplanned

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from sqlalchemy import Engine
    from sqlalchemy.orm import Session

log = logging.getLogger(__name__)

_LOCK = 0x72656361  # "reca": one process at a time
_SHARE = 30.0
"""A pass is followed by a pause so many times as long: it takes a thirtieth of a processor, however much there is.

With 100,000 push tasks a pass took 0.3 to 0.5 s, half of it computing: one every ten to fifteen seconds."""
_LONGEST_PAUSE = 30.0
"""Seconds; a pass that took long because it had to wait for others says nothing about the next."""
_AT_ONCE = 500
_FILES_AT_ONCE = 16
_AGAIN, _AGAIN_AT_MOST = 4.0, 60.0
"""Seconds after which a file is asked for again whose DAGs do not come; twice as long each time."""


class Reconciler:
    """One pass at each call. What it remembers between two is what a deleted DAG was like, and which runs go on.

    :param engine: gives the ledger's engine.
    :param sessions: opens a session on Airflow's database, committed at its end.
    :param clock: seconds on a clock that only goes forward.
    """

    def __init__(
        self,
        engine: Callable[[], Engine],
        sessions: Callable[[], AbstractContextManager[Session]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._sessions = sessions
        self._clock = clock
        self._unplanned = Unplanned(sessions)
        self._next = 0.0
        self._paused: set[str] = set()
        self._system: dict[str, dag_rows.Row] = {}
        self._asked: dict[dag_rows.File, tuple[float, float]] = {}
        self._entries = 0, 0
        """The newest entry of Airflow's audit log at the look at its DAGs before the last, and at the last."""
        self._seen: dict[dag_rows.File, int] = {}
        """By file whose DAGs were all there at a look: the entry from which on the audit log may know more of a pause
        than was seen. It is that of the look before: an entry is written before what it tells of is done."""

    def __call__(self) -> None:
        """Compare, and mend; nothing if another process is at it, or it was done just now."""
        began = self._clock()
        if began < self._next:
            return
        engine = self._engine()
        with transaction(engine) as connection:
            if not connection.execute(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": _LOCK}).scalar():
                return
            self._pass(engine)
        now = self._clock()
        self._next = now + min(_SHARE * (now - began), _LONGEST_PAUSE)

    def _pass(self, engine: Engine) -> None:
        """Each step, also after one that fails: what is wrong with one thing must not leave the others as they are."""
        faults = []
        for step in self._steps(engine):
            try:
                step()
            except Exception as error:  # noqa: BLE001  (it is raised again)
                faults.append(error)
        if faults:
            raise faults[0]

    def _steps(self, engine: Engine) -> Sequence[Callable[[], None]]:
        return (
            self._refuse_future,
            partial(self._close_executions, engine),
            partial(self._close_cancelled, engine),
            partial(self._unplanned, engine),
            partial(self._compare_dags, engine),
            self._bring_back_system,
            self._free,
            self._bring_pools,
            partial(self._write_ended, engine),
        )

    def _refuse_future(self) -> None:
        with self._sessions() as session:
            for code, run in runs.refuse_future(session):
                log.warning("Run %s of push task %s is refused: its time is in the future", run, code)

    def _free(self) -> None:
        with self._sessions() as session:
            for dag in dag_rows.free(session):
                log.warning("DAG %s takes runs again: one of its runs was marked from outside", dag)

    def _bring_pools(self) -> None:
        wanted = lanes.pools()
        with self._sessions() as session:
            for pool in pools.bring_about(session, wanted):
                log.info("Pool %s was not there: it is made, with %s slots", pool, wanted[pool].slots)

    # --- executions -----------------------------------------------------------------------------------

    def _close_executions(self, engine: Engine) -> None:
        after = 0
        while some := executions.under_way(engine, after=after, limit=_AT_ONCE):
            after = some[-1].id
            with self._sessions() as session:
                states = run_ends.states(session, [(one.task_code, one.run_id) for one in some])
                ended = {
                    one: run_ends.why_ended(session, one.task_code, one.run_id, state, since=one.created_at)
                    for one in some
                    if (state := states.get((one.task_code, one.run_id))) not in run_ends.ALIVE
                }
            for one, why in ended.items():
                # The closing of another one may have taken ten seconds, in which somebody has cleared this one's run.
                if not self._goes_on(one) and closing.close(engine, one.id, error=why):
                    log.warning("Execution %s of push task %s is closed: %s", one.id, one.task_code, why)

    def _close_cancelled(self, engine: Engine) -> None:
        for one in closing.left_by_cancelling(engine, _AT_ONCE):
            with contextlib.suppress(UnknownExecution):  # somebody has deleted its push task meanwhile
                closing.finish(engine, one.id, final=True)
                log.info("Execution %s of push task %s is closed: its task is cancelled", one.id, one.task_code)

    def _goes_on(self, one: executions.UnderWay) -> bool:
        with self._sessions() as session:
            run = (one.task_code, one.run_id)
            return run_ends.states(session, [run]).get(run) in run_ends.ALIVE

    def _write_ended(self, engine: Engine) -> None:
        """One in each pass: a million take seconds, in which nothing else is compared."""
        if (one := writing.write_ended(engine)) is not None:
            log.info("Execution %s has ended before its run began: its deliveries are on record now", one)

    # --- DAGs -----------------------------------------------------------------------------------------

    def _compare_dags(self, engine: Engine) -> None:
        filled = shards.filled(engine)
        bundle = dag_rows.push_bundle()
        with self._sessions() as session:
            self._entries = self._entries[1], dag_rows.newest_entry(session)
            there = dag_rows.files(session, bundle)
        self._seen |= {
            dag_rows.File(bundle, shard_file(shard)): self._entries[0]
            for shard, (tasks, _) in filled.items()
            if there.good.get(shard_file(shard), 0) >= tasks
        }
        self._bring_back_tasks(engine, bundle, filled, there)
        self._take_away(engine, bundle, filled, there)

    def _bring_back_tasks(
        self, engine: Engine, bundle: str, filled: Mapping[int, shards.Shard], there: dag_rows.Files
    ) -> None:
        wanted = {shard: tasks for shard, (tasks, built) in filled.items() if built}
        with self._sessions() as session:
            lacking = {
                dag_rows.File(bundle, shard_file(shard)): shard
                for shard, count in wanted.items()
                if there.good.get(shard_file(shard), 0) < count
            }
            system = self._paused & set(dag_rows.SYSTEM)
            self._paused = there.paused | system | self._gone(engine, session, self._paused - there.paused - system)
            self._asked = {file: when for file, when in self._asked.items() if file.bundle != bundle or file in lacking}
            for file, shard in lacking.items():
                if self._is_due(file):
                    good, count = there.good.get(file.path, 0), wanted[shard]
                    log.warning("%s of %s push tasks have no good DAG: %s is parsed", count - good, count, file.path)
                    ids = {dag_id(code) for code in shards.codes_of_shard(engine, shard)}
                    for dag in dag_rows.absent(session, ids):
                        if self._was_paused(session, dag, file):
                            dag_rows.add_paused(session, dag, file)
                    dag_rows.ask_for(session, file)

    def _take_away(
        self, engine: Engine, bundle: str, filled: Mapping[int, shards.Shard], there: dag_rows.Files
    ) -> None:
        """Take DAGs out of Airflow that no push task is for; some in each pass, and with the next pass the others."""
        wanted = {shard_file(shard): tasks for shard, (tasks, _) in filled.items()}
        too_full = [path for path, count in there.all.items() if count > wanted.get(path, 0)]
        if not too_full:
            return
        # By lot: files of which nothing can go just now must not keep others waiting.
        some = random.sample(too_full, min(len(too_full), _FILES_AT_ONCE))
        with self._sessions() as session:
            ids = dag_rows.of_files(session, bundle, some)
        codes = {dag.removeprefix(DAG_PREFIX) for dag in ids}
        idle = sorted(codes - shards.live(engine, codes))[:_AT_ONCE]
        if not idle:
            return
        with retiring.held(engine, idle) as held, self._sessions() as session:
            count = dag_rows.take_away(session, [dag_id(code) for code in held])
        if count:
            log.info("%s DAGs leave Airflow: their push tasks are retired, or gone", count)

    @staticmethod
    def _gone(engine: Engine, session: Session, dags: Set[str]) -> set[str]:
        """Those of some DAGs that are to come back: somebody has deleted them, and not their push tasks."""
        gone = dag_rows.absent(session, dags) if dags else ()
        codes = {dag.removeprefix(DAG_PREFIX) for dag in gone}
        return {dag_id(code) for code in shards.live(engine, codes)} if codes else set()

    def _was_paused(self, session: Session, dag: str, file: dag_rows.File) -> bool:
        """Whether a DAG that was deleted was paused before: it is to come back so.

        The audit log does not have all: what was seen of the DAG holds, and the log for what came after.
        """
        said = dag_rows.pause_on_record(session, dag, after=self._seen.get(file, 0))
        return dag in self._paused if said is None else said

    def _bring_back_system(self) -> None:
        with self._sessions() as session:
            self._bring_back(session, dag_rows.system(session))

    def _bring_back(self, session: Session, there: Mapping[str, dag_rows.Row]) -> None:
        for dag in dag_rows.SYSTEM:
            row = there.get(dag)
            if row is not None and not row.is_stale:
                self._system[dag] = row
                self._seen[row.file] = self._entries[0]
                self._paused = (self._paused | {dag}) if row.is_paused else (self._paused - {dag})
                self._asked.pop(row.file, None)
                continue
            known = row or self._system.get(dag) or dag_rows.deleted_system(session, dag)
            if known is None or not self._is_due(known.file):
                continue
            if row is None and self._was_paused(session, dag, known.file):
                dag_rows.add_paused(session, dag, known.file)
            dag_rows.ask_for(session, known.file)
            log.warning("DAG %s is gone: its file is parsed again", dag)

    def _is_due(self, file: dag_rows.File) -> bool:
        now = self._clock()
        due, wait = self._asked.get(file, (now, _AGAIN))
        if now < due:
            return False
        self._asked[file] = now + wait, min(2 * wait, _AGAIN_AT_MOST)
        return True
