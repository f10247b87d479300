"""What Airflow's stock Kafka trigger calls for each message; it imports this by its path."""

from __future__ import annotations

import json
from typing import Any


def value(message: Any) -> Any:
    """What is handed on of a message."""
    return json.loads(message.value())["n"]
