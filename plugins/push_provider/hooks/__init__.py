"""Sender configurations as Airflow connections: one module a connection type, and what they share."""
