"""The Push page: a React app in Airflow's own UI. Its sources are in ``www/``; ``./scripts/install`` builds ``dist/``."""
