"""An Airflow DAG: push tasks that are done with retire, and what is old leaves the ledger."""

from push_provider.upkeep_dag import upkeep_dag

upkeep_dag()
