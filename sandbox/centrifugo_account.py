"""What the sandbox's Centrifugo is configured with, and whoever connects to it must know."""

from __future__ import annotations

API_KEY = "push-sandbox-api-key-of-no-worth"
"""Of its server API. It opens nothing but the sandbox."""
TOKEN_SECRET = "push-sandbox-token-secret-of-no-worth"  # noqa: S105 - the same
"""What clients' tokens are signed with, HS256."""
NAMESPACE = "push"
HISTORY_TTL = 3600.0
HISTORY_SIZE = 100
