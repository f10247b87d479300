"""Stand-ins for outside services, for development and tests: ``python -m push_provider.sandbox``.

A mail server, the mailbox that shows what it took, and Kafka. Each stand-in is a module with an
asynchronous ``serve``; ``__main__`` starts them all in one process. They listen on loopback addresses
only, ask for no password, and are no part of a production installation.
"""
