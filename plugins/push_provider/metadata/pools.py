"""Airflow's pools that push tasks run in: made if they are not there, and left as they are otherwise.

Airflow never runs a task whose pool is not there, and only says so in the scheduler's log.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from push_provider.policy.lanes import PoolSize


def bring_about(session: Session, wanted: Mapping[str, PoolSize]) -> list[str]:
    """Make those pools that are not there; their names.

    One that somebody has resized stays as it is.
    """
    from airflow.models.pool import Pool
    from sqlalchemy import select

    there = set(session.scalars(select(Pool.pool).where(Pool.pool.in_(wanted))))
    lacking = {name: size for name, size in wanted.items() if name not in there}
    for name, size in lacking.items():
        # Deferred tasks, of which push tasks have none, would hold no slot: as in Airflow's default pool.
        session.add(Pool(pool=name, slots=size.slots, description=size.description, include_deferred=False))
    return list(lacking)
