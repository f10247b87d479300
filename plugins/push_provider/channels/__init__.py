"""The channels: a folder each, with all that is known of one; :mod:`push_provider.channels.registry` lists them.

A folder has a ``spec`` (light: every Airflow process reads it), the ``task`` model with the channel's own fields, the
``content`` that is compiled for an execution and rendered for each recipient, and the ``sender`` that hands messages to
the provider. ``base`` says what a sender is, and ``reading`` reads push tasks, each by its channel. Nothing outside a
channel's folder asks which channel it is.
"""
