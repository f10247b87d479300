"""Operators: those that send, one a channel, on one base; and the one with which other DAGs begin executions."""
