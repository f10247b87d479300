"""The operators that send: thin, one a channel, on one base that plans, claims, sends and records."""
