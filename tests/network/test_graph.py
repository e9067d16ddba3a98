"""Networks: order, names, errors in five parts, immutability, inference, plain form, size."""

import copy
import dataclasses
import itertools
import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from network_strategies import networks
from striate.diagnostics import (
    FormatError,
    GraphError,
    LimitError,
    OpError,
    ShapeError,
    StriateError,
    UnknownNameError,
)
from striate.network import Builder, Network, Node, unread
from striate.ops import Add, BatchNorm, Concat, Conv, Flatten, Linear, MaxPool, Relu, Split
from striate.tensor import TensorSpec

INPUT = {"input": TensorSpec.image((3, 8, 8))}


def net(*nodes, outputs=None, inputs=INPUT):
    """A network of (name, op, *inputs)."""
    made = tuple(Node(name, op, tuple(reads)) for name, op, *reads in nodes)
    return Network("net", inputs, made, tuple(outputs or unread(made)))


def five_parts(error, code):
    """What, where, why, fix and code are all there; returns the text."""
    assert error.code == code
    assert all((error.what, error.where, error.why, error.fix)), str(error)
    text = str(error)
    assert (
        text.startswith(code) and "\n  where   " in text and "\n  why     " in text and "\n  fix     " in text
    )
    return text


# ---------------------------------------------------------------- order
def test_nodes_are_brought_into_an_order_in_which_they_can_run():
    made = net(("c", Relu(), "b"), ("b", Relu(), "a"), ("a", Relu(), "input"))
    assert [node.name for node in made.nodes] == ["a", "b", "c"]


def test_an_order_that_runs_is_kept():
    made = net(("b", Relu(), "input"), ("a", Relu(), "input"), ("sum", Add(), "a", "b"))
    assert [node.name for node in made.nodes] == ["b", "a", "sum"]


@given(networks(), st.randoms(use_true_random=False))
def test_any_order_of_the_nodes_is_the_same_graph(network, random):
    nodes = list(network.nodes)
    random.shuffle(nodes)
    shuffled = dataclasses.replace(network, nodes=tuple(nodes))
    seen = set(network.inputs)
    for node in shuffled.nodes:
        assert set(node.inputs) <= seen
        seen.update(node.outputs)
    assert dict(shuffled.specs) == dict(network.specs)


# ---------------------------------------------------------------- what is not a graph
def test_a_value_that_nothing_makes():
    with pytest.raises(GraphError) as caught:
        net(("conv1", Conv(), "input"), ("relu1", Relu(), "conv2"))
    text = five_parts(caught.value, "I003")
    assert "node relu1 reads 'conv2', which does not exist" in text
    assert "relu1 = relu, inputs conv2" in text and "the values are input, conv1, relu1" in text
    assert "write 'conv1'" in text
    assert caught.value.node == "relu1"


def test_an_output_that_nothing_makes():
    with pytest.raises(GraphError) as caught:
        net(("conv1", Conv(), "input"), outputs=["cnov1"])
    assert "write 'conv1'" in five_parts(caught.value, "I003")


def test_a_split_is_read_by_its_parts():
    with pytest.raises(GraphError) as caught:
        net(("split1", Split(3), "input"), ("relu1", Relu(), "split1"))
    assert "split1:0" in five_parts(caught.value, "I003")


def test_no_output():
    with pytest.raises(GraphError) as caught:
        Network("net", INPUT, (), ())
    five_parts(caught.value, "I003")


@pytest.mark.parametrize("names", [("a", "a"), ("input", "b"), ("split1:0", "split1")])
def test_names_are_unique(names):
    first, second = names
    with pytest.raises(GraphError) as caught:
        net((first, Relu(), "input"), (second, Split(3), "input"), outputs=["input"])
    text = five_parts(caught.value, "I003")
    assert "two nodes or inputs are named" in text


@pytest.mark.parametrize("length", [1, 2, 3, 100])
def test_a_circle_is_named(length):
    names = [f"r{k}" for k in range(length)]
    nodes = [(name, Relu(), names[(k + 1) % length]) for k, name in enumerate(names)]
    with pytest.raises(GraphError) as caught:
        net(*nodes, outputs=["r0"])
    text = five_parts(caught.value, "I003")
    assert f"the network has a cycle of {length}: r0 <- " in text
    assert len(text) < 1000
    if length < 8:
        assert " <- ".join([*names, "r0"]) in text


def test_a_circle_beside_good_branches():
    good = [("a", Relu(), "input"), ("b", Add(), "a", "d"), ("c", Relu(), "b"), ("d", Add(), "c", "input")]
    with pytest.raises(GraphError, match=r"b <- d <- c <- b|d <- c <- b <- d"):
        net(*good, outputs=["d"])


# ---------------------------------------------------------------- parts
def build():
    b = Builder("small", input=(3, 32, 32))
    x = b(Conv(8, kernel=3, padding=1, bias=False), b.input, name="conv1")
    x = b(BatchNorm(), x, name="bn1")
    skip = x = b(Relu(), x, name="relu1")
    x = b(Conv(8, kernel=3, padding=1), x, name="conv2")
    x = b(Add(), x, skip, name="add1")
    x = b(Flatten(), x, name="flatten1")
    return b.build(b(Linear(10), x, name="fc"))


def test_parameters_are_named_by_node_and_part():
    assert {name: p.shape for name, p in build().parameters.items()} == {
        "conv1.weight": (8, 3, 3, 3),
        "bn1.weight": (8,),
        "bn1.bias": (8,),
        "bn1.running_mean": (8,),
        "bn1.running_var": (8,),
        "conv2.weight": (8, 8, 3, 3),
        "conv2.bias": (8,),
        "fc.weight": (10, 8192),
        "fc.bias": (10,),
    }


def test_consumers_and_producers():
    network = build()
    assert [node.name for node in network.consumers["relu1"]] == ["conv2", "add1"]
    assert network.consumers["fc"] == ()
    assert network.producers["add1"] is network.node("add1")
    assert "input" not in network.producers
    doubled = net(("twice", Add(), "input", "input"))
    assert [node.name for node in doubled.consumers["input"]] == ["twice"], "a reader is listed once"


def test_a_node_that_is_not_there():
    with pytest.raises(UnknownNameError) as caught:
        build().node("conf1")
    assert "write 'conv1'" in five_parts(caught.value, "I006")
    with pytest.raises(UnknownNameError) as caught:
        Network("empty", INPUT, (), ("input",)).node("conv1")
    five_parts(caught.value, "I006")


def test_splits_make_several_values():
    made = net(
        ("split1", Split(sizes=(1, 2)), "input"),
        ("conv1", Conv(4), "split1:1"),
        ("concat1", Concat(), "split1:0", "split1:1"),
    )
    assert made.node("split1").outputs == ("split1:0", "split1:1")
    assert made.specs["split1:1"].channels == 2 and made.specs["concat1"].channels == 3
    assert made.outputs == ("conv1", "concat1")


# ---------------------------------------------------------------- immutable
def test_networks_are_frozen():
    network = build()
    with pytest.raises(dataclasses.FrozenInstanceError):
        network.name = "other"
    with pytest.raises(dataclasses.FrozenInstanceError):
        network.nodes[0].op = Relu()
    with pytest.raises(dataclasses.FrozenInstanceError):
        network.nodes[0].op.kernel = 5
    given = dict(INPUT)
    made = Network("net", given, (Node("a", Relu(), ("input",)),), ["a"])
    given["other"] = TensorSpec.image((1, 1, 1))
    assert list(made.inputs) == ["input"] and made.outputs == ("a",)


def test_equal_networks_are_equal_and_hash_alike():
    assert build() == build() and hash(build()) == hash(build())
    assert build() != build().replace("relu1", MaxPool(1))
    network = build()
    for copied in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        assert copied == network and dict(copied.specs) == dict(network.specs)


def test_replace_changes_one_node_and_leaves_the_old_network():
    network = build()
    wider = network.replace("conv1", dataclasses.replace(network.node("conv1").op, stride=2, padding=1))
    assert wider.specs["relu1"].shape == (1, 8, 16, 16)
    assert network.specs["relu1"].shape == (1, 8, 32, 32)
    assert [n.name for n in wider.nodes] == [n.name for n in network.nodes]
    with pytest.raises(UnknownNameError):
        network.replace("nobody", Relu())


def test_with_input():
    network = build().with_input((3, 16, 20))
    assert network.input.without_batch == (3, 16, 20)
    assert network.specs["add1"].shape == (1, 8, 16, 20)
    for shape in [(0, 8, 8), (3, 8, -8), (), (3, 8.5, 8), (1, 2, 3, 4, 5), "3x8x8", (3, True, 8), 8]:
        with pytest.raises(StriateError) as caught:
            _ = build().with_input(shape).specs
        assert caught.value.why and caught.value.fix


def test_several_inputs():
    two = {"left": TensorSpec.image((3, 8, 8)), "right": TensorSpec.image((3, 8, 8))}
    made = net(("sum", Add(), "left", "right"), inputs=two)
    assert made.specs["sum"].shape == (1, 3, 8, 8)
    assert Network.from_dict(made.to_dict()) == made
    for ask in (lambda: made.input, lambda: made.with_input((3, 4, 4))):
        with pytest.raises(GraphError) as caught:
            ask()
        assert "left, right" in five_parts(caught.value, "I003")


# ---------------------------------------------------------------- inference
def test_inference_goes_on_beside_a_failed_branch():
    made = net(
        ("long", Conv(kernel=9), "input"),
        ("after", Relu(), "long"),
        ("fine", Conv(4, kernel=3), "input"),
        ("both", Add(), "after", "fine"),
        ("longer", Conv(kernel=7), "fine"),
        outputs=["both", "longer"],
    )
    seen = made.inference
    assert [problem.node for problem in seen.problems] == ["long", "longer"]
    assert seen.unknown == ("after", "both")
    assert set(seen.specs) == {"input", "fine"} == {"input", *seen.declarations}
    for ask in (lambda: made.specs, lambda: made.declarations, lambda: made.parameters):
        with pytest.raises(ShapeError) as caught:
            ask()
        text = five_parts(caught.value, "G001")
        assert "long = conv 9x9 1 after input 8x8x3" in text.replace("conv 9x9 after", "conv 9x9 1 after")


def test_an_op_that_does_not_suit_its_input_says_where():
    made = net(("conv1", Conv(6, kernel=1), "input"), ("conv2", Conv(4, kernel=1, groups=4), "conv1"))
    with pytest.raises(OpError) as caught:
        _ = made.inference
    text = five_parts(caught.value, "I002")
    assert text.startswith("I002 conv2: groups 4 do not divide 6 input channels")
    assert "conv2 = conv 1x1 4 groups 4 after conv1 8x8x6" in text


def test_equal_nodes_have_errors_of_their_own():
    made = net(("one", Conv(kernel=9), "input"), ("two", Conv(kernel=9), "input"))
    assert [(p.node, p.where.split()[0]) for p in made.inference.problems] == [("one", "one"), ("two", "two")]
    again = net(("three", Conv(kernel=9), "input"))
    assert again.inference.problems[0].node == "three"
    assert made.inference.problems[0].node == "one", "an error is not shared"


@pytest.mark.parametrize(
    ("op", "reads"), [(Relu(), ()), (Relu(), ("input", "input")), (Add(), ("input",)), (Concat(), ())]
)
def test_how_many_inputs_an_op_takes(op, reads):
    with pytest.raises(OpError) as caught:
        _ = net(("node", op, *reads)).inference
    assert f"{len(reads)} given" in five_parts(caught.value, "I002")


# ---------------------------------------------------------------- plain form
@given(networks())
def test_the_plain_form_gives_the_network_back(network):
    plain = json.loads(json.dumps(network.to_dict()))
    again = Network.from_dict(plain)
    assert again == network
    assert again.to_dict() == plain
    assert dict(again.specs) == dict(network.specs)


def test_the_plain_form_is_what_it_says():
    made = net(("conv1", Conv(6, kernel=5), "input"), ("pool", MaxPool(), "conv1"))
    assert made.to_dict() == {
        "name": "net",
        "inputs": {"input": [3, 8, 8]},
        "nodes": [
            {"name": "conv1", "op": "conv", "filters": 6, "kernel": 5, "inputs": ["input"]},
            {"name": "pool", "op": "maxpool", "inputs": ["conv1"]},
        ],
        "outputs": ["pool"],
    }


GOOD = net(("conv1", Conv(6, kernel=5), "input"), ("pool", MaxPool(), "conv1")).to_dict()


@pytest.mark.parametrize(
    ("change", "kind", "says"),
    [
        ({"nodes": [{"name": "a", "op": "conf", "inputs": ["input"]}]}, UnknownNameError, "'conv'"),
        ({"nodes": [{"name": "a", "op": "relu"}]}, FormatError, "node 1 has no inputs"),
        ({"nodes": [{"op": "relu", "inputs": ["input"]}]}, FormatError, "node 1 has no name"),
        ({"nodes": [{"name": 3, "op": "relu", "inputs": []}]}, FormatError, "name of node 1 is not a text"),
        ({"nodes": [{"name": "a", "inputs": ["input"]}]}, OpError, "name of the op is missing"),
        ({"nodes": [{"name": "a", "op": "relu", "inputs": [1]}]}, FormatError, "1 is not a name"),
        ({"nodes": [{"name": "a", "op": "relu", "inputs": "input"}]}, FormatError, "not a list"),
        ({"nodes": ["relu"]}, FormatError, "not a table"),
        ({"nodes": "relu"}, FormatError, "nodes of the network is not a list"),
        ({"inputs": {"input": [3, 0, 8]}}, StriateError, "shape of an image"),
        ({"inputs": {"input": [3, 10**13, 8]}}, StriateError, "shape of an image"),
        ({"inputs": {"input": 3}}, StriateError, "shape of an image"),
        ({"inputs": {}}, GraphError, "does not exist"),
        ({"inputs": [3, 8, 8]}, FormatError, "inputs of the network is not a table"),
        ({"outputs": []}, GraphError, "no output"),
        ({"outputs": ["poool"]}, GraphError, "'pool'"),
        ({"outputs": [["pool"]]}, FormatError, "is not a name"),
        ({"name": None}, FormatError, "name of the network is not a text"),
        (
            {"nodes": [{"name": "a", "op": "conv", "kernel": 10**13, "inputs": ["input"]}]},
            LimitError,
            "limit",
        ),
    ],
)
def test_plain_forms_that_hold_no_network(change, kind, says):
    with pytest.raises(kind) as caught:
        Network.from_dict(GOOD | change)
    text = five_parts(caught.value, caught.value.code)
    assert says in text


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["input", "conv", "conv1", "relu", ""]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from([*GOOD, "op", "kernel", "input"]), inner, max_size=5),
    max_leaves=12,
)  # fmt: skip


@given(plain, st.sampled_from(["", *GOOD]), st.sampled_from(["", "name", "op", "inputs", "kernel"]))
def test_hostile_plain_forms(value, key, inner):
    """Anything at all in any place: a network, or an error that says what to do."""
    data = copy.deepcopy(GOOD)
    if not key:
        data = value
    elif inner:
        data["nodes"][0][inner] = value
    else:
        data[key] = value
    try:
        _ = Network.from_dict(data).inference
    except StriateError as error:
        assert error.what and error.why and error.fix and len(str(error)) < 3000


# ---------------------------------------------------------------- size
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.timeout(60)  # a quadratic walk takes far longer
def test_a_chain_of_ten_thousand_nodes(backwards):
    """Linear time and no recursion, also where the nodes are given last to first."""
    names = ["input", *(f"r{k}" for k in range(10_000))]
    nodes = [Node(name, Relu(), (before,)) for before, name in itertools.pairwise(names)]
    made = Network("chain", INPUT, tuple(nodes[::-1] if backwards else nodes), (names[-1],))
    assert made.specs[names[-1]].shape == (1, 3, 8, 8)
    assert [node.name for node in made.nodes] == names[1:]
    assert Network.from_dict(made.to_dict()) == made


@pytest.mark.timeout(60)
def test_a_ladder_of_many_paths_is_walked_once():
    """Each rung doubles the number of paths: walking paths would never end."""
    b = Builder(input=(1, 4, 4))
    x = b.input
    for _ in range(300):
        x = b(Add(), x, b(Relu(), x))
    nodes = b.build(x).nodes
    assert len(Network("ladder", b.build(x).inputs, nodes[::-1], (x.name,)).nodes) == 600
