"""An Airflow DAG file: Kafka messages start executions and inject push tasks."""

from push_provider.kafka_dag import push_kafka

push_kafka()
