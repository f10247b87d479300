"""The plugin that Airflow loads. Heavy parts are properties that import when the API server asks."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin


class PushPlugin(AirflowPlugin):
    """Registers the package with Airflow."""

    name = "push"
