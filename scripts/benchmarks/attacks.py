"""The worst that callers and producers have sent so far: templates, bodies, exports never read, servers without end."""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

PATIENCE = 5.0
"""Seconds after which an attacker hangs up."""
PAUSE = 0.25
"""Seconds between two attacks of a caller: what is refused at once is no more than many requests."""
_UNREAD = 20.0
_LOOP = "{% set n = namespace(x=0) %}{% for i in range(100000) %}{% for j in range(100000) %}"
_END = "{% endfor %}{% endfor %}{{ v }}"
KINDS = (
    "preview", "preview_and_leave", "export",
    "dry_run", "bulk", "patch", "keys", "fields", "deep", "names", "crowd", "alphabets",
    "test",
)  # fmt: skip
"""What is tried: the first line by viewers, too, the last by operators alone."""
TEMPLATES = {
    "namespaces": _LOOP + "{% set n.x = namespace(x=n.x, y='abcdefgh' * 1000 ~ i) %}" + _END,
    "cyclers": _LOOP + "{% set n.x = cycler(n.x, 'abcdefgh' * 1000 ~ i) %}" + _END,
    "lists": _LOOP + "{% set n.x = cycler(n.x, [" + "i," * 2000 + "]) %}" + _END,
    "turns": _LOOP + _END,
    "sums": "{% for i in range(100000) if range(100000)|sum < 0 %}{% endfor %}{{ v }}",
    "words": "{{ ('a ' * 45000)|wordwrap(1) }}{{ v }}",
    "brackets": "{{ v }}{{ '[' * 90000 }}",
    "emphasis": "{{ v }}{{ '*a_ ' * 22000 }}",
    "quotes": "{{ v }}{{ '>' * 90000 }}",
    "tags": "{{ v }}{{ ('<div><table><tr><td>' * 4500)|safe }}",
    "open comments": "{{ v }}{{ ('<!-- <a ' * 11000)|safe }}",
    "parentheses": "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}",
    "filters": "{{ v" + "|upper" * 4900 + " }}",
    "conditions": "{{ v }}" + "{% if v %}" * 90 + "{% endif %}" * 90,
}


def task(code: str, **fields: Any) -> dict[str, Any]:
    """A push task that is started by hand."""
    manual = {"schedule": {"kind": "manual"}, "execution": {"type": "loop"}, "recipients": ["a@bench.example"]}
    return {"code": code, "name": code, "channel": "email", "subject": "s", "content": "c", **manual, **fields}


def _mail(template: str, kind: str) -> dict[str, Any]:
    return {"content": TEMPLATES[template], "content_type": kind, "variables": {"v": 1}}


def _json(body: Any) -> bytes:
    return json.dumps(body).encode()


# Made once: the attackers' machine is the one that is measured, and an attack is what arrives.


@cache
def _twice(count: int) -> bytes:
    """A document whose keys stand there twice each."""
    return b"{" + b",".join(b'"k%d":1,"k%d":1' % (n, n) for n in range(count)) + b"}"


@cache
def _unknown_fields(count: int) -> bytes:
    return _json(task("f") | {f"unknown{n}": n for n in range(count)})


@cache
def _long_addresses(count: int) -> bytes:
    return _json(task("crowd", recipients=[f"{'a' * 60}@{'b.' * 90}{n}.example" for n in range(count)]))


@cache
def _alphabets(count: int) -> bytes:
    """Domains that take half a millisecond each, in a body that counts as small or as large."""
    return _json(task("z", recipients=[f"a@ö{'é' * 9}{n}.de" for n in range(count)]))


class Attack(NamedTuple):
    """Who attacks whom.

    :param callers: name, role and token of each.
    :param big: a task with very many deliveries.
    :param ports: of the mail servers.
    :param broker: its address.
    :param only: names of attacks, and ``kafka``; empty: all.
    """

    address: str
    callers: list[tuple[str, str, str]]
    big: str
    ports: dict[str, int]
    broker: str
    topic: str
    until: float
    only: frozenset[str]


class Attacker:
    """One caller, with a name of their own.

    :param role: which of the attacks they may try.
    """

    def __init__(self, attack: Attack, name: str, role: str, token: str) -> None:
        self._address = attack.address
        self._token = token
        self._name = name
        self._big = attack.big
        self.answers: Counter[str] = Counter()
        kinds = KINDS[:3] if role == "viewer" else KINDS if role == "op" else KINDS[:-1]
        self.attacks = {kind: getattr(self, f"_{kind}") for kind in kinds}
        if attack.only:
            self.attacks = {kind: one for kind, one in self.attacks.items() if kind in attack.only}

    def run(self, until: float) -> None:
        """Attack until then."""
        chance = random.Random(self._name)
        while self.attacks and time.time() < until:
            kind = chance.choice(list(self.attacks))
            try:
                told = str(self.attacks[kind](chance))
            except TimeoutError:
                told = "hung up"
            except (OSError, http.client.HTTPException) as error:
                told = type(error).__name__
            self.answers[f"{kind} {told}"] += 1
            time.sleep(PAUSE)

    def _send(self, method: str, path: str, body: Any, patience: float = PATIENCE) -> int:
        data = body if isinstance(body, bytes) else _json(body)
        connection = http.client.HTTPConnection(self._address, timeout=patience)
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        try:
            connection.request(method, f"/push/v1{path}", data, headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()

    def _any_mail(self, chance: random.Random) -> dict[str, Any]:
        return _mail(chance.choice(list(TEMPLATES)), chance.choice(["html", "markdown", "text"]))

    def _preview(self, chance: random.Random) -> int:
        return self._send("POST", "/preview", {"task": task("p", **self._any_mail(chance))})

    def _preview_and_leave(self, chance: random.Random) -> int:
        return self._send("POST", "/preview", {"task": task("p", **self._any_mail(chance))}, 0.2)

    def _dry_run(self, chance: random.Random) -> int:
        return self._send("POST", "/tasks?dry_run=true", task(f"{self._name}-dry", **self._any_mail(chance)))

    def _bulk(self, chance: random.Random) -> int:
        tasks = [task(f"{self._name}-bulk-{n}", **self._any_mail(chance)) for n in range(20)]
        return self._send("POST", "/tasks/bulk", {"tasks": tasks})

    def _patch(self, chance: random.Random) -> int:
        code = f"{self._name}-patched"
        status = self._send("PATCH", f"/tasks/{code}", self._any_mail(chance))
        return self._send("POST", "/tasks", task(code)) if status == 404 else status

    def _keys(self, chance: random.Random) -> int:
        return self._send("POST", "/tasks", _twice(chance.choice([10_000, 20_000])))

    def _fields(self, chance: random.Random) -> int:
        return self._send("POST", "/tasks", _unknown_fields(chance.choice([3000, 30_000])))

    def _deep(self, chance: random.Random) -> int:
        return self._send("POST", "/tasks", chance.choice([b"[" * 100_000, b'{"a":' * 100_000, b"1" * 500_000]))

    def _names(self, chance: random.Random) -> int:
        odd = chance.choice([{"template": "t" * 300, "content": None}, {"attachments": ["//[x"]}])
        return self._send("POST", "/tasks", task(f"{self._name}-names", **odd))

    def _crowd(self, chance: random.Random) -> int:
        return self._send("POST", "/tasks?dry_run=true", _long_addresses(chance.choice([10_000, 50_000])))

    def _alphabets(self, chance: random.Random) -> int:
        return self._send("POST", "/tasks?dry_run=true", _alphabets(chance.choice([3_000, 50_000])))

    def _test(self, chance: random.Random) -> int:
        return self._send("POST", f"/configs/{chance.choice(SERVERS)}/test", {})

    def _export(self, _chance: random.Random) -> str:
        """Ask for a CSV of very many rows, and do not read it."""
        host, _, port = self._address.partition(":")
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(PATIENCE)
            connection.connect((host, int(port)))
            connection.sendall(
                f"GET /push/v1/deliveries?task={self._big} HTTP/1.1\r\nHost: {self._address}\r\nAccept: text/csv\r\n"
                f"Authorization: Bearer {self._token}\r\n\r\n".encode()
            )
            status = connection.recv(12)[9:12].decode()
            if status == "200":
                time.sleep(_UNREAD)
            return status


# --- mail servers without end ----------------------------------------------------------------------------

SERVERS = ("hostile-endless", "hostile-drip")
"""Connections that an administrator has made in good faith."""


def _endless(connection: socket.socket) -> None:
    connection.sendall(b"220 hello\r\n")
    connection.recv(100)
    lines = b"250-" + b"x" * 70 + b"\r\n"
    while True:
        connection.sendall(lines * 100)


def _drip(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"220-")
        for _ in range(60):
            connection.sendall(b"x")
            time.sleep(0.5)
        connection.sendall(b"\r\n")


def _mail_servers(ports: dict[str, int]) -> None:
    """Run them until the process ends."""

    def serve(listener: socket.socket, talk: Callable[[socket.socket], None]) -> None:
        def one(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                talk(connection)

        while True:
            threading.Thread(target=one, args=[listener.accept()[0]], daemon=True).start()

    for name, talk in zip(SERVERS, (_endless, _drip), strict=True):
        listener = socket.create_server(("127.0.0.1", ports[name]))
        threading.Thread(target=serve, args=[listener, talk], daemon=True).start()


# --- Kafka -----------------------------------------------------------------------------------------------


def messages(number: int) -> list[bytes]:
    """What hostile producers send in one go.

    :param number: of the turn.
    """
    templates = list(TEMPLATES)
    many = task("many", recipients=[f"many-{n}@bench.example" for n in range(1000)], max_active_runs=1)
    worst = [
        {"define": task("k-template", template="t" * 300, content=None)},
        {"define": task("k-attachment", attachments=["//[x"])},
        {"define": task("k-mail", **_mail(templates[number % len(templates)], "html"))},
        {"define": many},
        [{"task": "many"}] * 200,
        {"task": "nobody"},
        {f"unknown{n}": n for n in range(3000)},
    ]
    return [*(json.dumps(one).encode() for one in worst), _twice(20_000), b"[" * 50_000, b"\xff\xfe", b""]


# --- in a process of their own -----------------------------------------------------------------------------


def run(attack: Attack, results: Connection) -> None:
    """Attack, and send what was answered."""
    from confluent_kafka import Producer

    _mail_servers(attack.ports)
    attackers = [Attacker(attack, *caller) for caller in attack.callers]
    threads = [threading.Thread(target=one.run, args=[attack.until], daemon=True) for one in attackers]
    for thread in threads:
        thread.start()
    producer = Producer({"bootstrap.servers": attack.broker, "log_level": 0, "linger.ms": 5})
    sent = turns = 0
    while time.time() < attack.until:
        for data in [] if attack.only and "kafka" not in attack.only else messages(turns):
            producer.produce(attack.topic, data)
            sent += 1
        producer.flush(10)
        turns += 1
        time.sleep(1)
    for thread in threads:
        thread.join(_UNREAD + PATIENCE)
    total: Counter[str] = Counter()
    for one in attackers:
        total.update(one.answers)
    results.send((total, sent))
