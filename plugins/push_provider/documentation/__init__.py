"""The pages of ``docs/``, for people who have Airflow's UI before them and not the repository.

The wheel has them below this folder (``force-include`` in ``pyproject.toml``), a checkout where they are written.
"""
