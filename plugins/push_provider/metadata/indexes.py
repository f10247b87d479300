"""Indexes that Airflow's tables lack, and the DAG processor needs where there are many push tasks.

For each DAG of a file Airflow (3.3.2) looks for the newest source code and for the newest serialized form of that DAG,
and neither table has an index for it: it reads them from end to end, as often as the file has DAGs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text

if TYPE_CHECKING:
    from sqlalchemy import Engine

LACKING = {
    f"push_{table}_dag_id_ix": f"CREATE INDEX CONCURRENTLY IF NOT EXISTS push_{table}_dag_id_ix ON {table} (dag_id)"
    for table in ("dag_code", "serialized_dag")
}
"""How each is made, by its name. Airflow's own migrations leave alone what they do not know."""
# Whoever makes one at this moment has it not valid yet, either.
_STATES = text("""
    SELECT c.relname, i.indisvalid FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
    WHERE c.relname = ANY(:names)
        AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index AS p WHERE p.index_relid = i.indexrelid)
""")


def bring_about(engine: Engine) -> list[str]:
    """Make those that are not there, while Airflow goes on using its tables; their names.

    :param engine: of Airflow's database.
    :raises sqlalchemy.exc.SQLAlchemyError: the tables are not this role's, or not there.
    """
    made = []
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        valid = {row.relname: row.indisvalid for row in connection.execute(_STATES, {"names": list(LACKING)})}
        for name, create in LACKING.items():
            if valid.get(name):
                continue
            if name in valid:  # somebody broke off while it was made
                connection.execute(text(f"DROP INDEX CONCURRENTLY IF EXISTS {name}"))
            connection.execute(text(create))
            made.append(name)
    return made
