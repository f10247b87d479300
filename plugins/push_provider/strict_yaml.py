"""YAML read strictly: what a scalar without quotes is follows from JSON, and all else is the text that stands there.

YAML 1.1, which PyYAML reads, takes 012345 for 5349, 14:30 for 870, NO for false and 2026-07-01 for a date. YAML 1.2
does not (yaml.org/spec/1.2.2, 10.3), but still shows 0305 as 305, 0x1F as 31 and a hash like 12e4567 as infinity. Here
true, false, null and ~ are what YAML 1.2 says, a number is written as JSON writes one without exponent, and is shown
as it was written (:mod:`push_provider.written`); keys are always text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NoReturn

import yaml
from yaml.constructor import ConstructorError

from push_provider.addresses import shown
from push_provider.visible import visible
from push_provider.written import Written, number

DEPTH_LIMIT = 100
"""Levels of lists and mappings; libyaml's composer recurses in C and would end the process."""
_YAML: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_SCALARS: dict[str, tuple[str, str, Callable[[str], Any]]] = {
    "null": (r"~|null|Null|NULL|", "~nN", lambda _: None),
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF", lambda words: words[0] in "tT"),
    "int": (r"0|-?[1-9][0-9]*", "-0123456789", int),
    "float": (r"(?!-[0.]+\Z)-?(0|[1-9][0-9]*)\.[0-9]+", "-0123456789", number),
    "str": (r"(?s:.*)", "", str),
}
"""Of each kind of scalar: its form, the characters that it may begin with, and what it becomes."""


def loads(text: str) -> list[Any]:
    """Read all documents that are not empty.

    :raises ValueError: it is not YAML, holds what is refused here, or is nested too deeply; the text says what, and
        in which line.
    """
    try:
        _refuse_traps(text)
        return [document for document in yaml.load_all(text, Loader=_Loader) if document is not None]
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line if error.problem_mark else None
        place = "" if line is None else f", line {line + 1}{_hint(text, line)}"
        raise ValueError(f"is not YAML: {error.problem}{place}") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a number of thousands of digits
        raise ValueError(f"cannot be read: {error}") from error


def dumps(document: Mapping[str, Any]) -> str:
    """A document as :func:`loads` reads it; readers of YAML 1.1 read the same."""

    def dumped(*, unicode: bool) -> str:
        return str(yaml.dump(dict(document), Dumper=_Dumper, allow_unicode=unicode, sort_keys=False))

    text = dumped(unicode=True)
    # What would steer a terminal makes it escape all that is not ASCII.
    return text if visible(text, lines=True) == text else dumped(unicode=False)


class _Loader(_YAML):  # type: ignore[misc]
    """A loader that makes nothing but what JSON can say."""

    # None of the base's: neither its rules for scalars without quotes nor its constructors, such as !!binary.
    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}
    yaml_constructors: ClassVar[dict[str | None, Any]] = {}

    def construct_scalar_of(self, node: yaml.Node) -> Any:
        """A scalar, whose tag may have been written out."""
        kind = node.tag.removeprefix(_TAG)
        form, _, made = _SCALARS[kind]
        words = self.construct_scalar(node)
        if not re.fullmatch(form, words):
            _refuse(f"what stands behind the tag !!{kind} is none", node)
        return made(words)

    def construct_mapping(self, node: yaml.Node, deep: bool = False) -> dict[str, Any]:
        """A mapping that takes no key twice: one of two ``recipients`` would be lost without a word."""
        if not isinstance(node, yaml.MappingNode):
            _refuse("here a mapping is expected", node)
        mapping: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag.removeprefix(_TAG) not in _SCALARS:
                _refuse("a key must be text", key)
            if key.value in mapping:
                _refuse(f"the key {shown(key.value)} stands twice in one mapping", key)
            mapping[key.value] = self.construct_object(value, deep=deep)
        return mapping

    def construct_unknown(self, node: yaml.Node) -> NoReturn:
        """A tag of YAML 1.1 or of somebody's own."""
        _refuse(f"the tag {_short(node.tag.replace(_TAG, '!!'))} is not known here", node)


for _kind, (_form, _first, _) in _SCALARS.items():
    if _first:
        first = [*_first, ""] if _kind == "null" else [*_first]
        _Loader.add_implicit_resolver(_TAG + _kind, re.compile(rf"(?:{_form})\Z"), first)
    _Loader.add_constructor(_TAG + _kind, _Loader.construct_scalar_of)
_Loader.add_constructor(_TAG + "map", _YAML.construct_yaml_map)
_Loader.add_constructor(_TAG + "seq", _YAML.construct_yaml_seq)
_Loader.add_constructor(None, _Loader.construct_unknown)


class _Dumper(yaml.SafeDumper):
    """A dumper of numbers as they were written."""

    def represent_number(self, value: Written) -> yaml.Node:
        """A number by its words."""
        return self.represent_scalar(_TAG + "float", value.words)

    def represent_text(self, value: str) -> yaml.Node:
        """Text, with escapes for what YAML 1.1 takes for the end of a line."""
        return self.represent_scalar(_TAG + "str", value, style='"' if re.search("[\x85\u2028\u2029]", value) else None)


_Dumper.add_representer(Written, _Dumper.represent_number)
_Dumper.add_representer(str, _Dumper.represent_text)


def _short(name: str) -> str:
    return name if len(name) <= 60 else f"{name[:60]}…"


def _refuse(problem: str, node: yaml.Node) -> NoReturn:
    raise ConstructorError(None, None, problem, node.start_mark)


def _refuse_traps(text: str) -> None:
    """Refuse what a small file can harm us with, event by event, before anything is composed of it.

    Nested aliases stand for more values than any memory holds ("billion laughs"); depth exhausts the stack. As there
    are no aliases, an anchor before a text is a part of that text: of "&50 off" YAML would keep "off".
    """
    depth = 0
    for event in yaml.parse(text, Loader=_YAML):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        trap = None
        if isinstance(event, yaml.AliasEvent):
            trap = f"the alias *{_short(str(event.anchor))} is not followed; write the value out"
        elif isinstance(event, yaml.ScalarEvent) and event.anchor:
            trap = f"the anchor &{_short(event.anchor)} is not kept"
        elif depth > DEPTH_LIMIT:
            trap = f"it is nested deeper than {DEPTH_LIMIT} levels"
        if trap:
            mark: Any = event.start_mark
            raise yaml.MarkedYAMLError(problem=trap, problem_mark=mark)


_VALUE = re.compile(r"""\s*(?:-\s+)*(?:[^\s"'{\[][^:]*:\s+)?(?P<value>.*)""")
_SIGNS = ("{{", "{%", "*", "&", "!", "%", "@", "`")
"""What a text without quotes cannot begin with, as it means something else in YAML."""
_OTHERS = "\"'|>{[#"
"""What begins a value that is no text without quotes."""


def _hint(text: str, line: int) -> str:
    """What may be meant by a line that cannot be read: mostly a text whose quotes are missing."""
    lines = text.splitlines()
    found = _VALUE.match(lines[line]) if line < len(lines) else None
    value = found["value"] if found else ""
    if value.startswith("!!"):
        return "; leave the tag out"
    sign = next((sign for sign in _SIGNS if value.startswith(sign)), None)
    if sign:
        return f"; put a text that begins with '{sign}' in quotes"
    return "; put a text that holds ': ' in quotes" if ": " in value and value[0] not in _OTHERS else ""
