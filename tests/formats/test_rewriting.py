"""Sources that are changed: only the lines that change, whatever way a `.toml` text spells them."""

import dataclasses

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from op_cases import WORDS, combinations, fixture
from striate.diagnostics import FormatError, StriateError
from striate.formats import load, parse, to_notation, toml
from striate.formats.rewriting import edit, rewrite
from striate.network import Network, Node
from striate.tensor import TensorSpec

HEAD = '[network]\nname = "t"\ninput = "16x16x8"\n\n'


def changed(text, name="c", **fields):
    net = toml.parse(text)
    return net.replace(name, dataclasses.replace(net.node(name).op, **fields))


@pytest.mark.parametrize(
    ("node", "fields", "expected"),
    [
        ('op = "conv 3x3 4 /2"', {"padding": 1}, 'op = "conv 3x3 4 /2 pad 1"'),
        ("op = 'conv 3x3 4 pad 1'  # why", {"stride": 2}, 'op = "conv 3x3 4 /2 pad 1"  # why'),
        ('op = "conv"\nkernel = 3\nfilters = 4', {"kernel": 5}, 'op = "conv"\nkernel = 5\nfilters = 4'),
        ('op = "conv"\nfilters = 4', {"bias": False}, 'op = "conv"\nbias = false\nfilters = 4'),
        ('op = "conv 3x3 4"\npadding = 1 # one', {"padding": 2}, 'op = "conv 3x3 4"\npadding = 2 # one'),
        ('op = "conv 3x3 4"\npadding = "same"', {"padding": ((1, 0), (1, 0))},
         'op = "conv 3x3 4"\npadding = [[1, 0], [1, 0]]'),
        ('  op = "conv"  # "#" # a\n  filters = 4', {"bias": False},
         '  op = "conv"  # "#" # a\n  bias = false\n  filters = 4'),
        ('"op" = "conv 3x3 4"', {"stride": 2}, '"op" = "conv 3x3 4 /2"'),
        ('op = "dwconv 3x3"', {"padding": 1}, 'op = "dwconv 3x3 pad 1"'),
        ('op = "conv 3x3 4"\nstride = 1', {"stride": 2, "padding": 1}, 'op = "conv 3x3 4 pad 1"\nstride = 2'),
    ],
)  # fmt: skip
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_one_place_changes(node, fields, expected, end):
    tail = '\n\n[[node]]  # the last\nop = "relu"\n'
    before = (f'{HEAD}[[node]]\nname = "c"\n{node}{tail}').replace("\n", end)
    after = (f'{HEAD}[[node]]\nname = "c"\n{expected}{tail}').replace("\n", end)
    assert edit(before, changed(before, **fields)) == after


def test_the_input():
    text = '[network]\ninput = "15x15x1"  # odd\n[[node]]\nop = "maxpool 2"\n'
    assert edit(text, toml.parse(text).with_input((1, 16, 16))) == text.replace("15x15x1", "16x16x1")
    head = '[network]\n[network.inputs]\n"left eye" = "8"\nright = "15x15x1"\n'
    text = head + '[[node]]\nop = "maxpool 2"\ninputs = ["right"]\n'
    net = toml.parse(text).with_input({"right": (1, 16, 16)})
    assert edit(text, net) == text.replace("15x15x1", "16x16x1")


def test_an_input_given_beside_the_file_is_no_part_of_it():
    text = HEAD + '[[node]]\nname = "c"\nop = "conv 3x3 4 /2"\n'
    net = toml.parse(text, input="17x17x8")
    net = net.replace("c", dataclasses.replace(net.node("c").op, padding=1))
    assert edit(text, net, "17x17x8") == text.replace("/2", "/2 pad 1")
    unusual = text.replace('"conv 3x3 4 /2"', '"""conv 3x3 4 /2"""')
    written = edit(unusual, net, "17x17x8")
    assert toml.parse(written, input="17x17x8") == net and toml.parse(written).input.spatial == (16, 16)


@pytest.mark.parametrize(
    "node",
    [
        'op = """conv 3x3 4"""',
        'op = "conv"\nfilters = 4\npadding = [\n  [0, 0],  # height\n  [0, 0],\n]',
        'op = "conv 3x3 4"\npadding = [\n[0, 0],\n[0, 0],\n]',
    ],
)
def test_an_unusual_spelling_is_written_anew(node):
    text = f'{HEAD}[[node]]\nname = "c"\n{node}\n'
    net = changed(text, padding=1)
    assert toml.parse(edit(text, net)) == net
    inline = f'node = [{{name = "c", op = "conv 3x3 4"}}]\n{HEAD}'
    net = changed(inline, padding=1)
    assert toml.parse(edit(inline, net)) == net


@settings(max_examples=150, suppress_health_check=[HealthCheck.filter_too_much])
@given(st.data(), st.sampled_from(WORDS))
def test_any_change_of_any_op_is_described(data, word):
    """From one set of fields to another one: the text of the one becomes that of the other."""
    ranges = fixture(word)["generate"]
    old, specs = data.draw(combinations(word, ranges))
    new, _ = data.draw(combinations(word, ranges))
    assume(new.output_count == old.output_count)
    assume(all(spec.axes == TensorSpec.image(spec.without_batch).axes for spec in specs))
    inputs = {f"in{port}": spec for port, spec in enumerate(specs)}
    node = Node("node", old, tuple(inputs))
    try:
        _ = new.declare(*specs)
        text = toml.format(Network("t", inputs, (node,), node.outputs))
        target = toml.parse(text).replace("node", new)
        toml.format(target)
    except StriateError:
        assume(False)
    assert toml.parse(edit(text, target)) == target


# ---------------------------------------------------------------- which sources
def test_a_notation_is_written_anew():
    net = parse("9x9x8 -> avgpool 3x3 /2 pad 1")
    text = " 9x9x8 ->   avgpool 3x3 /2 pad 1 # mean"
    found = rewrite(text, net)
    assert (found.old, found.new, found.path) == (text.strip(), to_notation(net), None)


def test_other_sources_say_why_not(tmp_path):
    net = load("lenet5")
    (tmp_path / "net.py").write_text("")
    (tmp_path / "net.onnx").write_bytes(b"")
    for source, why, fix in [
        ("lenet5", "catalogue", "striate convert lenet5 lenet5.toml"),
        (str(tmp_path / "net.py"), "Python code", "change it there"),
        ("some.module:net", "Python code", "change it there"),
        (str(tmp_path / "net.onnx"), "weights", "lenet5.toml"),
    ]:
        with pytest.raises(FormatError) as caught:
            rewrite(source, net)
        assert why in caught.value.why and fix in caught.value.fix and caught.value.where
