"""``airflow push …``: the platform on the command line."""
