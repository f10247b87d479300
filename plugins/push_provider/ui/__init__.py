"""The Push page: a React app in Airflow's own UI. ``./scripts/install`` builds ``dist/`` from ``www/``."""
