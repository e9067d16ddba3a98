"""The notation: every form of the contract, defaults, sizes, names, and the round trip."""

import dataclasses

import pytest
from hypothesis import given

from network_strategies import chains
from striate.diagnostics import FormatError, NotationError
from striate.formats import parse, parse_size, to_notation
from striate.formats.grammar import keywords, usage
from striate.geometry import PADDING_POLICIES
from striate.network import Builder
from striate.op import Op, base, count, registry
from striate.ops import Add, AvgPool, Conv, Gelu, MaxPool, Pad, Relu, Reshape, Slice, Softmax, Upsample


def only(phrase: str, size: str = "32x32x4") -> Op:
    (node,) = parse(f"{size} -> {phrase}").nodes
    return node.op


def outputs(text: str) -> list[str]:
    return [str(spec) for spec in parse(text).inference.specs.values()]


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("7x7x1 -> conv 3x3", ["7x7x1", "5x5x1"]),
        ("7x7x1 -> conv 3x3 /2", ["7x7x1", "3x3x1"]),
        ("32x32x3 -> conv 5x5 6", ["32x32x3", "28x28x6"]),
        (
            "32x32x3 -> conv 5x5 6 -> relu -> maxpool 2x2 /2 -> conv 5x5 16 -> relu -> maxpool 2 -> flatten"
            " -> fc 120 -> relu -> fc 84 -> relu -> fc 10",
            [
                "32x32x3",
                "28x28x6",
                "28x28x6",
                "14x14x6",
                "10x10x16",
                "10x10x16",
                "5x5x16",
                "400",
                "120",
                "120",
                "84",
                "84",
                "10",
            ],
        ),
        (
            "224x224x3 -> [conv 3x3 64 pad same -> relu]*2 -> maxpool 2",
            ["224x224x3", *["224x224x64"] * 4, "112x112x64"],
        ),
    ],
)
def test_the_contracts_examples(text, sizes):
    assert outputs(text) == sizes


@pytest.mark.parametrize(
    ("phrase", "op"),
    [
        ("conv 3", Conv(kernel=3)),
        ("conv 3x3", Conv(kernel=3)),
        ("conv 3x5", Conv(kernel=(3, 5))),
        ("conv 5x5 6", Conv(6, kernel=5)),
        ("conv 3×3 6 /2", Conv(6, kernel=3, stride=2)),
        ("conv 3 6 /2x1", Conv(6, kernel=3, stride=(2, 1))),
        ("conv 3 6 stride 2", Conv(6, kernel=3, stride=2)),
        ("conv 3 filters 6 padding 1", Conv(6, kernel=3, padding=1)),
        ("conv 3 pad 1", Conv(kernel=3, padding=1)),
        ("conv 3 pad 1x2", Conv(kernel=3, padding=(1, 2))),
        ("conv 3 pad 1,2,3,4", Conv(kernel=3, padding=((1, 2), (3, 4)))),
        *((f"conv 3 pad {policy}", Conv(kernel=3, padding=policy)) for policy in PADDING_POLICIES),
        ("conv 3 dil 2", Conv(kernel=3, dilation=2)),
        ("conv 3 4 groups 2", Conv(4, kernel=3, groups=2)),
        ("conv 3 bias off", Conv(kernel=3, bias=False)),
        ("conv 3 pad 1 mode circular", Conv(kernel=3, padding=1, mode="circular")),
        ("dwconv 3", Conv(None, kernel=3, groups="depthwise")),
        ("dwconv 3 8", Conv(8, kernel=3, groups="depthwise")),
        ("maxpool 2", MaxPool(2)),
        ("maxpool 2x2 /2", MaxPool(2, stride=2)),
        ("maxpool 3 /2 ceil", MaxPool(3, stride=2, ceil=True)),
        ("maxpool 3 ceil off /2", MaxPool(3, stride=2)),
        ("avgpool 3 countpad off pad 1", AvgPool(3, padding=1, count_include_pad=False)),
        ("gelu tanh", Gelu(approximate=True)),
        ("softmax", Softmax()),
        ("pad 1,0,1,0 value -1.5", Pad(((1, 0), (1, 0)), value=-1.5)),
        ("reshape 64x64", Reshape((64, 64))),
        ("reshape 4,-1", Reshape((4, -1))),
        ("slice H from 1 to -1", Slice("H", 1, -1)),
        ("upsample 2 method bilinear", Upsample(2, method="bilinear")),
        ("upsample size 40x30", Upsample(size=(40, 30))),
    ],
)
def test_every_form_of_a_phrase(phrase, op):
    assert only(phrase) == op


def test_words_may_come_in_any_order():
    assert only("conv pad 1 3x3 bias off 8 /2") == Conv(8, kernel=3, stride=2, padding=1, bias=False)


@pytest.mark.parametrize(
    ("size", "shape"),
    [
        ("7x5x3", (3, 7, 5)),
        ("7x5", (1, 7, 5)),
        ("7×5×3", (3, 7, 5)),
        ("4x7x5x3", (3, 4, 7, 5)),
        ("1d 100x3", (3, 100)),
        ("1d 100", (1, 100)),
        ("3d 4x7x5", (1, 4, 7, 5)),
        ("784", (784,)),
        ("1000000000x1000000000x3", (3, 10**9, 10**9)),
    ],
)
def test_inputs(size, shape):
    assert parse(f"{size} -> relu").input.without_batch == shape


def test_newlines_comments_arrows_and_names():
    text = """
    # LeNet's first stage
    28×28 → stem: conv 5x5 6   # six filters
      -> [relu
          -> maxpool 2]*1
      -> "0.weight": conv 3 16 -> layer1.0.conv-a: conv 1 8
    """
    assert [node.name for node in parse(text).nodes] == [
        "stem",
        "relu1",
        "maxpool1",
        "0.weight",
        "layer1.0.conv-a",
    ]


def test_repetition_nests():
    words = [node.op.word for node in parse("9x9x4 -> [[relu -> tanh]*2 -> silu]*2").nodes]
    assert words == ["relu", "tanh", "relu", "tanh", "silu"] * 2


def test_the_input_can_be_replaced():
    text = "32x32x3 -> conv 3x3 8"
    assert parse(text, input=(1, 9, 9)).input.without_batch == (1, 9, 9)
    assert parse(text, input="9x8").input.without_batch == (3, 9, 8)
    assert parse(text, input="9", name="tiny").input.without_batch == (3, 9, 9)
    assert parse(text, name="tiny").name == "tiny"


@pytest.mark.parametrize(
    ("text", "like", "shape"),
    [
        ("224x160x3", None, (3, 224, 160)),
        ("224x160", None, (1, 224, 160)),
        ("224x160", (3, 8, 8), (3, 224, 160)),
        ("64", (3, 8, 8), (3, 64, 64)),
        ("64x5", (3, 8), (5, 64)),
        ("64", (3, 8), (3, 64)),
        ("1d 64x5", (3, 8, 8), (5, 64)),
        ("16", (3, 8, 8, 8), (3, 16, 16, 16)),
        ("10", (784,), (10,)),
    ],
)
def test_sizes_for_a_network(text, like, shape):
    assert parse_size(text, like) == shape


@pytest.mark.parametrize("text", ["64x64x3x3", "0x4", "x", "3 3", "", "-4x4", "1.5"])
def test_no_size_for_an_image(text):
    with pytest.raises(NotationError):
        parse_size(text, (3, 8, 8))


# ---------------------------------------------------------------- writing
@given(chains())
def test_reading_what_was_written_gives_the_network_back(network):
    text = to_notation(network)
    assert parse(text, name=network.name) == network
    assert parse(to_notation(network, width=20), name=network.name) == network


@pytest.mark.parametrize(
    "text",
    [
        "7x7x1 -> conv 3x3 /3",
        "1d 100x3 -> conv 5 8 /2 pad 2 -> gap -> flatten -> fc 10",
        "224x224x3 -> stem: conv 7x7 64 /2 pad 3 bias off -> bn -> relu -> maxpool 3x3 /2 ceil on",
        "3x3x1 -> conv 5x5 -> relu",
    ],
)
def test_a_written_text_is_kept(text):
    assert to_notation(parse(text)) == text


def test_branches_have_no_notation():
    build = Builder("skip", input=(3, 8, 8))
    x = build(Conv(3, kernel=3, padding=1), build.input)
    with pytest.raises(FormatError, match=r"not a chain[^$]*add1 reads conv1, input[^$]*toml"):
        to_notation(build.build(build(Add(), x, build.input)))
    with pytest.raises(FormatError, match="not a chain"):
        to_notation(build.build(x))


# ---------------------------------------------------------------- derived from the declarations
@pytest.mark.parametrize("word", sorted(registry()))
def test_every_op_shows_how_it_is_written(word):
    text = usage(word)
    assert text.split()[0] == word
    hidden = registry()[word].aliases.get(word, {})
    for name, field in keywords(registry()[word]).items():
        if name == field.name and name not in hidden:
            words = [name.upper(), *field.metadata["words"], name]
            assert any(w in text for w in words), f"{word} does not show {name}"


def test_no_word_of_an_op_hides_another():
    for cls in set(registry().values()):
        words = [w for f in dataclasses.fields(cls) for w in {f.name, *f.metadata["words"]}]
        assert len(words) == len(set(words)), cls


def test_a_new_op_is_written_without_touching_the_parser():
    try:

        @dataclasses.dataclass(frozen=True)
        class Twist(Relu):
            word = "twist"
            positional = ("turns",)
            turns: int = count(1, words=("turns",))

        registry.cache_clear()
        assert only("twist 5") == Twist(turns=5) == only("twist turns 5")
        assert to_notation(parse("8x8x3 -> twist 5")) == "8x8x3 -> twist 5"
    finally:
        base._REGISTRY.pop("twist")
        registry.cache_clear()


def test_a_long_chain_is_read_in_seconds():
    network = parse("8x8x4 -> [conv 3x3 4 pad 1 -> relu]*5000")
    assert len(network.nodes) == 10_000
