"""The plugin that Airflow loads. What is heavy is a property that imports when Airflow asks for it."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from airflow.plugins_manager import AirflowPlugin


class PushPlugin(AirflowPlugin):
    """Registers the package with Airflow."""

    name = "push"

    @cached_property
    def fastapi_apps(self) -> list[Any]:  # type: ignore[override]
        """The REST API; asked for in the API server alone."""
        from push_provider.api.app import create_app

        return [{"app": create_app(), "url_prefix": "/push", "name": "Push"}]

    @cached_property
    def fastapi_root_middlewares(self) -> list[Any]:  # type: ignore[override]
        """What is in front of all of Airflow's API server where nobody logs in; asked for there alone."""
        from push_provider.api.perimeter import NoLogin, asks_for_login

        return [] if asks_for_login() else [{"middleware": NoLogin, "name": "Push: no login"}]

    @cached_property
    def react_apps(self) -> list[Any]:  # type: ignore[override]
        """The Push page and its tabs; asked for by Airflow's UI."""
        from push_provider.ui.page import apps

        return apps()

    @cached_property
    def timetables(self) -> list[Any]:  # type: ignore[override]
        """The timetable of push DAGs; asked for where a DAG is stored and read back, not in tasks."""
        from push_provider.timetable import ClosedTimetable, PushTimetable

        return [PushTimetable, ClosedTimetable]
