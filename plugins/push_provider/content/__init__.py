"""What channels make content of: templates of strangers, and what their bodies become.

``base`` says what a channel's compiled content is. Channels stand on ``jinja_sandbox`` (templates come from strangers;
``jinja_allowed`` says what they may call, ``jinja_formats`` what they may format, ``jinja_scales`` how much they may
use, ``jinja_guards`` sees to it, and ``jinja_names`` names what is wrong),
``flatten`` (what is the same for all recipients is worked out once), ``markdown_templates`` (whose values are no
markdown), ``markdown_body`` and ``plain_text`` (the bodies' other forms), ``mail_layout`` (what stands around a
markdown body) and ``include_files`` (what is read from disk).
"""
