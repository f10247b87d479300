"""PgBouncer for tests, as Debian has it: each transaction may get another connection. Left out where there is none."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ports import free_port

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
_SETTINGS = """
[databases]
{database} = host={socket} user=postgres

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {size}
logfile = {folder}/log
pidfile = {folder}/pid
"""


@contextmanager
def pgbouncer(folder: Path, socket: Path, database: str, size: int) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """One in front of a database, which need not be there yet: its port, and its process.

    :param folder: for its files.
    :param socket: folder of PostgreSQL's socket.
    :param size: connections that it has to the database.
    """
    assert PROGRAM is not None
    port = free_port()
    settings = folder / "pgbouncer.ini"
    values = {"database": database, "socket": socket, "port": port, "folder": folder, "size": size}
    settings.write_text(_SETTINGS.format(**values))
    account: dict[str, Any] = {}
    if os.geteuid() == 0:  # whom it refuses
        nobody = pwd.getpwnam("nobody")
        account = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        for above in folder.parents:  # which pytest keeps to itself
            above.chmod(above.stat().st_mode | 0o001)
    with subprocess.Popen([PROGRAM, "-q", str(settings)], stderr=subprocess.DEVNULL, **account) as running:
        try:
            yield port, running
        finally:
            running.terminate()
