"""The job of docker-compose.yaml that prepares everything, without a container around it."""

from __future__ import annotations

from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "docker" / "init.sh"
ENVIRONMENT = {
    "PUSH_ADMIN_PASSWORD": "admin",
    "PUSH_KAFKA_PASSWORD": "0815",
    "PUSH_CENTRIFUGO_API_KEY": "0816",
    "PUSH_CENTRIFUGO_TOKEN_SECRET": "0817",
    "PUSH_CENTRIFUGO_PORT": "8000",
}
"""What ./scripts/secrets makes up, and the compose file hands on."""
