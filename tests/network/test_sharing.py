"""Shared, fixed and frozen parameters: what a node may say, what counts, and what is refused."""

from __future__ import annotations

import pytest

import striate as st
from striate.diagnostics import GraphError, OpError
from striate.formats import toml
from striate.network import Builder, Network
from striate.ops.activation import Relu
from striate.ops.conv import Conv, ConvTranspose
from striate.ops.norm import BatchNorm


def _twice(**said: object) -> Network:
    build = Builder("twice", input=(8, 10, 10))
    x = build(Conv(8, kernel=3, padding=1), build.input, name="a")
    return build.build(build(Conv(8, kernel=3, padding=1), x, name="b", **said))  # type: ignore[arg-type]


def test_shared_parameters_count_once_and_macs_each_time() -> None:
    alone, shared = _twice(), _twice(shares="a")
    assert st.analyze(alone).totals.params == 2 * 584  # 8·8·9 + 8
    assert st.analyze(shared).totals.params == 584
    assert st.analyze(shared).totals.macs == st.analyze(alone).totals.macs == 2 * 100 * 576
    assert list(shared.parameters) == ["a.weight", "a.bias"]
    assert shared.node("b").key("weight") == "a.weight"


def test_one_tensor_may_be_tied_and_the_rest_the_nodes_own() -> None:
    build = Builder("autoencoder", input=(3, 8, 8))
    x = build(Conv(6, kernel=3, padding=1), build.input, name="enc")
    y = build(ConvTranspose(3, kernel=3, padding=1), x, name="dec", shares={"weight": "enc.weight"})
    net = build.build(y)
    assert list(net.parameters) == ["enc.weight", "enc.bias", "dec.bias"]
    assert st.analyze(net).totals.params == 6 * 27 + 6 + 3


@pytest.mark.parametrize(
    "said",
    [
        {"shares": "a"},
        {"shares": {"weight": "a.weight"}},
        {"fixed": ["weight"]},
        {"frozen": ["weight", "bias"], "fixed": []},
    ],
)
def test_every_plain_form_gives_the_network_back(said: dict[str, object]) -> None:
    net = _twice(**said)
    assert Network.from_dict(net.to_dict()) == net
    assert toml.parse(toml.format(net)) == net
    assert net != _twice()


def test_constants_do_not_count_and_frozen_parameters_do() -> None:
    assert st.analyze(_twice(fixed=["weight", "bias"])).totals.params == 584
    assert st.analyze(_twice(frozen=["weight", "bias"])).totals.params == 2 * 584
    for field in ("fixed", "frozen"):
        parameters = _twice(**{field: ["weight"]}).parameters
        assert [name for name, p in parameters.items() if not p.trainable] == ["b.weight"]
    shared = Builder("shared", input=(8, 10, 10))
    x = shared(Conv(8, kernel=3, padding=1), shared.input, name="a", fixed=["weight"])
    net = shared.build(shared(Conv(8, kernel=3, padding=1), x, shares=x))
    assert [p.trainable for p in net.declarations["conv1"].parameters] == [False, True]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"shares": "c"}, "which is not a node"),
        ({"shares": "b"}, "its own parameters"),
        ({"shares": {"weight": "c.weight"}}, "which is not a node"),
        ({"fixed": ["wieght"]}, "no parameter 'wieght'"),
        ({"shares": {"wieght": "a.weight"}}, "no parameter 'wieght'"),
        ({"shares": "a", "fixed": ["weight"]}, "but it belongs to a"),
    ],
)
def test_what_nobody_owns_is_refused(said: dict[str, object], expected: str) -> None:
    with pytest.raises((GraphError, OpError), match=expected) as error:
        _ = _twice(**said).inference
    assert error.value.why and error.value.fix


def test_an_owner_shares_nothing_and_is_of_the_same_op() -> None:
    build = Builder("chain", input=(8, 10, 10))
    x = build(Conv(8, kernel=3, padding=1), build.input, name="a")
    x = build(Conv(8, kernel=3, padding=1), x, name="b", shares="a")
    with pytest.raises(GraphError, match="cannot share all parameters of b") as error:
        build(Conv(8, kernel=3, padding=1), x, shares="b")
    assert error.value.fix == "shares = 'a'"
    with pytest.raises(GraphError, match="which is itself shared"):
        build(Conv(8, kernel=3, padding=1), x, shares={"weight": "b.weight"})
    with pytest.raises(GraphError, match="cannot share all parameters of a"):
        build(BatchNorm(), x, shares="a")
    assert len(build.build(x).nodes) == 2  # a call that was refused leaves nothing after


def test_another_shape_is_a_finding_of_the_node_that_shares() -> None:
    build = Builder("shapes", input=(3, 10, 10))
    x = build(Conv(8, kernel=3, padding=1), build.input, name="a")
    x = build(Relu(), x)
    net = build.build(build(Conv(8, kernel=3, padding=1), x, name="b", shares="a"))
    (problem,) = net.inference.problems
    assert problem.node == "b" and "8x8x3x3" in problem.why and "8x3x3x3" in problem.why
    assert next(finding.code for finding in st.check(net).findings) == "G004"
