"""Ways out of the templates' sandbox that are known from elsewhere: each is refused, or is nothing but text."""

from __future__ import annotations

import re

import pytest

from push_provider.channels.email.content import Content
from push_provider.channels.reading import parse
from push_provider.exceptions import ContentError

# From write-ups of Jinja injections, Jinja's own advisories, and what the names at hand here offer.
ESCAPES = [
    # attributes that lead from a value to its class
    "{{ ''.__class__ }}",
    "{{ ''.__class__.__base__.__subclasses__() }}",
    "{{ [].__class__.__mro__[1] }}",
    "{{ {}.__class__.__bases__[0] }}",
    "{{ ().__class__.__base__ }}",
    "{{ (1).__class__ }}",
    "{{ none.__class__ }}",
    "{{ true.__class__.__base__ }}",
    "{{ v.__class__.__module__ }}",
    "{{ to.__class__ }}",
    "{{ push.__class__ }}",
    "{{ d.__class__.__init__.__globals__ }}",
    "{{ ''.__init__ }}",
    "{{ ''.__doc__ }}",
    "{{ ''.__dir__() }}",
    "{{ ''.__reduce_ex__(2) }}",
    "{{ ''.__getattribute__('__class__') }}",
    "{{ {}.__getitem__ }}",
    # the same by other spellings
    "{{ ''['__class__'] }}",
    "{{ ''['__cla' ~ 'ss__'] }}",
    "{{ ''['__cla' + 'ss__'] }}",
    "{{ ''['__ssalc__'[::-1]] }}",
    "{{ ''['\\x5f\\x5fclass\\x5f\\x5f'] }}",
    "{{ ''['\\u005f_class_\\u005f'] }}",
    "{{ ''[['__class__']|first] }}",
    "{{ ''[dict(__class__=1)|first] }}",
    "{{ ''[('%c%c' % (95, 95)) ~ 'class__'] }}",
    "{{ ''[d.dunder] }}",
    "{{ ''|attr('__class__') }}",
    "{{ ''|attr(d.dunder) }}",
    "{{ ''|attr(['__cla', 'ss__']|join) }}",
    "{{ ''|attr('\\x5f_class__') }}",
    "{{ ()|attr('__class__')|attr('__base__')|attr('__subclasses__')() }}",
    # filters and tests that look attributes up themselves
    "{{ ['']|map(attribute='__class__')|list }}",
    "{{ ['']|map('attr', '__class__')|list }}",
    "{{ [{'a': ''}]|map(attribute='a.__class__')|list }}",
    "{{ ['']|selectattr('__class__')|list }}",
    "{{ ['']|rejectattr('__class__.x')|list }}",
    "{{ ['']|groupby('__class__')|list }}",
    "{{ ['b', 'a']|sort(attribute='__class__')|list }}",
    "{{ ['a']|unique(attribute='__class__')|list }}",
    "{{ ['a']|sum(attribute='__class__') }}",
    "{{ ['a']|max(attribute='__class__') }}",
    "{{ ['a']|join(attribute='__class__') }}",
    # texts that format
    "{{ '{0.__class__}'.format('') }}",
    "{{ '{a.__class__}'.format(a='') }}",
    "{{ '{a[__class__]}'.format(a='') }}",
    "{{ '{0.__class__}'.format_map({'0': ''}) }}",
    "{{ ('{0.__class_' ~ '_}').format('') }}",
    "{{ '%(a.__class__)s'|format(a='') }}",
    "{% set f = '{0.__class__}'.format %}{{ f('') }}",
    "{{ ['{0.__class__}']|map('format', '')|list }}",
    "{{ '{0.__class__}'|attr('format')('') }}",
    # functions, macros, loops and what else Jinja has at hand
    "{{ range.__self__ }}",
    "{{ range.__init__.__globals__ }}",
    "{{ dict.__mro__ }}",
    "{{ dict.fromkeys.__self__ }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ joiner.__init__.__globals__ }}",
    "{{ namespace.__init__.__globals__ }}",
    "{{ namespace()._Namespace__attrs }}",
    "{{ lipsum.__globals__['os'] }}",
    "{{ self._TemplateReference__context }}",
    "{{ self.__init__.__globals__ }}",
    "{{ url_for.__globals__ }}{{ get_flashed_messages.__globals__ }}",
    "{{ config.items() }}",
    "{{ request.application.__globals__ }}",
    "{{ caller.__code__ }}",
    "{% macro m() %}{% endmacro %}{{ m._func.__globals__ }}",
    "{% macro m() %}{% endmacro %}{{ m._environment }}",
    "{% macro m() %}{{ caller._func }}{% endmacro %}{% call m() %}{% endcall %}",
    "{% for i in [1] %}{{ loop._iterator.gi_frame }}{% endfor %}",
    "{% for i in [1] %}{{ loop.__init__.__globals__ }}{% endfor %}",
    "{{ ([1]|map('upper')).gi_frame.f_builtins }}",
    "{{ ([1]|map('upper')).gi_code }}",
    "{{ (x for x in [1]) }}",
    "{% set n = namespace() %}{% set n.__class__ = 1 %}",
    # files, modules and extensions
    "{% include '/etc/passwd' %}",
    "{% include '../../../../etc/passwd' %}",
    "{% include 'file:///etc/passwd' %}",
    "{% extends '/etc/passwd' %}",
    "{% import '/proc/self/environ' as e %}{{ e }}",
    "{% from 'os' import popen %}{{ popen('id') }}",
    "{% do ''.__class__ %}",
    "{% debug %}",
    "{% trans %}x{% endtrans %}",
    # what changes values that others see
    "{{ d.update(a=2) }}",
    "{{ d.setdefault('z', 1) }}",
    "{{ d.clear() }}",
    "{{ l.append(1) }}",
    "{{ l.sort() }}",
    "{{ push.update(code='x') }}",
]  # fmt: skip
# These are rendered, for what they come upon is missing, or a name of their own.
HARMLESS = {
    "{{ ['']|map(attribute='__class__')|list }}",
    "{{ [{'a': ''}]|map(attribute='a.__class__')|list }}",
    "{{ ['']|groupby('__class__')|list }}",
    "{{ ['a']|max(attribute='__class__') }}",
    "{% set n = namespace() %}{% set n.__class__ = 1 %}",
}
_LEAKS = re.compile(
    r"<(class|function|module|built-in|bound|method|Macro|generator|frame|code)|0x[0-9a-f]{6}|root:|uid="
)


@pytest.mark.parametrize("content_type", ["html", "text"])
@pytest.mark.parametrize("escape", ESCAPES)
def test_no_way_out(escape: str, content_type: str) -> None:
    document = {"code": "t", "name": "T", "channel": "email", "subject": "s", "schedule": {"kind": "manual"}}
    document |= {"content": escape + "{{ v }}", "content_type": content_type, "recipients": ["a@example.com"]}
    mutable = {"a": 1, "dunder": "__class__"}
    items = [2, 1]
    try:
        message = Content(parse(document), {}).render("a@example.com", {"v": "here", "d": mutable, "l": items})
    except ContentError as refused:
        said = str(refused).replace(escape, "")
    else:
        assert escape in HARMLESS
        said = f"{message.text}{message.html}"
    assert not _LEAKS.search(said)
    assert (mutable, items) == ({"a": 1, "dunder": "__class__"}, [2, 1])
