"""Findings and errors: the five parts, one line of fixes, names nearest to a slip, the tree of errors."""

import inspect
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate import diagnostics
from striate.diagnostics import (
    Diagnostic,
    Fix,
    GraphError,
    OpError,
    Place,
    Severity,
    ShapeError,
    StriateError,
    fix_line,
    render,
    suggest,
)

KINDS = [
    kind for kind in vars(diagnostics).values() if inspect.isclass(kind) and issubclass(kind, StriateError)
]


def test_the_five_parts_of_the_contract():
    """The example of PRODUCT: what, where, why, fix and code."""
    finding = Diagnostic(
        "G002",
        "stride-loses-pixels",
        Severity.ERROR,
        "stride 3 does not fit",
        "conv1 = conv 3x3 /3 after input 7x7x1",
        "(7 + 0 - 3)/3 + 1 = 2.33; PyTorch would floor to 2 and never read row 6 and column 6 (13 of 49 pixels)",
        (
            Fix("stride 1 (-> 5x5)", node="conv1", change={"stride": 1}),
            Fix("stride 2 (-> 3x3)", node="conv1", change={"stride": 2}),
            Fix("pad 1 (-> 3x3)", node="conv1", change={"padding": 1}),
            Fix("input 6x6", input=(1, 6, 6)),
            Fix("input 9x9", input=(1, 9, 9)),
        ),
        "conv1",
    )
    assert render(finding) == inspect.cleandoc("""
        G002 conv1: stride 3 does not fit
          where   conv1 = conv 3x3 /3 after input 7x7x1
          why     (7 + 0 - 3)/3 + 1 = 2.33; PyTorch would floor to 2 and never read row 6 and column 6 (13 of 49 pixels)
          fix     stride 1 (-> 5x5) or 2 (-> 3x3) · pad 1 (-> 3x3) · input 6x6 or 9x9
        """)


def test_parts_that_are_not_there_take_no_line():
    assert render(Diagnostic("I000", "error", Severity.ERROR, "no")) == "I000: no"
    text = render(Diagnostic("I000", "error", Severity.ERROR, "no", why="two\nlines"))
    assert text.splitlines() == ["I000: no", "  why     two", "          lines"]


@pytest.mark.parametrize(
    ("fixes", "line"),
    [
        ([], ""),
        ([Fix("write 'a'"), Fix("write 'b'")], "write 'a' · write 'b'"),
        ([Fix("pad 1", change={"padding": 1}), Fix("stride 1", change={"stride": 1})], "pad 1 · stride 1"),
        ([Fix("pad 1", change={"padding": 1}), Fix("pad by hand")], "pad 1 · pad by hand"),
        ([Fix("ceil", change={"ceil": True}), Fix("ceil", change={"ceil": True})], "ceil · ceil"),
    ],
)
def test_computed_fixes_of_one_kind_share_their_first_word(fixes, line):
    assert fix_line(fixes) == line


def test_an_error_is_its_diagnostic():
    error = OpError("groups 2 do not divide 3", where="conv1", why="3/2 = 1.50", fix="groups 1")
    found = error.diagnostic
    assert (found.code, found.message, found.where, found.why) == ("I002", error.what, "conv1", "3/2 = 1.50")
    assert found.fixes == (Fix("groups 1"),) and found.severity is Severity.ERROR
    assert str(error) == render(found)
    assert OpError("nothing more").diagnostic.fixes == ()


def test_the_innermost_context_wins():
    place = Place("net.py", 3)
    error = (
        GraphError("no").at("inner", "inner = relu", place).at("outer", "outer = relu", Place("other.py", 9))
    )
    assert (error.node, error.where, error.place) == ("inner", "inner = relu", place)
    assert str(error).startswith("I003 inner: no")


def test_a_code_may_be_that_of_a_rule():
    assert ShapeError("no output").code == "G001"
    error = ShapeError("cannot be merged", code="G003")
    assert error.code == error.diagnostic.code == "G003"
    assert ShapeError.code == "G001", "the class keeps its own"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_has_a_code_a_name_and_a_place_in_the_tree(kind):
    assert re.fullmatch(r"[A-Z]\d{3}", kind.code)
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", kind.title)
    assert kind.__doc__
    assert kind is StriateError or re.search(rf"{kind.__name__} +{kind.code[:3]}", diagnostics.__doc__)


def test_codes_of_errors_are_unique():
    """Of those that are raised: the base itself never is."""
    raised = [kind for kind in KINDS if kind is not StriateError]
    for words in ([kind.code for kind in raised], [kind.title for kind in raised]):
        assert len(words) == len(set(words))


def test_severities_are_ranked():
    assert sorted(Severity, key=lambda severity: severity.rank) == [
        Severity.INFO,
        Severity.WARNING,
        Severity.ERROR,
    ]


@pytest.mark.parametrize(
    ("word", "known", "near"),
    [
        ("cnov", ["conv", "relu"], "conv"),
        ("Conv", ["conv", "relu"], "conv"),
        ("resnet8", ["resnet18", "vgg16"], "resnet18"),
        ("kernal", ["kernel", "stride"], "kernel"),
        ("BN1", ["Bn1", "bn2"], "Bn1"),
        ("xyz", ["conv", "relu"], ""),
        ("", ["conv"], ""),
        ("conv", [], ""),
    ],
)
def test_the_nearest_known_word(word, known, near):
    assert suggest(word, known) == near


@given(st.text(max_size=12), st.lists(st.text(max_size=12), max_size=8))
def test_a_suggestion_is_known_or_nothing(word, known):
    assert suggest(word, known) in [*known, ""]
    assert all(suggest(name, known).lower() == name.lower() for name in known)
