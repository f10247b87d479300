"""From templates and content to a rendered message: compiled once for an execution, filled for each recipient.

``base`` says what a channel's compiled content is, and ``for_channel`` makes it. Channels stand on ``jinja_sandbox``
(templates come from strangers), ``flatten`` (what is the same for all recipients is worked out once), ``markdown_body``
and ``plain_text`` (the bodies' other forms), ``mail_layout`` (what stands around a markdown body) and ``include_files``
(what is read from disk). ``check`` looks at content when a task comes in: in processes of their own, which ``workers``
has (and ``worker`` is).
"""

from push_provider.content.for_channel import compile_content, expected_facts, facts, freeze

__all__ = [
    "compile_content",
    "expected_facts",
    "facts",
    "freeze",
]
