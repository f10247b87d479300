"""Callers who hang up before they have their answer.

Starlette's ``is_disconnected`` is of no use here: behind any middleware of Airflow's it is always false.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any


async def until_gone(receive: Callable[[], Awaitable[Any]]) -> None:
    """Return when the caller has hung up.

    :param receive: ASGI's, of a request whose body has been read.
    """
    while (await receive())["type"] != "http.disconnect":
        continue
