"""What the form of a push task keeps of what is entered, and what it sends, in the page's own modules."""

from __future__ import annotations

from typing import Any

import page_modules
import pytest

pytestmark = pytest.mark.skipif(not page_modules.is_installed(), reason="the page is not built on this machine")

_DRAFTS = """
import { draftOf, isOvertaken, keepDraft, lostFiles, resumed } from "./draft";
import { tableOfRecipients } from "./recipients/tables";

const kept = new Map();
globalThis.localStorage = {
  setItem: (key, text) => void kept.set(key, text),
  getItem: (key) => kept.get(key) ?? null,
};
const file = ({ name, size }) => ({ name, content_base64: name[0].repeat(size) });
const values = ({ files, ...rest }) => ({ ...rest, attachments: files.map((one) => (one.name ? file(one) : one)) });
const sources = ({ typed = "", people = [], rows = 0 }) => {
  const many = Array.from({ length: rows }, (_, number) => `p${number}@example.com`);
  return { typed, tables: people.length + rows > 0 ? [tableOfRecipients("list", [...people, ...many])] : [] };
};
const brief = (one) => (typeof one === "string" ? one : `${one.name} ${one.content_base64.length}`);

export default (drafts) => drafts.map(drafted);
function drafted({ began, entered, people = null, today = began, todays = {} }) {
  const base = { values: values(began), sources: sources({}) };
  const leftOut = keepDraft("me", "new", values(entered), base, people === null ? null : sources(people));
  const draft = draftOf("me", "new");
  const shown = resumed(values(today), draft);
  const list = typeof draft.sources === "string" ? draft.sources : draft.sources.tables.map(({ rows }) => rows.length);
  const { attachments, ...rest } = shown;
  return {
    leftOut, lost: lostFiles(draft), list, shown: { ...rest, files: attachments.map(brief) },
    overtaken: isOvertaken(draft, sources(todays)),
  };
}
"""
LARGE, SMALL = {"name": "large.pdf", "size": 2_700_000}, {"name": "small.pdf", "size": 1_000}


def drafted(*given: dict[str, Any]) -> Any:
    return page_modules.run(_DRAFTS, given)


def test_a_draft_says_which_files_it_has_not_and_keeps_the_recipients() -> None:
    entered = {"name": "A", "files": [LARGE, SMALL]}
    (found,) = drafted({"began": {"name": "", "files": []}, "entered": entered, "people": {"rows": 20}})
    assert found["leftOut"] == {"all": False, "recipients": False, "files": 2}
    assert found["lost"] == 2
    assert found["list"] == [21]  # the names of the columns among them
    assert found["shown"] == {"name": "A", "files": []}


FILES: list[tuple[list[Any], list[str], int]] = [
    ([LARGE, SMALL], ["large.pdf 2700000", "small.pdf 1000"], 0),
    ([SMALL, "a.pdf"], ["small.pdf 1000", "a.pdf"], 0),
    ([], [], 0),
    ([LARGE, {"name": "more.pdf", "size": 5}], ["large.pdf 2700000", "more.pdf 5"], 0),
    ([{**LARGE, "name": "new.pdf"}, SMALL], ["small.pdf 1000"], 1),
    ([{**LARGE, "size": 2_000_000}, SMALL], ["small.pdf 1000"], 1),
]


def test_files_of_a_push_task_stay_as_they_were_left() -> None:
    began = {"name": "A", "files": [LARGE, SMALL]}
    found = drafted(*[{"began": began, "entered": {"name": "B", "files": files}} for files, *_ in FILES])
    assert [(one["shown"], one["lost"], one["leftOut"]["files"]) for one in found] == [
        ({"name": "B", "files": shown}, lost, lost) for _, shown, lost in FILES
    ]
    assert {one["list"] for one in found} == {"unchanged"}


def test_a_draft_that_cannot_be_kept_at_all_says_so() -> None:
    script = """
    import { keepDraft } from "./draft";
    globalThis.localStorage = { setItem: () => { throw new Error("full"); } };
    const values = { attachments: [] };
    export default () => keepDraft("me", "new", values, { values, sources: { typed: "", tables: [] } }, null).all;
    """
    assert page_modules.run(script) is True


def test_a_draft_with_recipients_of_its_own_says_when_those_of_the_task_are_others_by_now() -> None:
    plain = {"name": "A", "files": []}
    mine, theirs = {"typed": "a@example.com"}, {"typed": "b@example.com"}
    given = [{"people": mine}, {"people": mine, "todays": theirs}, {"todays": theirs}]
    found = drafted(*[{"began": plain, "entered": plain, **one} for one in given])
    # The last one has none of its own: those of the push task are the ones that are shown.
    assert [one["overtaken"] for one in found] == [False, True, False]


def test_variables_of_recipients_are_the_same_after_a_reload() -> None:
    script = """
    import { keepable, recipientOf, revived, tableOfRecipients, variablesOf } from "./recipients/tables";
    export default (people) => {
      const table = revived(JSON.parse(JSON.stringify(keepable(tableOfRecipients("list", people)))));
      return table.rows.slice(1).map((row) => recipientOf(row, table.address, variablesOf(table)));
    };
    """
    people = [
        {"to": "a@example.com", "variables": {"note": None, "sum": 1}},
        {"to": "b@example.com", "variables": {"sum": 2}},
        {"to": "c@example.com", "variables": {"more": {"x": None}}},
        {"to": "d@example.com", "variables": {}},
    ]
    assert page_modules.run(script, people) == people


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
