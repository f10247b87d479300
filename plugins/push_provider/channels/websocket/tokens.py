"""Tokens by which a client connects to Centrifugo as one user (https://centrifugal.dev/docs/server/authentication)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from pydantic import AfterValidator, Field, ValidationError, model_validator

from push_provider.channels.websocket.task import user_id
from push_provider.contract.base import Contract
from push_provider.contract.documents import storable, with_few_unknown
from push_provider.contract.values import Number
from push_provider.contract.wording import told
from push_provider.exceptions import ConfigurationError, InvalidTask

if TYPE_CHECKING:
    from push_provider.channels.websocket.centrifugo_config import CentrifugoConfig

LONGEST = 7 * 24 * 3600
"""Seconds that a token may hold: nobody can take it back."""


class TokenRequest(Contract):
    """For whom a token is, and for how long."""

    user: Annotated[str, AfterValidator(user_id)] = Field(
        min_length=1, max_length=320, description="As push tasks name the recipient"
    )
    config: str | None = Field(
        default=None, min_length=1, max_length=250, description="Connection id; left out, the channel's default one"
    )
    seconds: Number = Field(default=3600, ge=60, le=LONGEST, description="That it holds: nobody can take it back")

    @model_validator(mode="before")
    @classmethod
    def _can_be_told(cls, data: Any) -> Any:
        return with_few_unknown(cls, storable(data))


def parse_token_request(data: Any) -> TokenRequest:
    """Read for whom a token is wanted.

    :param data: a mapping.
    :raises InvalidTask: names every broken field.
    """
    try:
        return TokenRequest.model_validate(data)
    except ValidationError as error:
        raise InvalidTask(told(error, TokenRequest)) from None


class ClientToken(NamedTuple):
    """A token.

    :param token: a JWT, signed HS256.
    :param expires_at: when it ends.
    """

    token: str
    expires_at: datetime


def client_token(config: CentrifugoConfig, user: str, *, seconds: int, now: datetime) -> ClientToken:
    """Make a token for a user.

    :param user: an id that :func:`~push_provider.channels.websocket.task.user_id` gave.
    :param now: the present moment.
    :raises ConfigurationError: the connection has no HMAC secret.
    """
    import jwt

    if config.token_secret is None:
        raise ConfigurationError(
            f"Connection {config.connection!r}: field 'token_secret' is empty; enter Centrifugo's "
            "client.token.hmac_secret_key."
        )
    until = (now + timedelta(seconds=seconds)).replace(microsecond=0)
    claims = {"sub": user, "iat": int(now.timestamp()), "exp": int(until.timestamp())}
    return ClientToken(jwt.encode(claims, config.token_secret, algorithm="HS256"), until)
