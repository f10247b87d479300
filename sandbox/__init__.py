"""Stand-ins for outside services, for development and tests: ``python -m sandbox``.

A mail server, Aliyun's SMS API, the page that shows what both took, and Kafka. Each stand-in has a module with an
asynchronous ``serve``; ``__main__`` starts them all in one process. They listen on loopback addresses
only, ask for no password but the SMS API's fixed key, and are no part of a production installation.
"""
