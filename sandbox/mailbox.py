"""The mails that the sandbox took: a folder with one ``.eml`` file a mail, and an index of them.

The folder holds ``<id>.eml``, byte for byte as it came, and ``index.jsonl``, a line of JSON a mail in
the order of arrival: what a list shows and what the file itself cannot say (envelope, time received).
The index is also kept in memory. One process uses a folder at a time, and calls from one thread.
"""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import getaddresses
from itertools import islice
from pathlib import Path
from typing import Any, Self

from push_provider.exceptions import ConfigurationError
from sandbox import message
from sandbox.journal import Journal, exclusive

KEEP = 10_000
"""Mails kept; each further one removes the oldest."""


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail, as lists show it.

    :param id: its file's name without ``.eml``; unique in the folder.
    :param received_at: when the sandbox had all of it, in UTC.
    :param mail_from: envelope sender; empty for a bounce.
    :param rcpt_to: envelope recipients that were accepted.
    :param subject: decoded.
    :param size: bytes of the file.
    :param message_id: with its angle brackets, or None.
    """

    id: str
    received_at: datetime
    mail_from: str
    rcpt_to: tuple[str, ...]
    subject: str
    size: int
    message_id: str | None

    def as_json(self) -> dict[str, Any]:
        """As the API and the index file give it; times as RFC 3339."""
        return {
            "id": self.id,
            "received_at": self.received_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "mail_from": self.mail_from,
            "rcpt_to": list(self.rcpt_to),
            "subject": self.subject,
            "size": self.size,
            "message_id": self.message_id,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Read what :meth:`as_json` gave.

        :raises ValueError, KeyError, TypeError: it did not give this.
        """
        if not all(isinstance(data[name], str) for name in ("id", "mail_from", "subject")):
            raise TypeError("a text is not a text")
        return cls(
            id=data["id"],
            received_at=datetime.fromisoformat(data["received_at"]),
            mail_from=data["mail_from"],
            rcpt_to=tuple(map(str, data["rcpt_to"])),
            subject=data["subject"],
            size=int(data["size"]),
            message_id=data["message_id"],
        )


class Mailbox:
    """Open the folder, make it if it is missing, and read what it holds.

    :param folder: where the mails are kept.
    :param keep: how many; older ones are removed.
    :raises ConfigurationError: the folder cannot be used, or another sandbox uses it.
    """

    def __init__(self, folder: Path, *, keep: int = KEEP) -> None:
        self.folder = folder
        self.keep = keep
        self._mails: OrderedDict[str, Mail] = OrderedDict()
        self._index = Journal(folder / "index.jsonl")
        self._number = 0
        self._changes = 0
        self._opened = time.time_ns()
        self._owned = ExitStack()
        self._owned.enter_context(exclusive(folder))
        self._owned.callback(self._index.close)
        # Removing a file can take longer than all else that a mail costs, and nobody waits for it.
        self._remover = ThreadPoolExecutor(1, thread_name_prefix="mailbox-remover")
        self._owned.callback(self._remover.shutdown)
        try:
            self._load()
            self._rewrite_index()
        except OSError as error:
            self._owned.close()
            raise ConfigurationError(
                f"The folder {folder} cannot be read ({error.strerror}); choose another with --folder"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._mails)

    @property
    def version(self) -> str:
        """A text that is another one whenever the mailbox holds other mails."""
        return f"{self._opened:x}-{self._changes:x}"

    def close(self) -> None:
        """Finish what is to be removed, and let another process use the folder."""
        self._owned.close()

    def add(self, content: bytes, *, mail_from: str, rcpt_to: Sequence[str]) -> Mail:
        """Keep a mail. When this returns, the mail outlives the process (but not the machine).

        :raises OSError: it could not be written, and nothing of it is left.
        """
        now = datetime.now(UTC)
        # The index holds milliseconds; the mail in memory must not differ from the one after a restart.
        now = now.replace(microsecond=now.microsecond // 1000 * 1000)
        self._number += 1
        subject, message_id = message.summary(content)
        mail = Mail(
            id=f"{now:%Y%m%dT%H%M%S}-{self._number:06d}",
            received_at=now,
            mail_from=message.printable(mail_from),
            rcpt_to=tuple(map(message.printable, rcpt_to)),
            subject=subject,
            size=len(content),
            message_id=message_id,
        )
        path = self._path(mail.id)
        self._write(path, content)
        try:
            self._index.append([mail.as_json()])
        except OSError:
            path.unlink(missing_ok=True)
            raise
        self._mails[mail.id] = mail
        self._changes += 1
        while len(self._mails) > self.keep:
            oldest, _ = self._mails.popitem(last=False)
            self._remover.submit(self._remove, [oldest])
        if self._index.lines >= 2 * self.keep + 1000:
            # The mail is safe; a disk too full for a second index is tried again with the next one.
            with suppress(OSError):
                self._rewrite_index()
        return mail

    def find(
        self, *, to: str = "", subject: str = "", text: str = "", limit: int = 100, offset: int = 0
    ) -> tuple[list[Mail], int]:
        """Mails, the newest first. Each filter is a part of what is looked for, in any case.

        :param to: in an envelope recipient.
        :param subject: in the subject.
        :param text: in a recipient, the sender or the subject.
        :returns: at most ``limit`` mails after the first ``offset``, and how many match in all.
        """
        to, subject, text = to.casefold(), subject.casefold(), text.casefold()
        mails: Iterable[Mail] = reversed(self._mails.values())
        total = len(self._mails)
        if to or subject or text:
            mails = [mail for mail in mails if _matches(mail, to, subject, text)]
            total = len(mails)
        return list(islice(mails, offset, offset + limit)), total

    def get(self, mail_id: str) -> Mail | None:
        """The mail with this id, or None."""
        return self._mails.get(mail_id)

    def read(self, mail: Mail) -> bytes:
        """A mail's source, as it came. May be called from any thread.

        :raises FileNotFoundError: it was removed meanwhile.
        """
        return self._path(mail.id).read_bytes()

    def clear(self) -> int:
        """Remove every mail.

        :returns: how many there were.
        """
        removed = list(self._mails)
        self._mails.clear()
        self._changes += 1
        self._rewrite_index()
        self._remover.submit(self._remove, removed)
        return len(removed)

    def _path(self, mail_id: str) -> Path:
        return self.folder / f"{mail_id}.eml"

    def _remove(self, mail_ids: Iterable[str]) -> None:
        for mail_id in mail_ids:
            self._path(mail_id).unlink(missing_ok=True)

    def _write(self, path: Path, content: bytes) -> None:
        # Under another name first: a process killed here must not leave half a mail that looks whole.
        part = path.with_suffix(".part")
        try:
            part.write_bytes(content)
            part.rename(path)
        except OSError:
            part.unlink(missing_ok=True)
            raise

    def _rewrite_index(self) -> None:
        """Write the index anew, without the lines of mails that are gone."""
        self._index.rewrite(mail.as_json() for mail in self._mails.values())

    def _load(self) -> None:
        files: dict[str, os.stat_result] = {}
        with os.scandir(self.folder) as entries:
            for entry in entries:
                if entry.name.endswith(".part"):
                    Path(entry.path).unlink(missing_ok=True)
                elif entry.name.endswith(".eml") and entry.is_file(follow_symlinks=False):
                    files[entry.name.removesuffix(".eml")] = entry.stat()
        mails = self._read_index(files)
        # A mail of which the index knows nothing: the process was killed just before it answered, or
        # somebody put it there.
        mails += [self._adopt(name, files[name]) for name in sorted(files.keys() - {mail.id for mail in mails})]
        mails.sort(key=lambda mail: mail.received_at)
        self._remove(mail.id for mail in mails[: -self.keep])
        self._mails.update((mail.id, mail) for mail in mails[-self.keep :])
        numbers = (mail.id.rpartition("-")[2] for mail in mails)
        self._number = max((int(number) for number in numbers if number.isdecimal()), default=0)

    def _read_index(self, files: dict[str, os.stat_result]) -> list[Mail]:
        mails: dict[str, Mail] = {}
        for entry in self._index.read():
            try:
                mail = Mail.from_json(entry)
            except (ValueError, KeyError, TypeError):
                continue  # its mail is adopted
            if mail.id in files:
                mails[mail.id] = mail
        return list(mails.values())

    def _adopt(self, mail_id: str, stat: os.stat_result) -> Mail:
        content = self._path(mail_id).read_bytes()
        subject, message_id = message.summary(content)
        fields: dict[str, list[str]] = {}
        for name, value in message.parts(content).headers:
            fields.setdefault(name.lower(), []).append(value)
        senders = [address for _, address in getaddresses(fields.get("from", []))]
        return Mail(
            id=mail_id,
            received_at=datetime.fromtimestamp(int(stat.st_mtime), UTC),
            mail_from=senders[0] if senders else "",
            rcpt_to=tuple(address for _, address in getaddresses(fields.get("to", [])) if address),
            subject=subject,
            size=stat.st_size,
            message_id=message_id,
        )


def _matches(mail: Mail, to: str, subject: str, text: str) -> bool:
    recipients = "\n".join(mail.rcpt_to).casefold()
    title = mail.subject.casefold()
    return (
        to in recipients
        and subject in title
        and (not text or text in recipients or text in title or text in mail.mail_from.casefold())
    )
