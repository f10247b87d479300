#!/bin/bash
# The job that runs before everything else, at every start: tables, connections, the first user.
set -euo pipefail

airflow db migrate
airflow push migrate

# From a file: on the command line every user of the machine could read the passwords.
file=$(mktemp --suffix .json)
trap 'rm -f "$file"' EXIT

# What people change afterwards stays as they left it. Python writes the files: a secret may hold any character.
if ! airflow connections get kafka_default >/dev/null 2>&1; then
  python3 - >"$file" <<'END'
import json
import os

extra = {
    "bootstrap.servers": "kafka:9092",
    "group.id": "push",
    "security.protocol": "SASL_PLAINTEXT",
    "sasl.mechanism": "PLAIN",
    "sasl.username": "push",
    "sasl.password": os.environ["PUSH_KAFKA_PASSWORD"],
}
print(json.dumps({"kafka_default": {"conn_type": "kafka", "extra_dejson": extra}}))
END
  airflow connections import "$file"
fi
if ! airflow connections get push_centrifugo_default >/dev/null 2>&1; then
  python3 - >"$file" <<'END'
import json
import os

extra = {
    "address": "http://centrifugo:8000",
    "allow_http": True,
    "token_secret": os.environ["PUSH_CENTRIFUGO_TOKEN_SECRET"],
    "client_url": f"ws://127.0.0.1:{os.environ['PUSH_CENTRIFUGO_PORT']}/connection/websocket",
}
password = os.environ["PUSH_CENTRIFUGO_API_KEY"]
connection = {"conn_type": "push_centrifugo", "password": password, "port": 8000, "extra_dejson": extra}
print(json.dumps({"push_centrifugo_default": connection}))
END
  airflow connections import "$file"
fi
if ! airflow connections get push_email_default >/dev/null 2>&1; then
  # The mail catcher (docker compose --profile mail); put your own account in its place.
  airflow connections add push_email_default --conn-type push_email --conn-host mail --conn-port 1025 \
    --conn-login push@example.com --conn-extra '{"ignore_tls": true}'
fi

# Twice, and on the standard input: on the command line every user of the machine could read it.
printf '%s\n%s\n' "$PUSH_ADMIN_PASSWORD" "$PUSH_ADMIN_PASSWORD" | airflow users create --username admin --role Admin \
  --firstname Push --lastname Admin --email admin@example.com
