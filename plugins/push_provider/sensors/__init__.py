"""Sensors: they wait for what starts executions, and for what becomes of them."""
