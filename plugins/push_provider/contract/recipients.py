"""To whom a push task goes: addresses, each with variables of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field, WrapValidator

from push_provider import written
from push_provider.contract.base import Contract
from push_provider.contract.lists import FirstFaults, by_pieces
from push_provider.contract.values import Variables

if TYPE_CHECKING:
    from pydantic import GetJsonSchemaHandler
    from pydantic_core import CoreSchema


class Recipient(Contract):
    """One address and the variables that only its own message sees."""

    to: str = Field(min_length=1, max_length=320)
    variables: Variables = Field(default={})


def _recipient(value: Any) -> Any:
    return {"to": value} if isinstance(value, str) else value


class _AsSchema:
    """What JSON may hold where a validator takes more than the type says."""

    def __init__(self, *others: dict[str, Any]) -> None:
        self._others = others

    def __get_pydantic_json_schema__(self, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [*self._others, handler(core_schema)]}


Recipients = Annotated[
    list[
        Annotated[
            Recipient,
            BeforeValidator(_recipient),
            _AsSchema({"type": "string", "minLength": 1, "maxLength": 320, "description": "An address"}),
        ]
    ],
    WrapValidator(by_pieces),
]


def normalise(recipients: list[Recipient], address: Callable[[str], str]) -> list[Recipient]:
    """Bring every address into its channel's normal form, and drop those that say the same twice.

    :param address: gives the normal form of one; it raises ValueError for what is none.
    :raises Broken: names the addresses that are none.
    """
    kept: dict[tuple[str, str], Recipient] = {}
    broken = FirstFaults()
    for index, recipient in enumerate(recipients):
        try:
            to = address(recipient.to)
        except ValueError as error:
            broken.add([{"loc": (index, "to"), "type": "value_error", "ctx": {"error": error}}], 1, index + 1)
            continue
        # The same address with other variables is another message: two orders of one customer.
        key = (to, written.dumps(recipient.variables, sort_keys=True) if recipient.variables else "")
        if key not in kept:
            kept[key] = Recipient.model_construct(to=to, variables=recipient.variables)
    broken.refuse()
    return list(kept.values())
