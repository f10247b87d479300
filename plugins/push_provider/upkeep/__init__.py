"""What is done with, and what is old, leaves the platform, in portions, so that nothing else waits.

The DAG ``push_upkeep`` calls it.
"""
