"""The app that the sandbox's account at Aliyun has."""

from __future__ import annotations

APP_KEY = 333456789
APP_NAME = "Sandbox"
