"""Work in portions, each a short transaction, with a rest after each: who sends meanwhile notices little."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from sqlalchemy import Engine

log = logging.getLogger(__name__)

_RESTS = 1.0
"""A portion is followed by a rest so many times as long: at most half of one connection's work is upkeep's."""


class Step(NamedTuple):
    """One kind of upkeep.

    :param name: what is counted, as the log says it.
    :param portion: does up to so many, and returns how many it did; 0 at the end.
    :param size: how many are done at a time; a tenth of a second's work.
    """

    name: str
    portion: Callable[[Engine, int], int]
    size: int


class Portions:
    """Does steps until nothing is left to do, or the time is over.

    :param seconds: after which no portion is begun; what is left is for the next time.
    :param clock: seconds on a clock that only goes forward.
    :param rest: waits so many seconds.
    """

    def __init__(
        self,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
        rest: Callable[[float], None] = time.sleep,
    ) -> None:
        self._clock = clock
        self._rest = rest
        self._until = clock() + seconds

    def do(self, engine: Engine, steps: Sequence[Step]) -> dict[str, int]:
        """Do all steps, also after one that fails; how many each did, by its name.

        Each has the same share of the time that is left, so that a long one starves no other.

        :raises Exception: what the first that failed has raised.
        """
        counts, faults = {}, []
        for place, step in enumerate(steps):
            now = self._clock()
            until = now + (self._until - now) / (len(steps) - place)
            try:
                counts[step.name] = self._all(engine, step, until)
            except Exception as error:  # noqa: BLE001  (it is raised again)
                log.warning("%s: broken off by %s", step.name, type(error).__name__)
                faults.append(error)
        if faults:
            raise faults[0]
        return counts

    def _all(self, engine: Engine, step: Step, until: float) -> int:
        total = 0
        while (began := self._clock()) < until:
            done = step.portion(engine, step.size)
            if not done:
                return total
            total += done
            self._rest(_RESTS * (self._clock() - began))
        log.info("%s: %s, and more are left for the next time", step.name, total)
        return total
