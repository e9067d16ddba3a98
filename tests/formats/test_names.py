"""Names that files and messages can carry."""

from hypothesis import given
from hypothesis import strategies as st

from striate.formats.names import LONGEST, legal


def test_slashes_and_colons_become_dots():
    assert legal("/layer1/conv:0/") == "layer1.conv.0" and legal("a\\b c") == "a.b.c"


@given(st.text(max_size=300))
def test_a_legal_name_can_be_printed(text):
    name = legal(text)
    assert name.isprintable() and len(name) <= LONGEST and not name.startswith(".")
    assert not set(name) & set("/\\: \t")
