"""The layout of markdown mails: a page of 600 pixels on a quiet background, legible on a phone and in the dark.

It says nothing of its own, so that it fits every sender. Mail programs differ in what they keep of a page's styles:
what is needed everywhere (width, lines of a table, size of an image, a button) is in the tags, the rest in
:data:`STYLE`, which ``include/templates/base.html`` has, too.
"""

from __future__ import annotations

STYLE = """\
:root { color-scheme: light dark; supported-color-schemes: light dark; }
.page { padding: 24px 12px; background: #f4f5f7; }
.sheet { box-sizing: border-box; max-width: 600px; margin: 0 auto; padding: 24px; border-radius: 8px; }
.sheet { background: #ffffff; color: #1f2933; overflow-wrap: anywhere; }
.sheet > :first-child { margin-top: 0; }
.sheet > :last-child { margin-bottom: 0; }
h1, h2, h3 { line-height: 1.3; }
h1 { font-size: 22px; }
h2 { font-size: 19px; }
h3 { font-size: 17px; }
a { color: #0b6bcb; }
code { font-family: ui-monospace, Menlo, Consolas, monospace; font-size: 14px; }
pre { padding: 12px; border-radius: 6px; background: #f4f5f7; white-space: pre-wrap; }
img { max-width: 100%; height: auto; border: 0; }
table:not([role]) { border-collapse: collapse; }
table:not([role]) th, table:not([role]) td { padding: 6px 12px; border: 1px solid #d9dee4; text-align: left; }
a.button { display: inline-block; padding: 10px 20px; border-radius: 6px; background: #0b6bcb; color: #ffffff; \
font-weight: bold; text-decoration: none; }
hr { border: 0; border-top: 1px solid #d9dee4; }
@media (prefers-color-scheme: dark) {
body, .page { background: #14181d !important; }
.sheet { background: #1f252c !important; color: #e4e8ec !important; }
a { color: #6cb2f5 !important; }
a.button { background: #2f81d6 !important; color: #ffffff !important; }
table:not([role]) th, table:not([role]) td, hr, blockquote { border-color: #46515d !important; }
th, pre { background: #2a323b !important; }
.quiet { color: #9aa5b1 !important; }
}
"""
"""For all that a mail may hold, in light and in dark."""

BEFORE = f"""\
<!DOCTYPE html>
<html>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<style>
{STYLE}</style>
</head>
<body style="margin:0; padding:0; background:#f4f5f7">
<div class="page" style="padding:24px 12px; background:#f4f5f7">
<div class="sheet" style="box-sizing:border-box; max-width:600px; margin:0 auto; padding:24px; background:#ffffff; \
color:#1f2933; font:16px/1.6 -apple-system,'Segoe UI','PingFang SC','Microsoft YaHei',sans-serif">
"""
"""What stands before a body."""

AFTER = """\
</div>
</div>
</body>
</html>
"""
"""What stands after it."""

BUTTON = (
    "display:inline-block; padding:10px 20px; border-radius:6px; background:#0b6bcb; color:#ffffff; font-weight:bold; "
    "text-decoration:none"
)
INLINE = {
    "img": "max-width:100%; height:auto; border:0",
    "table": "border-collapse:collapse; margin:16px 0",
    "th": "border:1px solid #d9dee4; padding:6px 12px; background:#f4f5f7; text-align:left",
    "td": "border:1px solid #d9dee4; padding:6px 12px",
    "blockquote": "margin:16px 0; padding:0 16px; border-left:4px solid #d9dee4",
}
"""Styles in the tags themselves."""
