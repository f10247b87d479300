"""Push tasks for Apache Airflow: define a push once, and it becomes a DAG that sends it.

Nothing is imported here: the scheduler, the DAG processor and every task import this package.
"""

__version__ = "0.1.0"
