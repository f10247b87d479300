"""The record of all push tasks, executions and deliveries, in PostgreSQL.

``tables`` says what is kept, ``migrations`` how it came to be, ``engine`` how it is reached;
``tasks``, ``executions`` and ``deliveries`` hold the transactions, named after what they do.
"""
