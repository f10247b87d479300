"""Run in the environment of the FAB auth manager: a user for each role but Admin, a clerk of one push task, an editor.

``python fab_people.py CODE``
"""

from __future__ import annotations

import sys

from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

_EDITORS = (("can_read", "DAGs"), ("can_edit", "DAGs"), ("can_read", "DAG Runs"))
_CLERKS = (("can_read", "DAG:{}"), ("can_edit", "DAG:{}"), ("can_read", "DAG Runs"), ("can_create", "DAG Runs"))


def main() -> None:
    """Create them, each with its role's name as password."""
    own = f"push__{sys.argv[1]}"
    with get_application_builder() as builder:
        security = builder.sm
        clerk = security.add_role("Clerk")
        for action, resource in _CLERKS:
            security.add_permission_to_role(clerk, security.create_permission(action, resource.format(own)))
        editor = security.add_role("Editor")
        for action, resource in _EDITORS:
            security.add_permission_to_role(editor, security.create_permission(action, resource))
        for role in ("Editor", "Viewer", "User", "Op", "Clerk"):
            name = role.lower()
            found = security.find_role(role)
            assert security.add_user(name, name, name, f"{name}@example.com", found, password=name), name


main()
