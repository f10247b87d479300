"""The fields of a connection, read leniently where the meaning is clear, with errors that name the field."""

from __future__ import annotations

import ipaddress
import json
from typing import TYPE_CHECKING, Any
from unicodedata import category

from push_provider.addresses import ascii_domain, bare
from push_provider.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow.sdk import Connection

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})


def either(names: Iterable[str]) -> str:
    """Names for a message: ``'a' or 'b'``."""
    return " or ".join(map(repr, names))


def is_loopback(host: str) -> bool:
    """Whether what is sent to this host stays on this machine; names are not resolved (RFC 6761 section 6.3)."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        name = host.rstrip(".").lower()
        return name == "localhost" or name.endswith(".localhost")


def _text(value: Any) -> str | None:
    """A value of a form as text; empty counts as not given."""
    return None if value is None else bare(str(value)) or None


class Fields:
    """A connection's fields, read leniently where the meaning is clear; None is "not given".

    Airflow's form stores an untouched field as null or an empty string, ``airflow connections add`` and
    URIs give everything as text.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        # Airflow's extra_dejson takes broken JSON for nothing at all; here it would lose settings silently.
        try:
            valid = isinstance(json.loads(connection.extra or "{}"), dict)
        except ValueError:
            valid = False
        if not valid:
            raise self.error("extra", "is not a JSON object")
        self.extra: dict[str, Any] = connection.extra_dejson if connection.extra else {}

    def error(self, field: str, message: str) -> ConfigurationError:
        """The error that a field is wrong."""
        return ConfigurationError(f"Connection {self._connection.conn_id!r}: field {field!r} {message}.")

    def require_enabled(self) -> None:
        """Refuse a configuration that somebody has switched off.

        :raises ConfigurationError: ``enabled`` is false.
        """
        if self.flag("enabled") is False:
            raise ConfigurationError(
                f"Connection {self._connection.conn_id!r} is disabled; enable it under Admin > Connections, "
                "field 'enabled', or take another one."
            )

    def text(self, name: str) -> str | None:
        """A field of the extra as text."""
        value = self.extra.get(name)
        if isinstance(value, bool | list | dict):
            raise self.error(name, "takes text")
        return _text(value)  # a number too: 163 is a service

    def line(self, name: str) -> str | None:
        """A field of the extra that is one line of text."""
        text = self.text(name)
        if text and any(category(c) == "Cc" for c in text):
            raise self.error(name, "must be one line: a line break would start a new header field")
        return text

    def flag(self, name: str) -> bool | None:
        """A field of the extra that says yes or no."""
        value = self.extra.get(name)
        word = (_text(value) or "").lower()
        if word in _TRUE:
            return True
        if word in _FALSE:
            return False
        if word:
            raise self.error(name, f"is {value!r}; it takes true or false")
        return None

    def choice(self, name: str, choices: tuple[str, ...]) -> str | None:
        """A field of the extra that names one of ``choices``, in any case."""
        word = (self.text(name) or "").lower()
        if word and word not in choices:
            raise self.error(name, f"is {word!r}; it takes {either(choices)}")
        return word or None

    def whole(self, name: str, *, maximum: int) -> int | None:
        """A field of the extra that is a whole number from 1 on."""
        return self._whole(name, self.extra.get(name), maximum)

    def seconds(self, name: str) -> float | None:
        """A field of the extra that is a number of seconds above 0."""
        value = self.extra.get(name)
        text = _text(value)
        if text is None:
            return None
        try:
            number = float("nan") if isinstance(value, bool) else float(text)
        except ValueError:
            number = float("nan")
        if not 0 < number < float("inf"):
            raise self.error(name, f"is {value!r}; it takes a number of seconds above 0")
        return number

    def port(self) -> int | None:
        """The port."""
        value = self._connection.port
        # nodemailer, and Airflow's form, take 0 for none.
        return None if _text(value) in (None, "0") else self._whole("port", value, 65535)

    def login(self) -> str | None:
        """The login."""
        return _text(self._connection.login)

    def host(self) -> str | None:
        """The host: a name or an address, without port."""
        text = _text(self._connection.host)
        if text is None:
            return None
        text = text.removeprefix("[").removesuffix("]")
        try:
            ipaddress.ip_address(text)
        except ValueError:
            if any(not (c.isalnum() or c in ".-_") for c in text):
                raise self.error(
                    "host", f"is {text!r}; it takes a name such as smtp.qq.com, and the port its own field"
                ) from None
            try:
                return ascii_domain(text)
            except ValueError as error:
                raise self.error("host", f"is {text!r}, which is no name of a host: {error}") from None
        return text

    def _whole(self, name: str, value: Any, maximum: int) -> int | None:
        text = _text(value)
        if text is None:
            return None
        try:
            number = -1.0 if isinstance(value, bool) else float(text)
        except ValueError:
            number = -1.0
        if not (number.is_integer() and 1 <= number <= maximum):
            raise self.error(name, f"is {value!r}; it takes a whole number from 1 to {maximum}")
        return int(number)
