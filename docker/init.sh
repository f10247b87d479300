#!/bin/bash
# The job that runs before everything else, at every start: tables, the admin's password, connections.
set -euo pipefail

airflow db migrate
airflow push migrate

# What people change afterwards stays as they left it.
if ! airflow connections get kafka_default >/dev/null 2>&1; then
  airflow connections add kafka_default --conn-type kafka \
    --conn-extra '{"bootstrap.servers": "kafka:9092", "group.id": "push"}'
fi
if ! airflow connections get push_email_default >/dev/null 2>&1; then
  # The mail catcher (docker compose --profile mail); put your own account in its place.
  airflow connections add push_email_default --conn-type push_email --conn-host mail --conn-port 1025 \
    --conn-login push@example.com --conn-extra '{"ignore_tls": true}'
fi

umask 077
printf '{"admin": "%s"}\n' "$PUSH_ADMIN_PASSWORD" > "$AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"
