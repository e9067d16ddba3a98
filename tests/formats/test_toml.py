"""The `.toml` form: branches, defaults, the round trip, and what is said about a file that does not hold together."""

import pytest
from hypothesis import given

from network_strategies import chains, networks
from striate.diagnostics import (
    FormatError,
    GraphError,
    LimitError,
    NotationError,
    OpError,
    StriateError,
    UnknownNameError,
)
from striate.formats import toml
from striate.models import create
from striate.network import Builder
from striate.ops import Add, Concat, Conv, Relu, Split

HEAD = '[network]\nname = "tiny"\ninput = "8x8x4"\n\n'

RESIDUAL = """
# A residual block, as a person writes it.
[network]
name = "residual"
input = "32x32x16"
outputs = ["relu1"]

[[node]]
name = "conv1"
op = "conv 3x3 16 pad same"

[[node]]
name = "conv2"
op = "conv"
kernel = "3x3"
filters = 16
padding = [[1, 1], [1, 1]]

[[node]]
op = "add"
inputs = ["conv2", "input"]

[[node]]
op = "relu"
"""


def test_a_residual_block():
    network = toml.parse(RESIDUAL)
    assert [(n.name, n.inputs) for n in network.nodes] == [
        ("conv1", ("input",)),
        ("conv2", ("conv1",)),
        ("add1", ("conv2", "input")),
        ("relu1", ("add1",)),
    ]
    assert network.node("conv1").op == Conv(16, kernel=3, padding="same")
    assert network.node("conv2").op == Conv(16, kernel=3, padding=1)
    assert str(network.specs["relu1"]) == "32x32x16"
    assert network.node("conv2").place.line == 12


def test_nodes_as_tables_in_any_order():
    head = "[network]\ninput = '8x8x4'\n"
    text = f"{head}[node.b]\nop = 'relu'\ninputs = 'a'\n[node.a]\nop = 'dwconv 3'\ninputs = 'input'"
    network = toml.parse(text)
    assert [node.name for node in network.nodes] == ["a", "b"]
    assert network.outputs == ("b",)
    assert network.nodes[0].place.line == 6


def test_several_inputs():
    network = toml.parse(
        '[network.inputs]\nleft = "8x8x3"\nright = "1d 8x3"\n[[node]]\nop = "relu"\ninputs = "right"'
    )
    assert {name: spec.without_batch for name, spec in network.inputs.items()} == {
        "left": (3, 8, 8),
        "right": (3, 8),
    }
    assert toml.parse(toml.format(network)) == network
    with pytest.raises(NotationError, match="several inputs"):
        toml.parse(toml.format(network), input="9x9")


def test_name_and_input_can_be_replaced():
    assert toml.parse(RESIDUAL, name="mine").name == "mine"
    assert toml.parse(RESIDUAL, input="9").input.without_batch == (16, 9, 9)


# ---------------------------------------------------------------- writing
@given(chains())
def test_chains_come_back(network):
    assert toml.parse(toml.format(network)) == network


@given(networks())
def test_branches_come_back(network):
    assert toml.parse(toml.format(network)) == network


@pytest.mark.parametrize(
    "name", ["resnet18", "googlenet", "densenet121", "mobilenet_v3_small", "shufflenet_v2_x0_5", "unet"]
)
def test_networks_of_the_catalogue_come_back(name):
    network = create(name)
    assert toml.parse(toml.format(network)) == network


def test_the_written_form(golden):
    build = Builder("branches", input=(4, 16, 16))
    a, b = build(Split(parts=2), build.input)
    a = build(Conv(8, kernel=(1, 3), stride=2, padding=((0, 0), (1, 2)), bias=False), a, name="stem.conv")
    b = build(Conv(None, kernel=3, stride=2, padding="same", groups="depthwise"), b)
    x = build(Concat(), a, b, name='"quoted" → name')
    golden("network.toml", toml.format(build.build(build(Relu(), x), x)))


def test_what_toml_cannot_say():
    build = Builder("net", input=(4, 8, 8))
    absent = Conv(None, kernel=3, groups="depthwise", bias=False)
    assert "dwconv" in toml.format(build.build(build(absent, build.input)))
    with pytest.raises(FormatError, match="printed"):
        toml.format(build.build(build(Add(), build.input, build.input, name="a\nb")))


# ---------------------------------------------------------------- files that do not hold together
def node(text: str) -> str:
    return HEAD + "[[node]]\n" + text


BAD = [
    ("", FormatError, "[network]"),
    ("[network]\n", FormatError, "input"),
    (HEAD, FormatError, "[[node]]"),
    (HEAD + "node = 3", FormatError, "[network]"),
    ("node = 3\n" + HEAD, FormatError, "[[node]]"),
    ("node = []\n" + HEAD, FormatError, "[[node]]"),
    ("network = 3\n[[node]]", FormatError, "[network]"),
    ("x = 1\n" + node('op = "relu"'), FormatError, "network, node"),
    ("[netwrok]\n", FormatError, "did you mean 'network'?"),
    ('[network]\ninput = "8x8x3"\ninputs = {}\n[[node]]\nop = "relu"', FormatError, "both"),
    ("[network]\ninput = [8, 8, 3]\n[[node]]\nop = 'relu'", FormatError, "32x32x3"),
    ("[network]\ninput = '0x8x3'\n[[node]]\nop = 'relu'", NotationError, "at least 1"),
    ("[network.inputs]\n[[node]]\nop = 'relu'", FormatError, "empty"),
    (node("op = 3"), FormatError, 'op = "conv"'),
    (node('name = "a"'), FormatError, 'op = "conv"'),
    (node('op = "cnov"'), UnknownNameError, "'conv'"),
    (node('op = "conv"\nkernl = 3'), OpError, "'kernel'"),
    (node('op = "conv 3x3 pda 1"'), NotationError, "did you mean 'pad'?"),
    (node('op = "conv 3x3 -> relu"'), NotationError, "own [[node]]"),
    (node('op = "conv"\nkernel = 0'), OpError, "1 or more"),
    (node('op = "conv"\nkernel = "3y3"'), NotationError, "3x3"),
    (node('op = "conv"\nkernel = "3x3 7"'), NotationError, "unexpected"),
    (node('op = "conv"\nkernel = 3.5'), OpError, "whole number"),
    (node('op = "conv"\nkernel = 1979-05-27'), OpError, "whole number"),
    (node('op = "conv"\npadding = "samme"'), NotationError, "did you mean 'same'?"),
    (node('op = "conv"\nfilters = 10000000000'), LimitError, "1,000,000,000"),
    (node('op = "conv 3"\nfilters = 99999999999999999999999999'), LimitError, "1,000,000,000"),
    (node('op = "conv"\nfilters = 8\ngroups = 3'), OpError, "do not divide"),
    (node('op = "dropout"\nrate = nan'), OpError, "number"),
    (node('op = "dropout"\nrate = inf'), OpError, "number"),
    (node('op = "relu"\ninputs = []'), FormatError, "list of names"),
    (node('op = "relu"\ninputs = [1]'), FormatError, "list of names"),
    (node('op = "relu"\ninputs = ["inptu"]'), GraphError, "'input'"),
    (node('op = "add"'), OpError, "two or more inputs"),
    (node('op = "relu"\nname = ""'), FormatError, "name"),
    (node('op = "relu"\nname = "a\\nb"'), FormatError, "printable"),
    (node('op = "relu"\nname = "input"'), GraphError, "unique"),
    (node('op = "split"\n[[node]]\nop = "relu"'), FormatError, "several"),
    (node('op = "split"\nparts = 1000000000'), LimitError, "outputs"),
    (node('op = "relu"\nname = "a"\n[[node]]\nop = "tanh"\nname = "a"'), GraphError, "unique"),
    (node('op = "relu"\nname = "a"\ninputs = "b"\n[[node]]\nop = "tanh"\nname = "b"'), GraphError, "cycle"),
    (node('op = "relu"\nname = "a"\ninputs = "a"'), GraphError, "cycle"),
    (HEAD.replace("\n\n", '\noutputs = ["nobody"]\n') + '[[node]]\nop = "relu"', GraphError, "nobody"),
    (HEAD.replace("\n\n", "\noutputs = 3\n") + '[[node]]\nop = "relu"', FormatError, "list of names"),
    (node('op = "relu"\nx = ' + "[" * 10_000), LimitError, "deep"),
    (node('op = "reshape"\nshape = ' + "[" * 40 + "]" * 40), LimitError, "deep"),
    (node('op = "reshape"\nshape = [' + "9," * 100_000 + "]"), LimitError, "long"),
    (node('op = "reshape"\nshape = [' + "999999999," * 250 + "]"), OpError, "cannot be reshaped"),
    (node('op = "add"\ninputs = [' + '"input",' * 100_000 + "]"), LimitError, "100,000 names"),
    ("a." * 100_000 + "b = 1", LimitError, "dots"),
    ("a = " + "9" * 100_000, FormatError, "TOML"),
    ("a = {" * 10_000, StriateError, ""),
    ("\x00\x01", FormatError, "TOML"),
    ("[network]\nname = 'x", FormatError, "end of document"),
    ('[network]\nname = "' + "x" * 2000 + '"\ninput = "8x8"\n[[node]]\nop = "relu"', LimitError, "2,000"),
    ("x" * 9_000_000, LimitError, "9,000,000"),
]


@pytest.mark.parametrize(("text", "kind", "says"), BAD, ids=range(len(BAD)))
@pytest.mark.timeout(60)
def test_what_is_said(text, kind, says):
    with pytest.raises(kind) as caught:
        toml.parse(text, file="net.toml")
    assert says in str(caught.value)
    assert caught.value.where.startswith("net.toml")
    assert caught.value.fix
    assert len(str(caught.value)) < 5000


def test_the_line_of_the_node_is_told():
    with pytest.raises(OpError) as caught:
        toml.parse(RESIDUAL.replace('kernel = "3x3"', "groups = 3"), file="net.toml")
    assert caught.value.where.startswith("net.toml:12\nconv2 = conv 3x3 16")
