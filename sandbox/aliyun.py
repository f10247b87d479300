"""The sandbox's Aliyun: its products behind one address, each known by the version of its API."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.sms_gateway import AliyunGateway, Reply
    from sandbox.sms_signature import Request


class Products:
    """Gateways by the version of their API.

    :param first: answers also what names no known version.
    """

    def __init__(self, first: AliyunGateway, *others: AliyunGateway) -> None:
        self._first = first
        self._by_version = {gateway.version: gateway for gateway in (first, *others)}

    def answer(self, request: Request) -> Reply:
        """Hand a request to whom it is for."""
        return self._by_version.get(request.header("x-acs-version"), self._first).answer(request)
