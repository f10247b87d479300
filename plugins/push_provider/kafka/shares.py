"""Which part of the work each of several drains does."""

from __future__ import annotations

import zlib
from typing import NamedTuple


class Share(NamedTuple):
    """One part of so many.

    A partition, and a push task, is always in the same part, whatever others come or go: no drain has to ask another.

    :param number: which, from 0.
    :param of: how many there are.
    """

    number: int = 0
    of: int = 1

    def holds(self, topic: str, partition: int) -> bool:
        """Whether this part reads a partition."""
        # Not the partition's number alone: of many topics of one partition each, the first part would read them all.
        return (zlib.crc32(topic.encode()) + partition) % self.of == self.number

    def begins_with(self, code: str) -> bool:
        """Whether this part makes the runs of a push task before those of others."""
        return zlib.crc32(code.encode()) % self.of == self.number
