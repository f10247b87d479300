"""Who stands behind the sandbox's one address for vendors: Google, known by the paths of its APIs, and else Aliyun."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.aliyun import Products
    from sandbox.fcm import FcmGateway
    from sandbox.sms_gateway import Reply
    from sandbox.sms_signature import Request


class Vendors:
    """Hands each request to whom it is for.

    :param aliyun: SMS and Mobile Push.
    :param google: FCM and its tokens.
    """

    def __init__(self, aliyun: Products, google: FcmGateway) -> None:
        self._aliyun = aliyun
        self._google = google

    def answer(self, request: Request) -> Reply:
        """Carry a request out, and say what the client gets."""
        return (self._google if self._google.serves(request.path) else self._aliyun).answer(request)
