"""The builder: names, scopes, handles, places, and what is refused at once."""

import inspect

import pytest

from striate.diagnostics import GraphError, OpError, Place, ShapeError, StriateError
from striate.models import catalogue
from striate.network import Builder
from striate.ops import Add, Concat, Conv, MaxPool, Relu, Split


def here():
    """The line that asks."""
    return inspect.currentframe().f_back.f_lineno


def test_nodes_are_numbered_by_their_word():
    b = Builder(input=(3, 16, 16))
    x = b(Conv(4), b.input)
    x = b(Relu(), x)
    y = b(Conv(4), x)
    assert [x.name, y.name] == ["relu1", "conv2"]
    z = b(Conv(4), b.input, name="conv3")
    assert b(Conv(4), z).name == "conv4", "a number that is taken is passed over"


def test_scopes_go_before_names():
    b = Builder(input=(3, 16, 16))
    with b.scope("layer1"):
        with b.scope("0"):
            x = b(Conv(3, padding=1), b.input, name="conv1")
            assert b(Relu(), x).name == "layer1.0.relu1"
        with b.scope("1"):
            assert b(Relu(), x).name == "layer1.1.relu1", "every scope counts for itself"
        y = b(Relu(), x)
    assert (x.name, y.name) == ("layer1.0.conv1", "layer1.relu1")
    with pytest.raises(ZeroDivisionError), b.scope("broken"):
        raise ZeroDivisionError
    assert b(Relu(), x).name == "relu1", "a scope ends with its block, whatever happened"
    assert "layer1.0.conv1.weight" in b.build(y).parameters


def test_handles_know_their_shape():
    b = Builder(input=(3, 32, 32))
    x = b(Conv(6, kernel=5), b.input)
    assert x.spec.shape == (1, 6, 28, 28) and b.input.spec.shape == (1, 3, 32, 32)
    assert str(x.spec) == "28x28x6"


def test_several_outputs_are_unpacked():
    b = Builder(input=(4, 8, 8))
    both = b(Split(), b.input)
    left, right = both
    assert [left.name, right.name] == ["split1:0", "split1:1"] and right.spec.channels == 2
    net = b.build(b(Concat(), right, left))
    assert net.node("concat1").inputs == ("split1:1", "split1:0")
    with pytest.raises(GraphError) as caught:
        b(Relu(), both)
    assert "unpack" in caught.value.fix and "split1:0, split1:1" in caught.value.where
    (alone,) = b(Relu(), left)
    assert alone.name == "relu1"


def test_the_network_leaves_through_what_is_named_or_else_what_nobody_reads():
    b = Builder(input=(3, 8, 8))
    x = b(Relu(), b.input)
    y, z = b(Conv(), x), b(MaxPool(), x)
    assert b.build().outputs == (y.name, z.name)
    assert b.build(x, z).outputs == (x.name, z.name)
    assert Builder().build.__self__.input.spec.shape == (1, 3, 224, 224)


def test_the_line_that_placed_a_node_is_known():
    b = Builder(input=(3, 8, 8))
    x, line = b(Relu(), b.input), here()
    y, later = b(
        Conv(kernel=3),
        x,
    ), here()  # fmt: skip
    net = b.build(y)
    assert net.nodes[0].place == Place(__file__, line)
    assert line < net.nodes[1].place.line <= later
    assert str(net.nodes[0].place) == f"{__file__}:{line}"


def test_the_packages_own_models_have_no_place():
    net = catalogue.create("lenet5")
    assert {node.place for node in net.nodes} == {None}


def test_places_do_not_make_networks_differ():
    def build():
        b = Builder(input=(3, 8, 8))
        return b, b(Relu(), b.input)

    first, x = build()
    second = Builder(input=(3, 8, 8))
    y = second(Relu(), second.input)
    one, two = first.build(x), second.build(y)
    assert one.nodes[0].place != two.nodes[0].place
    assert one == two and hash(one) == hash(two)


def test_a_node_without_output_is_told_when_its_shape_is_asked_for():
    """With its place; what stands after it can still be built."""
    b = Builder(input=(3, 8, 8))
    x, line = b(Conv(kernel=9), b.input, name="long"), here()
    y = b(Relu(), x)
    for ask in (x, y):
        with pytest.raises(ShapeError) as caught:
            _ = ask.spec
        assert caught.value.node == "long" and caught.value.place == Place(__file__, line)
    net = b.build(y)
    assert [problem.node for problem in net.inference.problems] == ["long"]
    assert net.inference.problems[0].place == Place(__file__, line)


def test_an_op_that_does_not_suit_is_refused_at_once_and_leaves_nothing_behind():
    b = Builder(input=(3, 8, 8))
    with pytest.raises(OpError) as caught:
        line = here()
        b(Conv(4, groups=2), b.input)
    assert caught.value.node == "conv1" and caught.value.place == Place(__file__, line + 1)
    assert "conv1 = conv 3x3 4 groups 2 after input 8x8x3" in caught.value.where
    x = b(Conv(6, groups=3), b.input)
    assert [node.name for node in b.build(x).nodes] == ["conv1"]


@pytest.mark.parametrize("name", ["relu1", "input"])
def test_a_name_is_given_once(name):
    b = Builder(input=(3, 8, 8))
    x = b(Relu(), b.input)
    with pytest.raises(GraphError) as caught:
        b(Relu(), x, name=name)
    error = caught.value
    assert all((error.where, error.why, error.fix, error.place)) and repr(name) in error.what


def test_values_of_another_builder_are_refused():
    """Both call their input "input": it would be taken for this one's."""
    one, other = Builder("one", input=(3, 8, 8)), Builder("other", input=(3, 16, 16))
    x = one(Relu(), one.input)
    for wrong in (other.input, "relu1", None, (x, x)):
        with pytest.raises(GraphError) as caught:
            one(Add(), x, wrong)
        error = caught.value
        assert all((error.what, error.where, error.why, error.fix))
    with pytest.raises(GraphError):
        one.build(other.input)


@pytest.mark.parametrize("shape", [(), (3, 0, 8), (3, 8, 8, 8, 8), (-1,), ("3", 8, 8), (3, 1.5, 8), 8, None])
def test_inputs_that_are_no_image(shape):
    with pytest.raises(StriateError) as caught:
        Builder(input=shape)
    error = caught.value
    assert all((error.what, error.where, error.why, error.fix))
