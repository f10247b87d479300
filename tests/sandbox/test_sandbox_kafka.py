"""The sandbox's Kafka, as a client finds it at the port that stays the same."""

from __future__ import annotations

import asyncio
import socket

from confluent_kafka import Consumer, Producer, TopicPartition

from sandbox import kafka


def test_what_is_sent_is_there_and_offsets_are_kept() -> None:
    def talk(address: str) -> tuple[list[bytes | None], int]:
        producer = Producer({"bootstrap.servers": address, "log_level": 0})
        for number in range(10):
            producer.produce("task.push.info", str(number).encode(), partition=0)
        assert producer.flush(10) == 0
        consumer = Consumer(
            {"bootstrap.servers": address, "group.id": "g", "log_level": 0, "enable.auto.commit": False}
        )
        consumer.assign([TopicPartition("task.push.info", 0, 0)])
        values: list[bytes | None] = []
        while len(values) < 10:
            values += [message.value() for message in consumer.consume(10, 1) if not message.error()]
        consumer.commit(offsets=[TopicPartition("task.push.info", 0, 10)], asynchronous=False)
        (place,) = consumer.committed([TopicPartition("task.push.info", 0)], timeout=5)
        consumer.close()
        return values, place.offset

    async def run() -> tuple[list[bytes | None], int]:
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        async with kafka.serve(listener):
            return await asyncio.to_thread(talk, f"127.0.0.1:{listener.getsockname()[1]}")

    values, committed = asyncio.run(run())
    assert values == [str(number).encode() for number in range(10)]
    assert committed == 10
