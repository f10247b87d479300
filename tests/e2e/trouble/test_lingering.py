"""A worker that lingers for Kafka for an hour, and a scheduler that is asked to end meanwhile."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

TOPIC = "task.push.info"
_LISTENS = "SELECT 1 FROM task_instance WHERE dag_id = 'push_kafka' AND state = 'running'"


@pytest.mark.slow
def test_a_scheduler_ends_at_once_though_its_worker_lingers(platform_with: Any) -> None:
    from confluent_kafka import Producer

    with platform_with({"AIRFLOW__PUSH__KAFKA_LINGER": "3600"}) as platform:
        task = {"code": "lingered", "name": "lingered", "subject": "lingered", "content": "Hello"}
        task |= {"schedule": {"kind": "manual"}, "execution": {"type": "loop"}}
        platform.apply(task)
        platform.await_dag("lingered")
        producer = Producer({"bootstrap.servers": platform.kafka, "log_level": 0})

        def send(to: str) -> None:
            producer.produce(TOPIC, json.dumps({"task": "lingered", "recipients": [to]}).encode())
            assert producer.flush(60) == 0

        send("before@example.com")
        platform.await_mail("before@example.com")
        platform.eventually(lambda: platform.metadata(_LISTENS) or None, "a worker to wait for more messages")
        scheduler = platform.process_of("scheduler")
        began = time.monotonic()
        scheduler.terminate()
        scheduler.wait(600)  # seconds, where the machine is idle; an hour if the worker were not told
        print(f"The scheduler was gone after {time.monotonic() - began:.1f} s")

        platform.eventually(lambda: platform.process_of("scheduler"), "the scheduler to be back")
        send("after@example.com")
        platform.await_mail("after@example.com")
