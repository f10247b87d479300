"""The pools of push tasks in Airflow's database: made where they are missing, and left as people want them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import insert
from sqlalchemy.orm import Session

from push_provider.metadata import pools
from push_provider.policy import lanes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Engine

DEFAULT = {"default_pool": 128}
"""What every Airflow has."""


@pytest.mark.parametrize(
    ("options", "there", "made"),
    [
        ({}, DEFAULT, {"push_marketing": 8}),
        ({"MARKETING_SLOTS": "3"}, DEFAULT, {"push_marketing": 3}),
        ({"MARKETING_SLOTS": "3"}, {**DEFAULT, "push_marketing": 1}, {}),  # somebody has resized it
        ({}, {"default_pool": 2, "push_marketing": -1}, {}),
        ({"MARKETING_POOL": "slow", "SERVICE_POOL": "urgent"}, DEFAULT, {"slow": 8, "urgent": 128}),
        ({"MARKETING_POOL": "default_pool"}, DEFAULT, {}),
        ({"MARKETING_POOL": "one", "SERVICE_POOL": "one"}, DEFAULT, {"one": 128}),
    ],
)
def test_pools_that_are_not_there_are_made(
    metadata: Engine,
    monkeypatch: pytest.MonkeyPatch,
    options: Mapping[str, str],
    there: Mapping[str, int],
    made: Mapping[str, int],
) -> None:
    from airflow.models.pool import Pool

    for name, value in options.items():
        monkeypatch.setenv(f"AIRFLOW__PUSH__{name}", value)
    with Session(metadata) as session:
        rows = [{"pool": name, "slots": slots, "include_deferred": False} for name, slots in there.items()]
        session.execute(insert(Pool), rows)
        assert sorted(pools.bring_about(session, lanes.pools())) == sorted(made)
        assert {str(pool): pool.slots for pool in Pool.get_pools(session=session)} == {**there, **made}
        assert pools.bring_about(session, lanes.pools()) == []
        session.rollback()
