"""From templates and content to a rendered message: compiled once for an execution, filled for each recipient.

``compiled`` is what others use; it stands on ``jinja_sandbox`` (templates come from strangers), ``flatten`` (what is
the same for all recipients is worked out once), ``markdown_body`` and ``plain_text`` (the bodies' other forms) and
``include_files`` (what is read from disk).
"""

from push_provider.content.check import check, faults
from push_provider.content.compiled import Content, File, Rendered, freeze

__all__ = ["Content", "File", "Rendered", "check", "faults", "freeze"]
