"""Several SMTP connections that share the mails of a chunk, in one thread.

One loop over non-blocking sockets, as the work is bound by the interpreter: four threads that send were a
fifth slower. Only connecting, which smtplib does blocking, happens in threads, so that a connection that is
being opened holds up none that is open.
"""

from __future__ import annotations

import contextlib
import logging
import math
import select
import smtplib
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from push_provider.channels.base import Outcome, Result, not_begun
from push_provider.channels.email.smtp_dialogue import Dialogue, Dropped, LoginRequired
from push_provider.channels.email.smtp_manners import Manners
from push_provider.channels.email.smtp_session import connect
from push_provider.exceptions import ConfigurationError, ContentError, ProviderUnavailable, PushError
from push_provider.unforeseen import Unforeseen

if TYPE_CHECKING:
    from push_provider.channels.base import Delivery
    from push_provider.channels.email.mime import Mail
    from push_provider.channels.email.smtp_config import SmtpConfig

log = logging.getLogger(__name__)

_SHARE = 8
"""Deliveries for which one more connection is worth its handshakes: these cost about as many round trips."""
_SETBACKS = 2
"""Connections in a row that may end without the server's word on any mail, before the chunk is given up."""
_NO_WORD = frozenset(("421", "timeout", "connection", "protocol"))
"""Codes that say something about the connection and nothing about the mail."""
_SLOWEST = 8192.0
"""Bytes a second that a server must take."""
_IDLE = 30.0
"""Seconds after which an idle connection is not trusted any more: firewalls forget it without a word."""

Fill = Callable[["Delivery", bool], "Mail"]
"""Makes the mail of a delivery; the flag says that the server takes 8BITMIME. Raises ContentError."""


class Pool:
    """Connections to one mail server, kept open between chunks.

    :param config: the mail account.
    :param fill: see :data:`Fill`.
    """

    def __init__(self, config: SmtpConfig, fill: Fill) -> None:
        self._config = config
        self._fill = fill
        self._manners = Manners(config.messages_per_connection)
        self._live: dict[int, Dialogue] = {}
        self._deadlines: dict[int, float] = {}
        self._poll = select.poll()
        self._writing: set[int] = set()
        self._opening = 0
        self._opened: SimpleQueue[smtplib.SMTP | PushError] = SimpleQueue()
        self._wake, self._waker = socket.socketpair()
        self._wake.setblocking(False)
        self._poll.register(self._wake, select.POLLIN)
        self._used = time.monotonic()
        self._closed = False
        self._longer = max(0.0, (config.content_timeout or 0.0) - config.timeout)
        """Seconds that the answer to a content may take beyond those of any other."""
        self._stopping = False
        self._stop_by = math.inf
        """Until when answers are waited for."""
        self._unforeseen = Unforeseen(log)
        self._most = config.max_connections
        """Connections that the server lets in at the same time, as far as it has shown."""
        self._let_in = False
        """Whether a connection was ever ready for mail."""
        self._taken = False
        """Whether the server ever gave its word on a mail."""
        self._shut_out: ProviderUnavailable | None = None
        """Why no more connections are tried: one that was needed was refused, and others before it were not."""
        self._reset([])

    def _reset(self, deliveries: Sequence[Delivery]) -> None:
        self._queue = deque(deliveries)
        self._outcomes: list[Outcome] = []
        self._reached = False
        """Whether the server has been handed or has answered any mail of the chunk."""
        self._setbacks = 0
        self._setback = ("connection", "")
        """Code and words of the last of them."""
        self._thinned = False
        """Whether a connection ended since the others were last asked to take over."""
        self._wanted = min(self._most, -(-len(deliveries) // _SHARE))
        self._error: PushError | None = self._shut_out

    def send(self, deliveries: Sequence[Delivery]) -> list[Outcome]:
        """Send a chunk and wait until every delivery has its outcome.

        :raises ConfigurationError: the server refuses the sender itself; nothing was handed over.
        :raises ProviderUnavailable: the server cannot be reached, or refuses the sender whom it took before; nothing
            was handed over.
        """
        self._reset(deliveries)
        try:
            self._discard_stale()
            self._run()
        except BaseException:
            # Dialogues that were interrupted cannot be taken up again.
            self._abandon("the sending was interrupted")
            raise
        self._used = time.monotonic()
        if self._error is not None and not self._reached:
            raise self._error
        return self._outcomes

    @property
    def given_up(self) -> PushError | None:
        """Why no more connections are tried, in no chunk to come, if that is so."""
        return self._shut_out

    def known(self) -> list[Outcome]:
        """What is known of the chunk that is being sent; see :meth:`push_provider.channels.base.Sender.known`."""
        # Copies of a list and of a deque are made in one step of the interpreter.
        left = tuple(self._queue) if self._stopping else ()
        return [*tuple(self._outcomes), *not_begun(one.id for one in left)]

    def stop(self, seconds: float) -> None:
        """Begin no more mails; see :meth:`push_provider.channels.base.Sender.stop`."""
        self._stopping = True
        self._stop_by = min(self._stop_by, time.monotonic() + seconds)
        # The loop may be waiting for an answer.
        with contextlib.suppress(OSError):
            self._waker.send(b"\0")

    def close(self) -> None:
        """Close all connections."""
        self._closed = True
        for dialogue in self._live.values():
            dialogue.close()
        self._live.clear()
        self._close_opened()

    # --- the desk of the dialogues --------------------------------------------------------------------

    def take(self, dialogue: Dialogue) -> Mail | None:
        """Give the next mail that this connection can carry; fail those that nobody can send."""
        queue = self._queue
        while queue:
            delivery = queue.popleft()
            if self._stopping:  # looked at after it was taken: what :meth:`known` saw in the queue is not begun
                queue.appendleft(delivery)
                return None
            try:
                mail = self._fill(delivery, dialogue.eightbit)
            except ContentError as error:
                self._outcomes.append(Outcome(delivery.id, Result.FAILED, None, "content", str(error)[:500]))
                continue
            except Exception as error:  # noqa: BLE001  (whatever it is, it is told)
                told = self._unforeseen.told(error, f"Delivery {delivery.id}")
                self._outcomes.append(Outcome(delivery.id, Result.FAILED, None, "content", told))
                continue
            if mail.utf8 and not dialogue.smtputf8:
                text = "the address needs SMTPUTF8 (RFC 6531), which the mail server does not offer"
                self._outcomes.append(Outcome(delivery.id, Result.FAILED, mail.message_id, "smtputf8", text))
                continue
            return mail
        return None

    def settle(self, mail: Mail, result: Result, code: str, text: str) -> None:
        """Take the final word about a mail."""
        self._reached = True
        if code not in _NO_WORD:
            self._setbacks = 0
            self._taken = True
        self._outcomes.append(Outcome(mail.delivery.id, result, mail.message_id, code, text))

    def put_off(self, mail: Mail, code: str, text: str) -> None:
        """Take a mail that a connection failed with, for a later try: the next one may fare better."""
        self._outcomes.append(Outcome(mail.delivery.id, Result.RETRY, mail.message_id, code, text))

    def give_back(self, mail: Mail, *, last: bool = False) -> None:
        """Queue a mail again that was surely not accepted.

        This ends: a connection gives back only after the final word about another mail, or it is a setback.
        """
        if last:
            self._queue.append(mail.delivery)
        else:
            self._queue.appendleft(mail.delivery)

    # --- the loop -------------------------------------------------------------------------------------

    def _run(self) -> None:
        timeout = self._config.timeout
        check = 0.0
        live, deadlines = self._live, self._deadlines
        self._start()
        while any(dialogue.busy for dialogue in live.values()) or self._more():
            now = time.monotonic()
            if now >= self._stop_by:
                self._abandon("the sending was stopped before the server answered")
                continue
            if now >= check:
                self._time_out(now)
                # No later than that: a content may have its answer meanwhile, and what follows it has less time.
                check = min([now + timeout, *(self._due(fd, d) for fd, d in live.items() if d.busy)])
                if not live and not self._opening:
                    continue
            for fd, event in self._poll.poll(max(0.0, min(check, self._stop_by) - now) * 1000 + 1):
                dialogue = live.get(fd)
                if dialogue is None:
                    self._collect()
                    continue
                try:
                    if event & select.POLLOUT:
                        # As much time again as what was written may take: a server that takes it by the byte is late.
                        deadlines[fd] = min(now + timeout, deadlines[fd] + dialogue.writable() / _SLOWEST)
                    if event & ~select.POLLOUT and dialogue.readable():
                        deadlines[fd] = now + timeout
                except Dropped as reason:
                    self._drop(fd, reason.code, str(reason))
                    continue
                except LoginRequired as refusal:
                    self._refuse(fd, refusal)
                    continue
                self._after(fd, dialogue)
            if self._thinned:
                self._thinned = False
                self._start()

    def _after(self, fd: int, dialogue: Dialogue) -> None:
        """Bring a socket's registration up to date, and close a connection that has carried its share."""
        if dialogue.blocked != (fd in self._writing):
            self._writing ^= {fd}
            self._poll.modify(fd, select.POLLIN | (select.POLLOUT if dialogue.blocked else 0))
        if dialogue.full and not dialogue.busy:
            self._forget(fd)
            self._ended(dialogue)
            dialogue.close()

    def _more(self) -> bool:
        """Whether deliveries wait for a connection that is being opened, or can still be; else end them."""
        if self._stopping:
            self._outcomes += not_begun(one.id for one in self._queue)
            self._queue.clear()
        if not self._queue:
            return False
        self._start()
        if any(dialogue.busy for dialogue in self._live.values()) or (self._queue and self._opening):
            return True
        if self._queue and not self._live:
            self._give_up()
        return bool(self._queue)

    def _start(self) -> None:
        """Set idle connections to work, and open what is wanted and missing."""
        for fd, dialogue in list(self._live.items()):
            if not self._queue:
                return
            if not dialogue.busy:
                self._advance(fd, dialogue)
        if not self._live and not self._opening:
            # The first one alone: a wrong password must not be tried several times at once.
            while self._may_connect() and not self._live:
                self._add(self._connect())
        self._replace()

    def _may_connect(self) -> bool:
        more = bool(self._queue) and not self._stopping
        return more and self._error is None and self._setbacks <= _SETBACKS

    def _replace(self) -> None:
        if not self._may_connect():
            return
        missing = min(self._wanted, len(self._queue)) - len(self._live) - self._opening
        for _ in range(missing if self._live else 0):
            self._opening += 1
            threading.Thread(target=self._connect_aside, name="push-smtp-connect", daemon=True).start()

    def _connect(self) -> smtplib.SMTP | PushError:
        try:
            return connect(self._config)
        except PushError as error:
            return error

    def _connect_aside(self) -> None:
        self._opened.put(self._connect())
        with contextlib.suppress(OSError):
            self._waker.send(b"\0")
        if self._closed:
            self._close_opened()

    def _collect(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wake.recv(4096)
        while True:
            try:
                opened = self._opened.get_nowait()
            except Empty:
                return
            self._opening -= 1
            self._add(opened)

    def _add(self, opened: smtplib.SMTP | PushError) -> None:
        if isinstance(opened, smtplib.SMTP):
            self._let_in = True
            dialogue = Dialogue(opened, self._config.from_email, self, self._manners)
            fd = dialogue.fileno()
            self._live[fd] = dialogue
            self._poll.register(fd, select.POLLIN)
            self._advance(fd, dialogue)
        elif self._live or self._opening:
            self._do_without(opened)
        elif self._let_in and isinstance(opened, ConfigurationError):
            self._stay_out(opened)
        elif self._reached and isinstance(opened, ProviderUnavailable) and self._setbacks < _SETBACKS:
            self._set_back("connection", str(opened))
        else:
            self._error = opened

    def _advance(self, fd: int, dialogue: Dialogue) -> None:
        self._deadlines[fd] = time.monotonic() + self._config.timeout
        try:
            dialogue.advance()
        except Dropped as reason:
            self._drop(fd, reason.code, str(reason))
        except LoginRequired as refusal:
            self._refuse(fd, refusal)
        else:
            self._after(fd, dialogue)

    # --- what goes wrong ------------------------------------------------------------------------------

    def _time_out(self, now: float) -> None:
        for fd, dialogue in list(self._live.items()):
            if dialogue.busy and (due := self._due(fd, dialogue)) <= now:
                seconds = self._config.timeout + due - self._deadlines[fd]
                self._drop(fd, "timeout", f"the server did not answer in {seconds:g} s")

    def _due(self, fd: int, dialogue: Dialogue) -> float:
        """When the time of what is waited for is over."""
        longer = self._longer if dialogue.judged and not self._stopping else 0.0
        return self._deadlines[fd] + longer

    def _forget(self, fd: int) -> None:
        self._poll.unregister(fd)
        self._writing.discard(fd)
        del self._live[fd], self._deadlines[fd]

    def _drop(self, fd: int, code: str, text: str) -> None:
        dialogue = self._live[fd]
        self._forget(fd)
        dialogue.drop(code, text)
        self._ended(dialogue, code, text)

    def _ended(self, dialogue: Dialogue, code: str = "", text: str = "") -> None:
        self._thinned = True
        if not dialogue.answered:
            refusal = dialogue.turned_away
            self._set_back(*((refusal.code.decode(), refusal.text) if refusal else (code, text)))

    def _set_back(self, code: str, text: str) -> None:
        self._setbacks += 1
        self._setback = code, text
        self._manners.forget_limit()

    def _refuse(self, fd: int, refusal: LoginRequired) -> None:
        config, reply = self._config, refusal.reply
        error = ConfigurationError(
            f"Connection {config.connection!r}: the mail server {config.host}:{config.port} takes no mail "
            f"from this session: {reply.code.decode()} {reply.text}. "
            "Give the connection a login and password, or TLS."
        )
        self._drop(fd, reply.code.decode(), reply.text)
        if not self._taken:
            self._error = error
        elif self._live or self._opening:
            self._do_without(error)
        else:
            self._stay_out(error)

    def _do_without(self, error: PushError) -> None:
        """Go on with the connections there are: servers allow so many at a time."""
        self._wanted = len(self._live) + self._opening
        if isinstance(error, ConfigurationError):  # which would be said to each chunk's next one, too
            self._most = max(1, self._wanted)

    def _stay_out(self, error: ConfigurationError) -> None:
        """Try no more connections, as the server refuses what it has taken before.

        A token has run out, or there were too many logins for its taste. The configuration may be as right as it was:
        the next try of the execution reads it anew, and gets another token.
        """
        self._error = self._shut_out = ProviderUnavailable(
            f"{str(error).rstrip('.')}. Another connection was let in before, so what is left is for a later try."
        )

    def _give_up(self) -> None:
        """No connection is left and none can be had that takes mail: what was not begun is for a later try."""
        code = "connection"
        if self._error is None:
            config, (code, words) = self._config, self._setback
            said = f"{code} {words}" if code.isdigit() else words
            self._error = ProviderUnavailable(
                f"Connection {config.connection!r}: the mail server {config.host}:{config.port} takes no mail "
                f"just now: {said}"
            )
        text = str(self._error)[:500]
        self._outcomes += [Outcome(d.id, Result.RETRY, None, code, text) for d in self._queue]
        self._queue.clear()

    def _discard_stale(self) -> None:
        old = time.monotonic() - self._used > _IDLE
        for fd, dialogue in list(self._live.items()):
            if old or dialogue.stale():
                self._forget(fd)
                dialogue.close()

    def _abandon(self, why: str) -> None:
        for fd, dialogue in list(self._live.items()):
            self._forget(fd)
            dialogue.drop("abandoned", why)

    def _close_opened(self) -> None:
        with contextlib.suppress(Empty):
            while True:
                opened = self._opened.get_nowait()
                self._opening -= 1
                if isinstance(opened, smtplib.SMTP):
                    opened.close()
        if not self._opening:
            self._wake.close()
            self._waker.close()
