"""Well-known mail services: what a name like ``QQ`` says about host, port and TLS.

``email_services.json`` is the data as the platform was given it, in the form of nodemailer's list
(https://nodemailer.com/smtp/well-known-services): kept whole and in its order, so that a newer list can
take its place. What an entry leaves out is None here; :mod:`push_provider.channels.email.account` decides what holds
then.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One entry of the list.

    :param name: its key, as shown to people.
    :param host: the server; None if it has no fixed one (Maildev: nodemailer connects to localhost then).
    :param port: TCP port; None if the entry names none.
    :param secure: True is TLS from the first byte, False is STARTTLS; None if the entry does not say.
    :param auth_method: SASL mechanism that must be used, or None.
    :param ignore_tls: STARTTLS is not used even if the server offers it.
    :param ciphers: the entry's ``tls.ciphers``. For information only: nobody may hand it to OpenSSL.
        Hotmail's ``SSLv3`` made nodemailer of 2013 connect to servers that broke off at a TLS 1.2
        greeting. It is no protocol but OpenSSL's name for the cipher suites that SSL 3.0 had: today it
        takes away every suite that a TLS 1.2 server in its right mind accepts ("no shared cipher",
        measured with OpenSSL 3.0). nodemailer's own list has dropped it.
    :param aliases: other names.
    :param domains: domains of the addresses that this service hosts.
    """

    name: str
    host: str | None = None
    port: int | None = None
    secure: bool | None = None
    auth_method: str | None = None
    ignore_tls: bool = False
    ciphers: str | None = None
    aliases: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()


def _service(name: str, entry: Mapping[str, Any]) -> Service:
    port = entry.get("port")
    return Service(
        name=name,
        host=entry.get("host"),
        port=None if port is None else int(port),  # qiye.aliyun has its port as text
        secure=entry.get("secure"),
        auth_method=entry.get("authMethod"),
        ignore_tls=entry.get("ignoreTLS", False),
        ciphers=entry.get("tls", {}).get("ciphers"),
        aliases=tuple(entry.get("aliases", ())),
        domains=tuple(entry.get("domains", ())),
    )


@lru_cache(maxsize=1)
def _services() -> tuple[Service, ...]:
    text = files(__package__).joinpath("email_services.json").read_text(encoding="utf-8")
    return tuple(_service(name, entry) for name, entry in json.loads(text).items())


def _key(name: str) -> str:
    return "".join(name.split()).casefold()


@lru_cache(maxsize=1)
def _index() -> dict[str, Service]:
    return {_key(name): one for one in _services() for name in (one.name, *one.aliases, *one.domains)}


def service_names() -> list[str]:
    """The keys of the list, in its order."""
    return [service.name for service in _services()]


def find_service(name: str) -> Service | None:
    """Find a service by key, alias or domain; case and spaces make no difference.

    :param name: such as ``QQ``, ``google mail`` or ``googlemail.com``.
    """
    return _index().get(_key(name))


def service_for_address(address: str) -> Service | None:
    """Find the service that hosts a mail address, by its domain.

    :param address: such as ``me@qq.com``; what is no address has no service.
    """
    local, _, domain = address.strip().rpartition("@")
    # The dot keeps keys that are plain words ("me", "one") from being taken for domains.
    return find_service(domain) if local and "." in domain else None


def similar_services(text: str, *, limit: int = 3) -> list[str]:
    """Names of services that somebody who wrote ``text`` may have meant, best first.

    :param text: a name that :func:`find_service` does not know, or the domain of an address.
    :param limit: how many at most.
    """
    wanted = _key(text)
    hosts = [one.name for one in _services() if "." in wanted and (one.host or "").endswith(f".{wanted}")]
    names = [_index()[key].name for key in difflib.get_close_matches(wanted, _index(), n=limit, cutoff=0.6)]
    return list(dict.fromkeys(hosts + names))[:limit]
