"""An operator that is not known: the rest of the network is still checked."""

import pytest

from striate.checks import check
from striate.diagnostics import OpError
from striate.engine.numpy_ import reference
from striate.formats import parse, to_notation


def test_with_a_shape_what_follows_is_checked():
    report = check(parse("8x8x3 -> opaque Mystery shape 4,7,7 -> conv 3x3 /3"))
    assert [(f.code, f.node) for f in report.findings] == [("G002", "conv1"), ("X001", "opaque1")]
    assert not report.skipped


def test_without_a_shape_it_fails_and_says_what_was_left_out():
    report = check(parse("8x8x3 -> conv 1x1 4 -> opaque Mystery -> conv 3x3 /3"))
    (finding,) = report.findings
    assert (finding.code, finding.severity, finding.node) == ("X001", "error", "opaque1")
    assert report.skipped == ("conv2",) and report.failed
    assert "not checked: conv2" in str(report)


def test_it_is_written_back():
    text = "8x8x3 -> opaque Mystery shape 4,7,7"
    assert to_notation(parse(text)) == text


def test_it_cannot_be_executed():
    declaration = parse("8x8x3 -> opaque Mystery shape 4,7,7").declarations["opaque1"]
    with pytest.raises(OpError, match="cannot be executed"):
        reference.run(declaration, [], {})


def test_five_axes_are_refused():
    with pytest.raises(OpError, match="at most 3 spatial axes"):
        _ = parse("8x8x3 -> opaque Mystery shape 4,7,7,7,7").inference
