"""From templates and content to a rendered message: compiled once for an execution, filled for each recipient.

``compiled`` is a mail's and ``parameters`` an SMS's content. The first stands on ``jinja_sandbox`` (templates come from
strangers), ``flatten`` (what is the same for all recipients is worked out once), ``markdown_body`` and ``plain_text``
(the bodies' other forms), ``mail_layout`` (what stands around a markdown body) and ``include_files`` (what is read from
disk). ``for_channel`` chooses between them, and ``check`` looks at them when a task comes in: in processes of their
own, which ``workers`` has (and ``worker`` is).
"""

from push_provider.content.compiled import Content, File, Rendered, freeze
from push_provider.content.for_channel import compile_content, expected_facts, facts
from push_provider.content.parameters import Parameters

__all__ = [
    "Content",
    "File",
    "Parameters",
    "Rendered",
    "compile_content",
    "expected_facts",
    "facts",
    "freeze",
]
