"""Names of a network: legal, and unique however often they are asked for and released."""

from hypothesis import given
from hypothesis import strategies as st

from striate.formats.names import MAX_NAME_LETTERS, UniqueNames, legal

words = st.sampled_from(["conv", "conv_2", "conv_3", "conv_2_2", "a.b", "a_x"])


def test_slashes_and_colons_become_dots():
    assert legal("/layer1/conv:0/") == "layer1.conv.0" and legal("a\\b c") == "a.b.c"


@given(st.text(max_size=300))
def test_a_legal_name_can_be_printed(text):
    name = legal(text)
    assert name.isprintable() and len(name) <= MAX_NAME_LETTERS and not name.startswith(".")
    assert not set(name) & set("/\\: \t")


@given(st.lists(st.tuples(words, st.booleans())))
def test_names_are_unique(steps):
    names, held = UniqueNames(), []
    for word, back in steps:
        if back and held:
            names.discard(held.pop())
        else:
            name = names.take(word)
            assert name not in held and name.startswith(word)
            assert name == word or word in held
            held.append(name)
        assert all(name in names for name in held)


def test_numbers_are_counted_and_released():
    names = UniqueNames()
    assert [names.take("conv") for _ in range(3)] == ["conv", "conv_2", "conv_3"]
    names.discard("conv_2")
    assert [names.free("conv"), names.take("conv"), names.take("conv")] == ["conv_2", "conv_2", "conv_4"]
    assert names.take("relu", {"relu_2"}) == "relu" and names.take("relu", {"relu_2"}) == "relu_3"


def test_a_repeated_name_takes_no_search():
    names = UniqueNames()
    asked = []

    class Counted(set):
        def __contains__(self, name):
            asked.append(name)
            return super().__contains__(name)

    names._used = Counted()
    for _ in range(1000):
        names.take("relu")
    assert len(asked) < 4000
