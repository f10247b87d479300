"""How a call to a provider may end without an answer: whether any of it can have been carried out."""

from __future__ import annotations


class NotSent(Exception):
    """The call never reached the provider: nothing of it was carried out."""


class NoAnswer(Exception):
    """The call may have been carried out, and nobody can tell.

    :param code: ``timeout``, ``connection`` or ``protocol``.
    """

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)
