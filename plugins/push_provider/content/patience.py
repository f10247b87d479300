"""How long renderings that exceed their limits may hold one execution up, all together.

One recipient's variables may be at fault, and then the others get their messages; a template that is at fault would
cost its five seconds for each of a hundred thousand recipients.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from push_provider.exceptions import LimitExceeded

LOST_SECONDS = 30.0
_Result = TypeVar("_Result")


class Patience:
    """Lets the renderings of an execution go on until those that exceeded their limits have taken too long.

    :param seconds: of processor that these may take.
    :param clock: that counts them: this thread's.
    """

    def __init__(self, seconds: float = LOST_SECONDS, *, clock: Callable[[], float] = time.thread_time) -> None:
        self._seconds = self._left = seconds
        self._clock = clock

    def of(self, render: Callable[..., _Result], *arguments: object) -> _Result:
        """Render.

        :raises LimitExceeded: it exceeds its limits; or others did, for too long, and nothing more is rendered.
        """
        if self._left <= 0:
            raise LimitExceeded(
                f"nothing more of this execution is rendered: messages that took too much time or memory have held it "
                f"up for {self._seconds:g} s; make the template simpler"
            )
        began = self._clock()
        try:
            return render(*arguments)
        except LimitExceeded:
            self._left -= self._clock() - began
            raise
