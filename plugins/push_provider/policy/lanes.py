"""Which push tasks run beside which: messages that somebody waits for never wait behind those that nobody does."""

from __future__ import annotations

from typing import NamedTuple

from push_provider import settings

MARKETING = "marketing"


class Lane(NamedTuple):
    """Where Airflow runs the executions of a category.

    :param pool: an Airflow pool.
    :param priority: the higher one comes first, where both wait for a slot of the executor.
    """

    pool: str
    priority: int


class PoolSize(NamedTuple):
    """What a pool is made with if it is not there; whoever changes it later keeps what they chose."""

    slots: int
    description: str


def lane_of(category: str) -> Lane:
    """The lane of a category of push tasks.

    That of ``service`` is where every task of Airflow runs that says nothing else: a pool of 128 slots, priority 1.
    """
    if category == MARKETING:
        return Lane(settings.marketing_pool(), priority=0)
    return Lane(settings.service_pool(), priority=1)


def pools() -> dict[str, PoolSize]:
    """The pools of all lanes, of which Airflow runs nothing while they are not there."""
    service = PoolSize(_AS_THE_DEFAULT_POOL, "Push tasks of category service")
    marketing = PoolSize(settings.marketing_slots(), "Push tasks of category marketing")
    return {settings.marketing_pool(): marketing, settings.service_pool(): service}


_AS_THE_DEFAULT_POOL = 128
"""``[core] default_pool_task_slot_count`` of an Airflow that nobody has changed."""
