"""Airflow notifiers: what tells people of other DAGs' tasks through push tasks."""
