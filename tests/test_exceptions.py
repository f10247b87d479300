"""The tree of errors in the docstring is the tree in the code, and each error says what it is."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import pytest

from push_provider import exceptions
from push_provider.exceptions import FieldError, FieldErrors, InvalidTask, ProviderUnavailable, PushError, UnknownTask

CLASSES = [
    item
    for item in vars(exceptions).values()
    if inspect.isclass(item) and item.__module__ == exceptions.__name__ and issubclass(item, Exception)
]


def drawn() -> dict[str, str]:
    """Each error of the docstring's tree, and the one that it hangs from."""
    parents: dict[str, str] = {}
    branch: list[str] = []
    for line in (exceptions.__doc__ or "").splitlines():
        if not (found := re.match(r"^    ([│├└─ ]*)([A-Z]\w+)( |$)", line)):
            continue
        depth = len(found[1]) // 4
        branch[depth:] = [found[2]]
        parents[found[2]] = branch[depth - 1] if depth else ""
    return parents


def test_the_tree_in_the_docstring_is_the_tree_in_the_code() -> None:
    real = {cls.__name__: cls.__base__.__name__ if cls is not PushError else "" for cls in CLASSES if cls.__base__}
    assert drawn() == real
    assert list(drawn()) == [cls.__name__ for cls in _depth_first(PushError)]


def _depth_first(cls: type[Exception]) -> list[type[Exception]]:
    """Classes in the order of the drawing: as they are written, branch by branch."""
    children = [each for each in CLASSES if each.__base__ is cls]
    return [cls, *(below for child in children for below in _depth_first(child))]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: str(cls.__name__))
def test_each_error_has_words_of_its_own(cls: type[Exception]) -> None:
    assert "__doc__" in vars(cls)
    first = (inspect.getdoc(cls) or "").splitlines()[0]
    assert first.endswith((".", ";"))
    assert len(first) > 20


def test_an_invalid_task_names_every_field_and_where() -> None:
    errors = [
        FieldError("recipients[3].to", "is not a mail address"),
        FieldError("subject", "an email needs one"),
    ]
    assert str(InvalidTask(errors)) == "recipients[3].to: is not a mail address; subject: an email needs one"
    error = InvalidTask(errors, where="conf")
    assert str(error).startswith("conf: recipients[3].to: ")
    assert error.errors == tuple(errors)


def test_twenty_errors_are_named_and_the_others_counted() -> None:
    made = []

    def endless() -> Iterator[FieldError]:
        for number in range(50):
            made.append(number)
            yield FieldError(f"f{number}", "is wrong")

    error = InvalidTask(endless())
    assert len(made) == 50
    assert (len(error.errors), error.errors.more) == (20, 30)
    assert str(error).endswith("f19: is wrong; and 30 more")
    assert error.errors.told("\n").splitlines()[-2:] == ["f19: is wrong", "and 30 more"]
    again = InvalidTask(error.errors.under("define.")).errors
    assert (again[0].field, len(again), again.more) == ("define.f0", 20, 30)
    assert (again.first().told(), again.and_then(again).more) == ("define.f0: is wrong; and 49 more", 80)
    assert FieldErrors([FieldError("a", "b")] * 20).more == 0


def test_the_others_hold_what_a_caller_needs() -> None:
    assert UnknownTask("a").code == "a"
    assert "'a'" in str(UnknownTask("a"))
    assert ProviderUnavailable("busy", retry_after=2.5).retry_after == 2.5
    assert ProviderUnavailable("busy").retry_after is None
