"""Airflow's hooks of sender configurations: one module a connection type, named by its form."""
