"""Airflow DAG: asks the providers what became of the messages that they accepted."""

from push_provider.receipts_dag import receipts_dag

receipts_dag()
