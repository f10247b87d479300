"""What the form of a push task hands in, by the page's own modules."""

from __future__ import annotations

from typing import Any

import page_modules
import pytest

pytestmark = pytest.mark.skipif(not page_modules.is_installed(), reason="the page is not built on this machine")

CHANGES: list[tuple[dict[str, Any], dict[str, Any], list[str]]] = [
    ({"data": {"url": "x"}}, {"data": {"url": None}}, ["data"]),
    ({}, {"variables": {"a": {"b": None}}}, ["variables"]),
    ({"data": [1]}, {"data": {"url": None}}, ["data"]),
    ({"data": {"a": {"b": None}, "c": 1}}, {"data": {"a": {"b": None}, "c": 2}}, []),
    ({"data": {"a": 1, "b": 2}}, {"data": {"a": 1}}, []),
    ({"data": {"a": {"b": 1}}}, {"data": {"a": [{"b": None}]}}, []),
    ({"name": "A", "data": {"a": 1}}, {"name": "B"}, []),
]


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7396, section 2, as the API has it."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


def test_a_patch_makes_what_was_entered_or_the_form_says_that_none_can() -> None:
    script = """
    import { lostNulls, patchOf } from "./patch";
    export default (changes) => changes.map(([before, after]) => [patchOf(before, after), lostNulls(before, after)]);
    """
    found = page_modules.run(script, [(before, after) for before, after, _ in CHANGES])
    assert [lost for _, lost in found] == [lost for _, _, lost in CHANGES]
    for (patch, lost), (before, after, _) in zip(found, CHANGES, strict=True):
        assert (merge_patch(before, patch) == after) is (lost == [])
