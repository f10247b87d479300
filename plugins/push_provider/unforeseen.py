"""Exceptions that nobody thought of: each concerns the one thing at hand, is told in a line, and logged once."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

from push_provider.exceptions import ConfigurationError, TransientError
from push_provider.visible import visible

if TYPE_CHECKING:
    from logging import Logger


def concerns_all(error: Exception) -> bool:
    """Whether an error is not about the one message, task or recipient at hand: others would meet it, too.

    Of what passes by itself, or has to be put in order for all, nothing may be refused.
    """
    from push_provider.databases import is_away

    return isinstance(error, TransientError | ConfigurationError) or is_away(error)


def last_line(error: BaseException) -> str:
    """What the last line of the error's traceback says.

    Of an error of the database only the database's own words: statements and parameters hold addresses.
    """
    cause = getattr(error, "orig", None)
    error = cause if isinstance(cause, BaseException) else error
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    lines = str(error).strip().splitlines()
    return visible(f"{name}: {lines[0][:500]}") if lines else name


class Unforeseen:
    """Tells what went wrong with one of many things, and logs the traceback of each kind of error once.

    :param log: whose log; a million recipients with the same fault are one traceback.
    """

    def __init__(self, log: Logger) -> None:
        self._log = log
        self._seen: set[tuple[type[BaseException], str, int]] = set()

    def told(self, error: Exception, what: str) -> str:
        """The error in a line, for whoever wants to know what became of the thing.

        :param what: the thing, for the log.
        """
        innermost = error.__traceback__
        while innermost is not None and innermost.tb_next is not None:
            innermost = innermost.tb_next
        place = (innermost.tb_frame.f_code.co_filename, innermost.tb_lineno) if innermost else ("", 0)
        if (type(error), *place) not in self._seen:
            self._seen.add((type(error), *place))
            self._log.error("%s: nobody thought of this error, which is logged once:\n%s", what, traceback_of(error))
        return last_line(error)


def traceback_of(error: BaseException) -> str:
    """The error's traceback, and those of what it came from, for a log.

    Not Python's own, because that has all lines of each error: a database's hold the statement's parameters, or the
    row, and with them addresses.
    """
    frames = "".join(traceback.format_tb(error.__traceback__))
    told = f"Traceback (most recent call last):\n{frames}{last_line(error)}"
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return told if before is None else f"{traceback_of(before)}\n\nFrom this came:\n\n{told}"
