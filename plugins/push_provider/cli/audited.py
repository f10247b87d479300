"""What Airflow's audit log is told of a command: how it was called, without addresses and content."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from airflow.utils.cli import action_cli

if TYPE_CHECKING:
    from argparse import Namespace

_PRIVATE = ("recipients", "recipient", "address", "variables", "messages", "key")
"""Arguments, as the parser names them, whose values are people or content, or may be."""
_BEFORE_A_VALUE = re.compile(r"-\w+=?|--[\w-]+=")
"""What stands in front of a value in one word with it: ``--recipient=``, an abbreviation of that, ``-r``."""


def audited(command: Callable[[Namespace], None]) -> Callable[[Namespace], None]:
    """Write each call of a command to Airflow's audit log.

    Airflow takes the command line out of ``sys.argv``, and shows the entries of commands, which are of no DAG, to
    everybody who may see the log.
    """
    logged: Callable[[Namespace], None] = action_cli(command, check_db=False)  # type: ignore[no-untyped-call]

    @functools.wraps(logged)
    def call(args: Namespace) -> None:
        line = sys.argv
        sys.argv = without_people(line, args)
        try:
            logged(args)
        finally:
            sys.argv = line

    return call


def without_people(line: Sequence[str], args: Namespace) -> list[str]:
    """A command line with asterisks for the values of private arguments, however they are written.

    :param args: what the parser has read of it.
    """
    values = set(_values(args))
    return [_hidden(word, values) for word in line]


def _values(args: Namespace) -> Iterator[str]:
    for name in _PRIVATE:
        given: Any = getattr(args, name, None)
        for value in given if isinstance(given, list) else [given]:
            if value and value != "-":  # which is the standard input
                yield value


def _hidden(word: str, values: set[str]) -> str:
    if word in values:
        return "***"
    for value in values:
        before = word.removesuffix(value)
        if before != word and _BEFORE_A_VALUE.fullmatch(before):
            return f"{before}***"
    return word
