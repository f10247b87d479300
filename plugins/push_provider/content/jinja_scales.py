"""How much a template of strangers may use, and what is weighed against that."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, NoReturn

from push_provider.written import Written


class Limits(NamedTuple):
    """How much one template may use.

    :param seconds: of processor for one rendering: how long others keep the machine busy is no fault of a template.
    :param characters: of one rendered text, and of any value made on the way.
    :param made: bytes of memory that all values take which one rendering makes on the way, also those it drops again.
    :param source: characters of a template, and of all templates of a task together.
    :param tokens: Jinja tokens of a template; what compiling it takes grows with them.
    :param until: moment of the thread's clock of processor at which all that has to do with a task must be done.
    """

    seconds: float = 5.0
    characters: int = 1024 * 1024
    made: int = 64 * 1024 * 1024
    source: int = 1024 * 1024
    tokens: int = 10_000
    until: float = float("inf")


LIMITS = Limits()
INTEGER_BITS = 4096
"""Longer integers are no amounts of anything, and arithmetic on them gets slow."""
WIDTH = 1000
"""Largest width, precision or count that a filter or a format takes."""
SLOW_TEXT = 20_000
"""Characters of a text whose treatment takes more than linear time."""
# Bytes of memory in CPython 3.11, rounded up, of what ``sys.getsizeof`` does not see.
OBJECT = 512
"""A macro, a loop, a generator, a namespace: with its frame, its closure or its dict."""
ENTRY = 104
"""A name and its value in a dict, which grows by halves."""
ITEM = 64
"""An item of a literal: its reference, and a small number, a slice or a missing variable made for it."""
CHARACTER = 84
"""A character as a text of its own."""
_SHOWN = 40
"""Characters of an object's name and address, or of a date."""
PUT_OUT = 16
"""A piece of an output: its reference in a list, which grows by an eighth."""
ESCAPED = 5
"""Characters that one may become in HTML: ``&#34;``."""


class Refused(Exception):
    """A template asks for what it may not have; becomes a ContentError that names the place."""


class Spent(Refused):
    """A rendering has used up what it may use; becomes a LimitExceeded."""


class _Rendering(threading.local):
    """What is left to the rendering that a thread has begun."""

    until: float = float("inf")
    """Moment of its clock of processor at which it must be done."""
    look: float = float("inf")
    """Moment before which it cannot be: of the clock, which costs a tenth to look at."""
    made: float = float("inf")


class Scales:
    """The clock and the scales of renderings: what each may still use.

    :param limits: of each.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._now = _Rendering()

    def start(self) -> None:
        """Begin a rendering in this thread."""
        now, used = self._now, time.thread_time()
        now.until = min(used + self.limits.seconds, self.limits.until)
        now.look = time.monotonic() + now.until - used
        now.made = self.limits.made

    def tick(self) -> None:
        """:raises Refused: the rendering that this thread began takes too long."""
        if time.monotonic() > self._now.look:
            left = self._now.until - time.thread_time()
            if left < 0:
                self._too_slow()
            self._now.look = time.monotonic() + left

    def ticking(self, items: Iterable[Any]) -> Iterator[Any]:
        """The items, with a look at the clock for each."""
        for item in items:
            self.tick()
            yield item

    def _in_time(self) -> None:
        if time.thread_time() > self.limits.until:
            self._too_slow()

    def _too_slow(self) -> NoReturn:
        raise Spent(f"takes longer than {self.limits.seconds:g} s; make the template simpler")

    def charge(self, size: int) -> None:
        """Add what a value takes to what this thread's rendering has made.

        :param size: bytes.
        :raises Refused: all values together take more than the limit.
        """
        now = self._now
        now.made -= size
        if now.made < 0:
            raise Spent(
                f"makes values of more than {self.limits.made // 1024**2} MiB in all; make the template simpler, or "
                "its values shorter"
            )

    def bounded(self, parts: Iterable[str]) -> list[str]:
        """The parts of an output. :raises Refused: they are more than the limit."""
        kept = []
        room = self.limits.characters
        for part in parts:
            room -= len(part)
            if room < 0:
                self.too_large()
            kept.append(part)
        self.charge(OBJECT)
        return kept

    def too_large(self) -> NoReturn:
        """:raises Refused: always."""
        raise Spent(f"makes more than {self.limits.characters} characters; make the message or its values shorter")

    def room_for(self, size: int) -> None:
        """:raises Refused: a value of this size would be too large."""
        if size > self.limits.characters:
            self.too_large()

    def weight(self, value: Any) -> int:
        """About how many characters the value takes when shown; shared parts count each time."""
        if isinstance(value, str):
            return len(value)
        total = 0
        stack = [value]
        while stack:
            part = stack.pop()
            if isinstance(part, str | bytes):
                total += len(part) + 2
            elif isinstance(part, dict):
                total += 2
                stack.extend(part)
                stack.extend(part.values())
            elif isinstance(part, list | tuple):
                total += 2
                stack.extend(part)
            elif isinstance(part, int):
                bits = part.bit_length()
                total += 4 if bits <= 64 else bits // 3
            elif isinstance(part, Written):
                total += len(part.words)
            elif part is None or isinstance(part, float):
                total += 4
            else:
                total += self.weight_of_object(part)
            if total > self.limits.characters:
                self.too_large()
        return total

    def weight_of_object(self, value: Any) -> int:  # noqa: ARG002  (for who knows Jinja's objects)
        """About how many characters what is no number, text, list or dict takes when shown."""
        return _SHOWN

    def held(self, value: Any) -> Any:
        """The value, weighed and charged; an iterator is weighed as it is read."""
        size = OBJECT
        if isinstance(value, str):
            self.room_for(len(value))
            size = sys.getsizeof(value)
        elif isinstance(value, int):
            if value.bit_length() > INTEGER_BITS:
                raise Refused(f"makes a number of more than {INTEGER_BITS} bits")
            size = sys.getsizeof(value)
        elif isinstance(value, dict | list | tuple):
            self.weight(value)
            size = sys.getsizeof(value)
        elif isinstance(value, Iterator):
            value = self._weighed(value)
        self.charge(size)
        return value

    def _weighed(self, items: Iterator[Any]) -> Iterator[Any]:
        total = 0
        for item in items:
            self.tick()
            total += 4 + self.weight(item)
            self.room_for(total)
            self.charge(sys.getsizeof(item))
            yield item
