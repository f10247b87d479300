"""How an execution begins: it is planned in the ledger, and its DAG run is made."""
