"""The sandbox's Kafka: librdkafka's own mock cluster, behind a port that stays the same.

It has groups, offsets and as many topics as are asked for, and keeps all in memory: what is there ends with the
process, and of a partition that grows past some 5 MB the oldest messages go. For load, and to keep anything, there is
the real one.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from push_provider.exceptions import ProviderUnavailable

if TYPE_CHECKING:
    import socket

_START_SECONDS = 10


@asynccontextmanager
async def serve(listener: socket.socket) -> AsyncIterator[None]:
    """Run the broker; it ends with the block.

    :param listener: bound to the address that clients are told of. The mock chooses its own port; a client asks here
        once, is told of that port, and goes there.
    :raises ProviderUnavailable: the mock did not start.
    """
    from confluent_kafka import KafkaException, Producer

    # The mock lives as long as this client does.
    mock = Producer({"bootstrap.servers": "localhost:1", "test.mock.num.brokers": 1, "log_level": 2})
    try:
        metadata = await asyncio.to_thread(mock.list_topics, timeout=_START_SECONDS)
        (broker,) = metadata.brokers.values()
    except (KafkaException, ValueError) as error:
        raise ProviderUnavailable(f"The sandbox's Kafka did not start: {error}") from error

    async def bridge(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            onward, back = await asyncio.open_connection(broker.host, broker.port)
            await asyncio.gather(_pump(reader, back), _pump(onward, writer))
        writer.close()

    server = await asyncio.start_server(bridge, sock=listener)
    try:
        yield
    finally:
        server.close()
        mock.purge()
        del mock


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await source.read(65536):
            target.write(chunk)
            await target.drain()
    with contextlib.suppress(OSError):
        target.close()
