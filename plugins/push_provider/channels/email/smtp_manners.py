"""A mail server's ways, as its connections find them out from each other: how much one carries, and in which order.

They hold for as long as the pool does, which is an execution.
"""

from __future__ import annotations


class Manners:
    """What is known of one server.

    :param limit: mails that a connection may carry; None for as many as the server takes.
    """

    def __init__(self, limit: int | None = None) -> None:
        self._given = self.limit = limit
        self.ended_after: int | None = None
        """How many mails the connection had carried that the server ended last."""
        self.behind_content = True
        """Whether the next envelope may go out before a content is answered, as PIPELINING allows. Haraka offers
        it, and throws away what has come of that envelope when it answers the content."""

    def learn_limit(self, carried: int, expected: int | None) -> None:
        """Take note that the server ended a connection after so many mails.

        Once may be chance (a restart, a moment's trouble): it is a limit if a later one ends in the same way.

        :param expected: :attr:`ended_after` when that connection was opened.
        """
        self.ended_after = carried
        if carried == expected:
            self.limit = carried if self.limit is None else min(carried, self.limit)

    def forget_limit(self) -> None:
        """Go back to the limit that was given: a new connection takes no mail either, so it is something else."""
        self.limit, self.ended_after = self._given, None
