"""Every pattern that `recognize` finds in a declaration has one object that computes it in training, in both passes."""

import typing

import pytest

from engine.plan.support import CONTEXT, network
from striate.engine.plan.computation import (
    Alias,
    Copies,
    Correlation,
    Elementwise,
    LocalResponseNorm,
    Norm,
    Pool,
    Softmax,
)
from striate.engine.plan.recognize import recognize
from striate.engine.training.patterns.pattern_training import PatternTraining
from striate.engine.training.patterns.registry import TRAINING
from striate.engine.training.training_plan import record_tape, training_declarations

SAMPLES = {
    Alias: "4x4x3 -> conv 1 4 -> avgpool 1",
    Copies: "4x4x3 -> slice axis H from 1 to 3",
    Correlation: "5x5x3 -> conv 3x3 4",
    Elementwise: "5x5x3 -> prelu",
    LocalResponseNorm: "5x5x3 -> lrn 3",
    Norm: "5x5x3 -> ln",
    Pool: "6x6x3 -> maxpool 2",
    Softmax: "3x3x4 -> softmax",
    type(None): "5x5x3 -> bn",
}
"""A network whose last node has the pattern."""


class Watched(PatternTraining):
    """A pattern in training. calls: "forward" where it appended units, and "backward"."""

    def __init__(self, inner):
        self.inner, self.calls = inner, []

    def forward(self, builder, node):
        if not self.inner.forward(builder, node):
            return False
        self.calls.append("forward")
        return True

    def backward(self, builder, node):
        self.inner.backward(builder, node)
        self.calls.append("backward")


def test_each_pattern_has_an_object():
    """Those of `recognize` by its type, which mypy compares with what it returns."""
    found = typing.get_args(typing.get_type_hints(recognize)["return"])
    assert {*found} == TRAINING.keys() == SAMPLES.keys()


@pytest.mark.parametrize("pattern", SAMPLES, ids=lambda pattern: pattern.__name__)
def test_what_computes_it_computes_its_gradients(pattern, monkeypatch):
    """Of the input and of every trainable parameter."""
    net = network(SAMPLES[pattern], batch=2)
    declarations = training_declarations(net)
    last = declarations[net.nodes[-1].name]
    assert isinstance(None if last.updates else recognize(last), pattern)
    watched = Watched(TRAINING[pattern])
    monkeypatch.setitem(TRAINING, pattern, watched)
    taped = record_tape(net, declarations, CONTEXT, values=[*net.inputs])
    assert watched.calls == ["forward", "backward"]
    trainable = {
        node.key(p.name) for node in net.nodes for p in declarations[node.name].parameters if p.trainable
    }
    assert taped.buffers.gradients.keys() == {*net.inputs, *trainable}
    backward = taped.units[taped.first_backward :]
    written = {value.root for unit in backward for value in unit.outputs}
    assert all(value.root in written for value in taped.buffers.gradients.values())
