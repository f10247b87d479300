"""The well-known mail services, whose names fill in host, port and TLS of a mail account."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import Field

from push_provider.api import openapi
from push_provider.api.guards import CallerDep, needs
from push_provider.api.models import Answer
from push_provider.channels.email.services import find_service, service_names

router = APIRouter(tags=["Configurations"])


class EmailService(Answer):
    """A mail service."""

    name: str = Field(description="What a connection's `service` takes", examples=["QQ"])
    aliases: list[str]
    domains: list[str] = Field(description="Of the addresses that it hosts")
    host: str | None
    port: int | None
    secure: bool | None = Field(description="TLS from the start; null: as the port wants it")


class EmailServices(Answer):
    """All of them."""

    items: list[EmailService]
    total_entries: int


@router.get("/email-services", responses=openapi.errors(401, 429))
@needs()
def list_email_services(caller: CallerDep) -> EmailServices:  # noqa: ARG001  (whoever is logged in)
    """The well-known mail services."""
    found = [service for name in service_names() if (service := find_service(name)) is not None]
    items = [
        EmailService(
            name=one.name,
            aliases=list(one.aliases),
            domains=list(one.domains),
            host=one.host,
            port=one.port,
            secure=one.secure,
        )
        for one in found
    ]
    return EmailServices(items=items, total_entries=len(items))
