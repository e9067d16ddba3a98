"""Annotations as they are read when a call has failed: which values they allow, and in which words."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import pytest

from striate.diagnostics import StriateError, UsageError
from striate.signatures import ExplainMisuse, describe, explain_misuse, fits

Shape: TypeAlias = tuple[int, ...]
Late: TypeAlias = "str | Sequence[int] | Mapping[str, Sequence[int]]"
NAMES = {
    "Shape": Shape,
    "Late": Late,
    "Anything": Any,
    "Path": Path,
    "Error": StriateError,
    "Mode": Literal["a", "b"],
}


@pytest.mark.parametrize(
    ("hint", "said", "right", "wrong"),
    [
        ("int", "a whole number", [3, -1, np.int64(3)], [None, "3", 1.5, int, np.zeros(1, int)]),
        ("float", "a number", [3, 1.5, np.float32(2), float("nan")], [None, "3", float, np.zeros(2)]),
        ("bool", "True or False", [True], [1, None]),
        ("str | None", "a text or None", ["", None], [3, b""]),
        ("str | Path", "a text or a path", ["a", Path("a")], [3]),
        ("Shape", "a tuple of whole numbers", [(), (3, 4), [3]], ["34", 3, (1.5,), {3: 4}]),
        ("tuple[int, int]", "a tuple of 2 whole numbers", [(3, 4)], [(3,), (3, 4, 5), (3, None)]),
        ("Late", "a text, a tuple of whole numbers or a dict with texts as keys", ["3", (3,), {"a": (3,)}],
         [3, {"a": 3}, {3: (3,)}]),
        ("Mapping[str, Any]", "a dict with texts as keys", [{}, {"a": 3}], [[], {3: 3}]),
        ("NDArray[np.float32]", "an array", [np.zeros(3), [3, 4], [[1.5]]], [3, "", [], None, np.array(3), [None]]),
        ("Anything", "anything", [None, 3], []),
        ("Mode", "'a' or 'b'", ["a"], ["c", 3]),
        ("Error", "an Error", [UsageError("")], [3, ValueError()]),
        ("Unheard | None", "an Unheard or None", [None, UsageError("")], [3, "", np.zeros(3), object()]),
    ],
)  # fmt: skip
def test_an_annotation_allows_values_and_says_which(hint, said, right, wrong):
    assert describe(hint, NAMES) == said
    assert [value for value in right if not fits(value, hint, NAMES)] == []
    assert [value for value in wrong if fits(value, hint, NAMES)] == []


@explain_misuse
def halved(number: int, times: int = 1, *more: float, by: str = "") -> float:
    """A number over 2.

    number: what is halved (or not; as it is), in pixels; times: how often.
    """
    return number / 2**times + sum(more) + len(by)


class Pair(metaclass=ExplainMisuse):
    def __init__(self, left: int, right: "Sequence[int]" = ()) -> None:
        self.sum = left + sum(right)


def test_what_works_is_not_checked():
    assert halved(2.5) == 1.25 and halved(4, 1, 0.5, by="a") == 3.5
    assert halved.__name__ == "halved" and Pair(1.5, range(3)).sum == 4.5


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: halved("3"), "number of halved must be a whole number (got '3')"),
        (lambda: halved(3, None), "times of halved must be a whole number (got None)"),
        (lambda: halved(3, 1, 2.0, "x"), "more of halved must be a number (got 'x')"),
        (lambda: halved(3, by=3), "by of halved must be a text (got 3)"),
        (lambda: halved(3, tims=3), "halved does not take tims"),
        (lambda: Pair(1, 2), "right of Pair must be a tuple of whole numbers (got 2)"),
        (lambda: Pair(object()), "left of Pair must be a whole number (got a value of type object)"),
        (lambda: Pair(1, rihgt=2), "Pair does not take rihgt"),
    ],
)
def test_what_does_not_fit_is_named(call, says):
    with pytest.raises(UsageError) as caught:
        call()
    assert caught.value.what == says and caught.value.fix


def test_the_docstring_and_the_nearest_name_help():
    with pytest.raises(UsageError) as wrong:
        halved(None)
    assert wrong.value.why == "number: what is halved (or not; as it is), in pixels"
    assert wrong.value.fix == "give a whole number"
    with pytest.raises(UsageError) as optional:
        halved(3, None)
    assert optional.value.fix == "give a whole number, or leave times out"
    with pytest.raises(UsageError) as unknown:
        halved(3, tims=3)
    assert unknown.value.fix == "did you mean times?"


def test_other_errors_are_what_they_are():
    """The arguments fit, so the error is not about them; and their number is Python's matter."""
    with pytest.raises(OverflowError):
        halved(10**400)
    with pytest.raises(TypeError, match="missing"):
        halved()
    with pytest.raises(TypeError, match="missing"):
        Pair()
