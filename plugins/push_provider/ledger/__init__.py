"""The record of all push tasks, executions and deliveries, in PostgreSQL.

``tables`` says what is kept, ``migrations`` how it came to be, ``engine`` how it is reached; the others hold the
transactions, by what they do. Push tasks: ``tasks``, ``definitions``, ``task_lists`` and ``shards``. Executions:
``planning``, ``sending``, ``closing`` and ``executions``. Recipients: ``deliveries`` and ``receipts``.
"""
