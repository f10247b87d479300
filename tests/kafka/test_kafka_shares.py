"""Several drains share partitions: each has one that reads it, and nobody asks another."""

from __future__ import annotations

from collections import Counter

import pytest

from push_provider.kafka.shares import Share

TOPICS = [f"push.{number}" for number in range(200)]


def owners(topic: str, partition: int, of: int) -> list[int]:
    return [number for number in range(of) if Share(number, of).holds(topic, partition)]


@pytest.mark.parametrize("of", [1, 2, 3, 7, 64])
def test_each_partition_has_one_reader(of: int) -> None:
    assert all(len(owners(topic, partition, of)) == 1 for topic in TOPICS[:20] for partition in range(2 * of))


@pytest.mark.parametrize("of", [2, 3, 4])
def test_partitions_of_a_topic_are_shared_equally(of: int) -> None:
    for topic in TOPICS[:20]:
        counts = Counter(owners(topic, partition, of)[0] for partition in range(of * 5 + 1))
        assert max(counts.values()) - min(counts.values()) == 1


def test_topics_of_one_partition_are_shared_too() -> None:
    counts = Counter(owners(topic, 0, 4)[0] for topic in TOPICS)
    assert min(counts.values()) > len(TOPICS) / 4 / 2


def test_one_alone_has_all() -> None:
    assert all(Share().holds(topic, partition) for topic in TOPICS[:5] for partition in range(5))
    assert Share().begins_with("any")


def test_each_push_task_is_the_first_of_one() -> None:
    for code in TOPICS:
        assert sum(Share(number, 3).begins_with(code) for number in range(3)) == 1
