"""The broker of a measurement: Apache Kafka where Maven and Java are found, else librdkafka's mock cluster."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.stage import ROOT

sys.path.extend([str(ROOT / "tests" / "integration" / "kafka"), str(ROOT / "tests" / "support")])

from kafka_broker import ApacheKafka, MockKafka
from kafka_kills import Killer

__all__ = ["ApacheKafka", "Killer", "MockKafka", "running"]


@contextmanager
def running(folder: Path) -> Iterator[ApacheKafka | MockKafka]:
    """Run one on a free port.

    :param folder: where Apache Kafka keeps its data.
    """
    broker: ApacheKafka | MockKafka = MockKafka() if ApacheKafka.why_not() else ApacheKafka(folder / "kafka")
    with broker:
        yield broker
