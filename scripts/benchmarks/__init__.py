"""Measurements of the platform, run by ``./scripts/bench NAME``."""
