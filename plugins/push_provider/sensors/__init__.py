"""Sensors: they wait for what starts executions."""
