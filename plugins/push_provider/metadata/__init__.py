"""Airflow's metadata database, as far as push tasks stand in it; for the API server and the command line.

Tasks and DAG files may not use it.
"""
