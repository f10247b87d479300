"""From a push task's content to a rendered message: compiled once for an execution, filled for each recipient.

``for_channel`` has it done by the task's channel. ``check`` looks at content when a task comes in: in processes of
their own, which ``workers`` has (and ``worker`` is).
"""

from push_provider.rendering.for_channel import compile_content, expected_facts, facts, freeze

__all__ = [
    "compile_content",
    "expected_facts",
    "facts",
    "freeze",
]
