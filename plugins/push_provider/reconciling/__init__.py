"""What Airflow has and what the ledger says, compared and brought together by the API server."""
