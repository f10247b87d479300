"""Airflow connections as sender configurations, and how one connects: what all channels share."""
