"""The fields of an SMS's push task, and what they must be: its text is the provider's approved template."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal

from pydantic import Field

from push_provider import strict_json
from push_provider.addresses import phone_number, shown
from push_provider.contract.documents import unstorable_text
from push_provider.contract.task import PushTask
from push_provider.contract.values import CONTENT_LIMIT, ProviderName
from push_provider.exceptions import FieldError


class SmsTask(PushTask):
    """A push task of channel sms."""

    instead: ClassVar[Mapping[str, str]] = {"template": "name the provider's template in template_code"}

    channel: Literal["sms"]
    content: str | None = Field(
        default=None,
        max_length=CONTENT_LIMIT,
        description="the parameters of the provider's template, a JSON object of texts, each a Jinja template",
    )
    template_code: ProviderName | None = Field(
        default=None, description="the provider's template, instead of the configuration's"
    )
    sign_name: ProviderName | None = Field(default=None, description="the signature, instead of the configuration's")

    @staticmethod
    def address(text: str) -> str:
        """A telephone number in its normal form."""
        return phone_number(text)

    def faults(self) -> Iterator[FieldError]:
        """What the parameters must be."""
        try:
            if self.content is not None:
                template_parameters(self.content)
        except ValueError as error:
            yield FieldError("content", str(error))


def template_parameters(content: str) -> dict[str, str]:
    """The content of an SMS: the parameters of the provider's template by their names.

    Aliyun takes texts only (``isv.INVALID_JSON_PARAM``, https://help.aliyun.com/document_detail/101346.html).

    :raises ValueError: it is not a JSON object of texts; says what is wrong.
    """
    like = """an SMS has the parameters of its template, a JSON object of texts like {"name": "{{ name }}"}"""

    try:
        parameters = strict_json.loads(content)
    except ValueError as error:
        raise ValueError(f"{error}; {like}") from None
    if not isinstance(parameters, dict):
        raise ValueError(f"is no JSON object; {like}")
    for name, value in parameters.items():
        if not isinstance(value, str):
            raise ValueError(f"{shown(name)} must be a text, in quotes; {like}")
        if problem := unstorable_text(name + value):
            raise ValueError(f"{shown(name)} {problem}")
    return parameters
