"""How an execution begins: it is planned in the ledger, and then its DAG run is made.

``starter`` does both, wherever it is. How a DAG run is made depends on the process: ``server_runs`` makes it in
Airflow's metadata database, for the API server and the command line, and ``task_runs`` asks Airflow for it from within
a task. ``other_dags`` is for tasks and callbacks of other people's DAGs. Of a run that Airflow has made by itself, by
schedule or from its UI, ``run_facts`` says what the ledger keeps.
"""
