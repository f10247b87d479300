"""The timetable of push DAGs: its first moment, what follows, its words, and its way through Airflow."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pendulum
import pytest
from airflow import plugins_manager
from airflow.sdk import DAG, BaseOperator
from airflow.serialization.serialized_objects import DagSerialization, LazyDeserializedDAG
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction
from airflow.utils.types import DagRunType
from croniter import croniter

from push_provider.timetable import PushTimetable

FIRST = datetime(2026, 7, 1, 9, 0, 30, 250000, tzinfo=UTC)
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


def following(
    timetable: PushTimetable,
    last: datetime | None,
    *,
    earliest: datetime | None = LONG_AGO,
    latest: datetime | None = None,
    catchup: bool = True,
) -> datetime | None:
    """The run after ``last``; with ``catchup``, so that the present moment does not matter."""
    info = timetable.next_dagrun_info(
        last_automated_data_interval=last and DataInterval.exact(pendulum.instance(last)),
        restriction=TimeRestriction(
            earliest and pendulum.instance(earliest), latest and pendulum.instance(latest), catchup
        ),
    )
    if info is None:
        return None
    assert info == DagRunInfo.exact(info.run_after)
    return info.run_after


@pytest.mark.parametrize("catchup", [False, True])
@pytest.mark.parametrize("cron", [None, "*/30 * * * *", "0 9 29 2 *"])
@pytest.mark.parametrize(
    "last", [None, LONG_AGO, FIRST - timedelta(hours=1), FIRST - timedelta(microseconds=1)], ids=str
)
def test_nothing_before_the_first_moment_counts(last: datetime | None, cron: str | None, catchup: bool) -> None:
    assert following(PushTimetable(FIRST, cron, "UTC"), last, catchup=catchup) == FIRST


@pytest.mark.parametrize("catchup", [False, True])
@pytest.mark.parametrize("later", [timedelta(0), timedelta(days=9)])
def test_without_a_cron_expression_it_is_due_once(later: timedelta, catchup: bool) -> None:
    assert following(PushTimetable(FIRST, None, "UTC"), FIRST + later, catchup=catchup) is None


def test_after_the_first_moment_the_cron_expression_rules() -> None:
    timetable = PushTimetable(FIRST, "*/30 * * * *", "Asia/Shanghai")
    half_past = datetime(2026, 7, 1, 9, 30, tzinfo=UTC)
    assert following(timetable, FIRST) == half_past
    assert following(timetable, half_past) == half_past + timedelta(minutes=30)


def test_without_catchup_what_passed_since_the_last_run_is_one_run() -> None:
    now = datetime.now(UTC)
    run = following(PushTimetable(FIRST, "* * * * *", "UTC"), now - timedelta(days=30), catchup=False)
    assert run is not None
    assert timedelta(0) <= now - run < timedelta(minutes=2)


@pytest.mark.parametrize(
    ("earliest", "latest", "expected"),
    [
        (None, None, FIRST),
        (FIRST, FIRST, FIRST),
        (None, FIRST - timedelta(microseconds=1), None),
        # Later than the first moment: the bounds of an Airflow backfill.
        (datetime(2026, 7, 3, 1, tzinfo=UTC), None, datetime(2026, 7, 3, 9, tzinfo=UTC)),
        (datetime(2026, 7, 3, 1, tzinfo=UTC), datetime(2026, 7, 3, 8, tzinfo=UTC), None),
    ],
)
def test_airflows_bounds_are_kept(
    earliest: datetime | None, latest: datetime | None, expected: datetime | None
) -> None:
    assert following(PushTimetable(FIRST, "0 9 * * *", "UTC"), None, earliest=earliest, latest=latest) == expected


def test_a_backfill_later_than_the_one_moment_has_no_run() -> None:
    assert following(PushTimetable(FIRST, None, "UTC"), None, earliest=FIRST + timedelta(seconds=1)) is None


def test_a_triggered_run_stands_for_its_own_moment() -> None:
    moment = pendulum.datetime(2026, 6, 30, 12)
    timetable = PushTimetable(FIRST, "0 9 * * *", "UTC")
    assert timetable.infer_manual_data_interval(run_after=moment) == DataInterval.exact(moment)


@pytest.mark.parametrize(
    ("cron", "summary", "words"),
    [
        (None, "@once", "Once, at 2026-07-01 17:00:30 (Asia/Shanghai)"),
        ("45 * * * *", "45 * * * *", "Every hour at minute 45 (Asia/Shanghai)"),
        ("5 9 * * *", "5 9 * * *", "Every day at 09:05 (Asia/Shanghai)"),
        ("30 9 * * mon-fri", "30 9 * * mon-fri", "At 09:30, Monday through Friday (Asia/Shanghai)"),
        ("0 * * * mon", "0 * * * mon", "Every hour, only on Monday (Asia/Shanghai)"),
        ("0 9 ? * MON", "0 9 ? * MON", "At 09:00, only on Monday (Asia/Shanghai)"),
        ("0 9 1 * ?", "0 9 1 * ?", "At 09:00, on day 1 of the month (Asia/Shanghai)"),
        ("5 9 ? * ?", "5 9 ? * ?", "Every day at 09:05 (Asia/Shanghai)"),
        ("0 9 1,* * MON", "0 9 1,* * MON", "At 09:00, only on Monday (Asia/Shanghai)"),
        ("0 9 * * mon#1", "0 9 * * mon#1", "At 09:00, on the first Monday of the month (Asia/Shanghai)"),
        # Either day, as it is due.
        ("0 9 1 * mon", "0 9 1 * mon", "At 09:00, on day 1 of the month (or) At 09:00, only on Monday (Asia/Shanghai)"),
    ],
)
def test_what_people_see(cron: str | None, summary: str, words: str) -> None:
    timetable = PushTimetable(FIRST, cron, "Asia/Shanghai")
    assert (timetable.summary, timetable.description) == (summary, words)
    assert timetable.periodic is (cron is not None)


def test_words_beyond_airflows_limit_are_cut() -> None:
    cron = f"0 9 * 9 {'3,' * 120}3"
    assert croniter.is_valid(cron)
    description = PushTimetable(FIRST, cron, "Asia/Shanghai").description
    assert len(description) == 1000
    assert description.endswith(" (Asia/Shanghai)")


def test_equal_if_the_schedule_and_its_first_moment_are() -> None:
    same = PushTimetable(FIRST.astimezone(pendulum.timezone("Asia/Shanghai")), "0 9 * * *", "UTC")
    timetable = PushTimetable(FIRST, "0 9 * * *", "UTC")
    assert timetable == same
    assert hash(timetable) == hash(same)
    for other in (
        PushTimetable(FIRST + timedelta(days=1), "0 9 * * *", "UTC"),
        PushTimetable(FIRST, "0 8 * * *", "UTC"),
        PushTimetable(FIRST, None, "UTC"),
        PushTimetable(FIRST, "0 9 * * *", "Etc/GMT"),
        "0 9 * * *",
    ):
        assert timetable != other


# --- through Airflow ------------------------------------------------------------------------------------


@pytest.mark.parametrize("cron", [None, "0 * * * mon"])
@pytest.mark.parametrize("catchup", [False, True])
def test_the_scheduler_reads_it_back_with_the_dag(cron: str | None, catchup: bool) -> None:
    timetable = PushTimetable(FIRST, cron, "America/New_York")
    with DAG("t", schedule=timetable, start_date=LONG_AGO, catchup=catchup) as dag:
        BaseOperator(task_id="send")
    dag.validate()
    data = DagSerialization.to_dict(dag)
    stored, lazy = DagSerialization.from_dict(data), LazyDeserializedDAG(data=data)
    assert stored.timetable == lazy.timetable == timetable
    assert type(stored.timetable) is PushTimetable
    assert lazy.timetable.type_name == "push_provider.timetable.PushTimetable"
    info = lazy.next_dagrun_info(last_automated_run_info=None)
    assert info == DagRunInfo.exact(pendulum.instance(FIRST))
    assert (
        stored.timetable.generate_run_id(
            run_type=DagRunType.SCHEDULED, run_after=info.run_after, data_interval=info.data_interval
        )
        == f"scheduled__{FIRST.isoformat()}"
    )
    after = stored.next_dagrun_info(last_automated_run_info=info)
    assert (after is None) is (cron is None)


def test_a_changed_schedule_is_another_dag_to_airflow_and_the_same_one_is_not() -> None:
    def stored_hash(first: datetime) -> str:
        with DAG("t", schedule=PushTimetable(first, "0 9 * * *", "UTC"), start_date=LONG_AGO) as dag:
            BaseOperator(task_id="send")
        return LazyDeserializedDAG.from_dag(dag).hash

    assert stored_hash(FIRST) == stored_hash(FIRST)
    assert stored_hash(FIRST) != stored_hash(FIRST + timedelta(days=1))


def test_the_plugin_registers_it_through_the_entry_point() -> None:
    assert plugins_manager.get_timetables_plugins()["push_provider.timetable.PushTimetable"] is PushTimetable


@pytest.mark.slow
def test_loading_the_plugin_imports_it_only_when_asked() -> None:
    code = (
        "import sys, airflow.plugins_manager as manager\n"
        "manager.ensure_plugins_loaded()\n"
        "assert 'push_provider.plugin' in sys.modules\n"
        "assert not {'push_provider.timetable', 'push_provider.contract', 'croniter'} & set(sys.modules)\n"
        "assert 'push_provider.timetable.PushTimetable' in manager.get_timetables_plugins()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
