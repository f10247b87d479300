#!/bin/sh
# The ledger's database, beside Airflow's: PostgreSQL's image runs this once, when its data folder is empty.
set -eu
createdb --username "$POSTGRES_USER" push
