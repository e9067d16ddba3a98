"""Whatever is thrown at the readers, only a StriateError comes back, soon, and it can be printed."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from network_strategies import chains, networks
from striate.diagnostics import StriateError
from striate.formats import load, parse, parse_size, toml
from striate.formats.grammar import keywords
from striate.network import Network
from striate.op import registry

pytestmark = pytest.mark.timeout(120)  # whatever the text, it is read or refused in bounded time
FIELD_WORDS = {word for cls in registry().values() for word in keywords(cls)}
WORDS = sorted(FIELD_WORDS | {*registry()})
MARKS = [
    *"->[]*:,/#\"'.-x×→\n\t 0123456789",
    "->",
    " -> ",
    "[",
    "]*2",
    "\\u0000",
    "\x00",
    "\ud800",
    "é",
    "٣",
    "²",
]
NUMBERS = [
    "3x3",
    "7x7x1",
    "1d 9x2",
    "1,1,2,2",
    "1e9",
    "-1",
    "1000000000",
    "99999999999",
    "1.5",
    "nan",
    "1e400",
]
KEYS = [
    "[network]\n",
    "[[node]]\n",
    "[node.a]\n",
    *(f"{k} = " for k in ("name", "op", "inputs", "input", "outputs")),
]
LITERALS = [
    "true",
    "{",
    "}",
    "'''",
    '"""',
    "[[1,1],[2,2]]",
    "1979-05-27",
    "0x10",
    "inf",
    "=",
    "\r\n",
    '"32x32x3"',
]
PIECES = st.sampled_from(MARKS) | st.sampled_from(NUMBERS) | st.sampled_from([*WORDS, "same", "off"])
TOML_PIECES = PIECES | st.sampled_from(KEYS) | st.sampled_from(LITERALS) | st.sampled_from(WORDS).map(repr)


def survives(read, text) -> None:
    """`read(text)` gives a network or raises a StriateError that can be printed."""
    try:
        assert isinstance(read(text), Network | tuple)
    except StriateError as error:
        assert error.what and error.code[0] in "IG"
        str(error).encode()
        assert len(str(error)) < 5000


@st.composite
def mutated(draw, texts, pieces):
    """A valid text with some of its pieces cut, doubled, swapped or replaced."""
    text = draw(texts)
    for _ in range(draw(st.integers(1, 4))):
        a, b = sorted((draw(st.integers(0, len(text))), draw(st.integers(0, len(text)))))
        b = min(b, a + 12)
        match draw(st.integers(0, 3)):
            case 0:
                text = text[:a] + text[b:]
            case 1:
                text = text[:b] + text[a:]
            case 2:
                text = text[:a] + draw(pieces) + text[b:]
            case _:
                text = text[:a] + text[a:b][::-1] + text[b:]
    return text


@st.composite
def shuffled(draw, texts):
    """The words of a valid text in another order."""
    return " ".join(draw(st.permutations(draw(texts).split())))


NOTATION = chains(max_nodes=4).map(format)
TOML = networks(max_nodes=4).map(toml.format)


@pytest.mark.parametrize(
    "read", [parse, toml.parse, parse_size, lambda text: parse_size(text, (3, 8, 8)), load]
)
@given(text=st.text(max_size=200) | st.binary(max_size=200).map(lambda data: data.decode("latin-1")))
@example(text="")
@example(text="\ud800 -> \udfff")
def test_any_text(read, text):
    if read is not load or not text.strip().endswith(".py"):
        survives(read, text)


@given(text=st.lists(PIECES, max_size=30).map("".join) | st.lists(PIECES, max_size=30).map(" ".join))
def test_pieces_of_notation(text):
    survives(parse, text)
    survives(parse, f"8x8x4 -> {text}")


@given(
    phrases=st.lists(st.tuples(st.sampled_from(WORDS), st.lists(PIECES, max_size=4)), min_size=1, max_size=4)
)
def test_operations_with_odd_words(phrases):
    survives(parse, " -> ".join(["8x8x4", *(f"{word} {' '.join(rest)}" for word, rest in phrases)]))


@given(text=mutated(NOTATION, PIECES) | shuffled(NOTATION))
def test_damaged_notation(text):
    survives(parse, text)


@given(text=st.lists(TOML_PIECES, max_size=40).map("".join))
def test_pieces_of_toml(text):
    survives(toml.parse, text)
    survives(toml.parse, f'[network]\ninput = "8x8x4"\n[[node]]\n{text}')


@given(text=mutated(TOML, TOML_PIECES) | shuffled(TOML))
def test_damaged_toml(text):
    survives(toml.parse, text)


VALUES = st.recursive(
    st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats().map(repr)
    | st.sampled_from([0, 1, 2, 10**9, "'same'", "'3x3'", "'1,2,3'", "''", "'C'", "'HWC'"]),
    lambda inner: st.lists(inner, max_size=4).map(lambda items: f"[{', '.join(map(str, items))}]"),
    max_leaves=6,
)  # fmt: skip


@given(
    st.sampled_from(sorted(registry())).flatmap(
        lambda word: st.tuples(
            st.just(word),
            st.dictionaries(
                st.sampled_from([*registry()[word].__dataclass_fields__, "kernel"]), VALUES, max_size=4
            ),
        )
    ),
    st.sampled_from(["8x8x4", "1d 9x4", "4x5x6x2", "100", "1000000000x1000000000x1000000000"]),
)
def test_fields_with_odd_values(node, size):
    word, fields = node
    lines = [
        f"{name} = {str(value).lower() if isinstance(value, bool) else value}"
        for name, value in fields.items()
    ]
    survives(toml.parse, "\n".join([f'[network]\ninput = "{size}"', "[[node]]", f'op = "{word}"', *lines]))
