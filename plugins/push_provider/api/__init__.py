"""The REST API, ``/push/v1`` in Airflow's API server: a module a resource, on Airflow's users and permissions.

``app`` puts it together, ``guards`` says who may do what, ``limits`` how much, ``bodies`` reads what comes in through
the one contract, ``problems`` answers what is wrong, ``openapi`` describes it all.
"""
