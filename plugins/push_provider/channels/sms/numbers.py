"""Which mobile numbers an SMS template is for, and how Aliyun is given them.

Aliyun's templates are for mainland China or international, and neither takes numbers of the other kind
(https://help.aliyun.com/document_detail/419274.html). It does not notice every wrong one: of a template for the
mainland, ``+14155552671`` is the mainland's 14155552671, and of an international one, ``13800138000`` is
+1 380 013 8000. So numbers of the other kind are never given to it, and all others with their country code, which
either kind of template reads alike or refuses.
"""

from __future__ import annotations

from typing import NamedTuple

from push_provider.channels.base import Result
from push_provider.channels.sms.aliyun_config import TemplateKind


class Numbers(NamedTuple):
    """The numbers that a template is for. Each is in the normal form of :func:`push_provider.addresses.phone_number`.

    :param template: its code.
    :param kind: of the template.
    :param source: who says so, for people.
    :param otherwise: what becomes of a recipient of the other kind.
    :param retry_after: seconds after which that may be known better.
    """

    template: str
    kind: TemplateKind
    source: str
    otherwise: Result = Result.FAILED
    retry_after: float | None = None

    def takes(self, number: str) -> bool:
        """Whether the template is for this number."""
        return number.startswith("+") is (self.kind is TemplateKind.INTERNATIONAL)

    def refusal(self, number: str) -> str:
        """Why the template is not for this number, and what to do."""
        if self.kind is TemplateKind.INTERNATIONAL:
            return (
                f"{number} is a number of mainland China, and template {self.template!r} is international "
                f"({self.source}); use one for mainland China for such numbers"
            )
        return (
            f"{number} is not a number of mainland China (nor are those of Hong Kong, Macao and Taiwan), and "
            f"template {self.template!r} is for mainland China ({self.source}); use an international one for such "
            "numbers"
        )

    @staticmethod
    def dialled(number: str) -> str:
        """The number as Aliyun is given it: country code and number, in digits alone."""
        return number[1:] if number.startswith("+") else f"86{number}"
