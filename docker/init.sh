#!/bin/bash
# The job that runs before everything else, at every start: tables, connections, the first user.
set -euo pipefail

airflow db migrate
airflow push migrate

# What people change afterwards stays as they left it.
if ! airflow connections get kafka_default >/dev/null 2>&1; then
  # From a file: on the command line every user of the machine could read the password.
  file=$(mktemp --suffix .json)
  printf '{"kafka_default": {"conn_type": "kafka", "extra_dejson": {"bootstrap.servers": "kafka:9092", "group.id": "push",
    "security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.username": "push", "sasl.password": "%s"}}}' \
    "$PUSH_KAFKA_PASSWORD" > "$file"
  airflow connections import "$file"
  rm "$file"
fi
if ! airflow connections get push_centrifugo_default >/dev/null 2>&1; then
  file=$(mktemp --suffix .json)
  printf '{"push_centrifugo_default": {"conn_type": "push_centrifugo", "password": "%s", "port": 8000, "extra_dejson":
    {"address": "http://centrifugo:8000", "allow_http": true, "token_secret": "%s",
    "client_url": "ws://127.0.0.1:%s/connection/websocket"}}}' \
    "$PUSH_CENTRIFUGO_API_KEY" "$PUSH_CENTRIFUGO_TOKEN_SECRET" "$PUSH_CENTRIFUGO_PORT" > "$file"
  airflow connections import "$file"
  rm "$file"
fi
if ! airflow connections get push_email_default >/dev/null 2>&1; then
  # The mail catcher (docker compose --profile mail); put your own account in its place.
  airflow connections add push_email_default --conn-type push_email --conn-host mail --conn-port 1025 \
    --conn-login push@example.com --conn-extra '{"ignore_tls": true}'
fi

# Twice, and on the standard input: on the command line every user of the machine could read it.
printf '%s\n%s\n' "$PUSH_ADMIN_PASSWORD" "$PUSH_ADMIN_PASSWORD" | airflow users create --username admin --role Admin \
  --firstname Push --lastname Admin --email admin@example.com
