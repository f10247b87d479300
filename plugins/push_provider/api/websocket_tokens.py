"""Tokens by which pages and apps connect, for callers who have a right of their own to make them."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter
from pydantic import Field

from push_provider import default_configs
from push_provider.api import audit, openapi
from push_provider.api.bodies import JsonBody
from push_provider.api.guards import CallerDep, Right, needs
from push_provider.api.models import Answer
from push_provider.api.problems import Problem
from push_provider.channels.websocket.centrifugo_account import centrifugo_config
from push_provider.channels.websocket.tokens import client_token, parse_token_request
from push_provider.ledger.engine import get_engine

router = APIRouter(tags=["WebSocket"])

_CHANNEL = "websocket"


class TokenAnswer(Answer):
    """A token, and all else that a client needs."""

    token: str = Field(description="A JWT, for the client library")
    expires_at: datetime
    url: str = Field(description="Where the client connects", examples=["wss://push.example.com/connection/websocket"])
    channel: str = Field(description="What it subscribes to", examples=["push:#lilei"])


@router.post(
    "/websocket/tokens",
    responses=openapi.errors(400, 401, 403, 404, 409, 413, 415, 422, 429),
    openapi_extra=openapi.body("TokenRequest"),
)
@needs(Right.TOKENS)
def mint_websocket_token(caller: CallerDep, body: JsonBody) -> TokenAnswer:
    """Make a token by which a page or an app connects to Centrifugo as one user, and gets that user's messages.

    For servers that know who is logged in there: whoever has a token reads all that is sent to its user meanwhile. It
    takes role Admin, or to be named in `[push] token_minters`.
    """
    with audit.refusals(caller, "push_mint_token"):
        caller.require_tokens()
    wanted = parse_token_request(body.mapping())
    audit.write(caller, "push_mint_token", said={"config": wanted.config, "recipients": [wanted.user]})
    name = wanted.config or default_configs.current(get_engine())[_CHANNEL]
    connection = caller.connection(name)
    if connection is None or (wanted.config and not caller.may_read_connection(name)):
        raise Problem(404, "unknown-config", f"There is no connection {name!r} that you may use.")
    config = centrifugo_config(connection)
    made = client_token(config, wanted.user, seconds=wanted.seconds, now=datetime.now(UTC))
    return TokenAnswer(
        token=made.token, expires_at=made.expires_at, url=config.client_url, channel=config.channel(wanted.user)
    )
