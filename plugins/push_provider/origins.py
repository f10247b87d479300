"""What a browser says of where a request comes from, and whether that is us.

A page of another site can have a browser send us a request, with our cookie if we share a host: cookies know no ports
(RFC 6265, 8.5). And it can give us a name of its own, if its DNS says so (DNS rebinding).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
"""The names under which a machine knows itself."""
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""They change nothing (RFC 9110, 9.2.1)."""


class Origin(NamedTuple):
    """Scheme and ``host:port`` of a page (RFC 6454), the port left out where the scheme implies it."""

    scheme: str
    netloc: str

    @classmethod
    def of(cls, url: str) -> Origin | None:
        """The origin of a URL, or what a browser sends as one; None if that is no origin, such as ``null``."""
        try:
            parts = urlsplit(url)
            name, port = parts.hostname, parts.port
        except ValueError:
            return None
        if not parts.scheme or not name:
            return None
        host = f"[{name}]" if ":" in name else name
        implied = {"http": 80, "https": 443}.get(parts.scheme)
        return cls(parts.scheme, host if port in (None, implied) else f"{host}:{port}")


def hostname(host: str) -> str | None:
    """The name in a ``Host`` header, in lower case; None if there is none."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def is_from_elsewhere(headers: Mapping[str, str], scheme: str, trusted: Collection[Origin] = ()) -> bool:
    """Whether the page of another site asks; with a cookie also if it cannot be told who asks.

    Every browser sends Origin with what is not a GET, and those of today Sec-Fetch-Site, too, where TLS or loopback is
    used (Fetch standard, 3.2; W3C Fetch Metadata). A page can set neither. Programs send neither, nor a cookie.

    :param headers: of the request, with names in any case.
    :param scheme: of the request, ``http`` also where a proxy has taken the TLS off.
    :param trusted: other origins that are us, or may do what we may.
    """
    given, site = headers.get("origin"), headers.get("sec-fetch-site")
    origin = Origin.of(given) if given is not None else None
    if origin in trusted:
        return False
    if site is not None:  # It is told by the browser, which knows our name even if a proxy has changed Host.
        return site != "same-origin"
    if given is None:
        return "cookie" in headers
    return origin not in {Origin.of(f"{one}://{headers.get('host', '')}") for one in (scheme, "https")}
