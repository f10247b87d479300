"""Kafka messages that start executions and inject push tasks.

``messages`` reads what a message says, ``reader`` reads the topics, ``admission`` takes a batch into the ledger, and
``drain`` is the loop over all of these, which also has DAG runs made; ``connection`` and ``producer`` speak to the
broker. ``sensors.kafka`` drains and ``triggers.kafka`` waits; ``kafka_dag`` is the DAG of both.
"""
