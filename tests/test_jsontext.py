"""JSON for people and programs: what stands on a line of its own, and that it is read back."""

import json
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.jsontext import EVERY, json_text

RECORD = {
    "rows": [{"a": 1, "b": [1, 2]}, {"a": 2}],
    "map": {"x": {"y": 1}},
    "plain": [1, 2],
    "empty": [{}, []],
}

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(plain, st.sampled_from([0, 1, 2, EVERY]))
def test_every_form_is_read_back(value, depth):
    text = json_text(value, depth)
    assert text.endswith("\n") and json.loads(text) == value


def test_keys_and_rows_have_lines_of_their_own():
    assert json_text(RECORD).splitlines() == [
        "{",
        '  "rows": [',
        '    {"a": 1, "b": [1, 2]},',
        '    {"a": 2}',
        "  ],",
        '  "map": {"x": {"y": 1}},',
        '  "plain": [1, 2],',
        '  "empty": [',
        "    {},",
        "    []",
        "  ]",
        "}",
    ]


def test_objects_within_objects_where_asked():
    lines = json_text(RECORD, EVERY).splitlines()
    assert '      "b": [1, 2]' in lines and '      "y": 1' in lines and '  "plain": [1, 2],' in lines


def test_fractions_and_numbers_of_thousands_of_digits():
    assert json_text({"a": Fraction(1, 2), "b": Fraction(4, 2)}) == '{\n  "a": 0.5,\n  "b": 2\n}\n'
    assert len(json_text(10**5000)) == 5002


def test_what_json_has_no_word_for():
    with pytest.raises(TypeError, match="no plain form"):
        json_text({1, 2})
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_text(float("nan"), allow_nan=False)
