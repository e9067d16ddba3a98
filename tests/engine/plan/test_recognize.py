"""The pattern of each declaration, as data; what fits none is left to loop nests."""

import pytest

from engine.plan.support import network
from striate.engine.plan.computation import (
    Alias,
    Copies,
    Copy,
    Correlation,
    Elementwise,
    LocalResponseNorm,
    Norm,
    Pool,
    Softmax,
)
from striate.engine.plan.recognize import recognize
from striate.geometry import Adaptive, Shift, Whole, Window
from striate.network import Builder
from striate.ops import Add, Concat, Multiply
from striate.statement import call, load


def pattern(text):
    """Of the last node."""
    net = network(text) if isinstance(text, str) else text
    return recognize(net.declarations[net.nodes[-1].name])


def square(window):
    return window, window


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("8x8x3 -> conv 3x3 8 pad 1", Correlation(1, 1, 3, 8, square(Window(8, 3, 1, 1, 1, 1)), True)),
        (
            "8x8x16 -> conv 3x3 8 /2 groups 4 bias off",
            Correlation(1, 4, 4, 2, square(Window(8, 3, 2)), False),
        ),
        ("9x4 -> flatten -> fc 5", Correlation(1, 1, 36, 5, None, True)),
        ("8x8x3 -> tconv 2x2 4 /2", Correlation(1, 1, 3, 4, square(Window(16, 2, 2)), True, adjoint=True)),
        ("8x8x3 -> maxpool 2", Pool("max", square(Window(8, 2, 2)))),
        ("8x8x3 -> avgpool 2", Pool("mean", square(Window(8, 2, 2)), padded=True)),
        (
            "8x8x3 -> avgpool 3 pad 1 countpad off",
            Pool("mean", square(Window(8, 3, 3, 1, 1, 1)), padded=False),
        ),
        ("8x8x3 -> gap", Pool("mean", square(Whole(8)))),
        ("8x8x3 -> adaptiveavgpool 3", Pool("mean", square(Adaptive(8, 3)))),
        ("8x8x3 -> adaptiveavgpool 8", Alias("same")),
        ("8x8x3 -> avgpool 1", Alias("same")),
        ("8x8x3 -> dropout", Alias("same")),
        ("8x8x3 -> flatten", Alias("flat")),
        ("8x7x3 -> permute HCW", Alias("permute", (0, 2, 1, 3))),
        ("8x8x3 -> softmax", Softmax(1, log=False)),
        ("8x8x3 -> logsoftmax", Softmax(1, log=True)),
        ("8x8x3 -> ln", Norm(1, 0, 1e-5, scaled=True)),
        ("8x8x4 -> gn 2", Norm(1, 2, 1e-5, scaled=True)),
        ("8x8x3 -> in", Norm(1, 3, 1e-5, scaled=False)),
        ("8x8x5 -> pad 1", Copies((Copy(0, 0, 0, 0, 5, square(Shift(8, 1, 1))),))),
        ("8x8x5 -> slice axis C from 1 to 3", Copies((Copy(0, 0, 1, 0, 2, square(Shift(8))),))),
        ("8x8x3 -> upsample 2", None),
        ("8x8x4 -> pixelshuffle 2", None),
        ("8x8x3 -> maxpool 2 pad 1", Pool("max", square(Window(8, 2, 2, 1, 1, 1)))),
        ("8x8x3 -> lppool 2", None),
    ],
)
def test_a_declaration_has_the_pattern(text, found):
    assert pattern(text) == found


def test_one_axis_is_the_width():
    found = pattern("1d 9x4 -> conv 3 8")
    assert found.windows == (Window(1, 1), Window(9, 3))


@pytest.mark.parametrize(
    ("text", "operands"),
    [
        ("8x8x3 -> relu", {"x0": "s"}),
        ("8x8x3 -> bn", {"x0": "s", "running_mean": "c1", "running_var": "c1", "weight": "c1", "bias": "c1"}),
        ("8x8x3 -> prelu", {"x0": "s", "weight": "c1"}),
        ("8x8x3 -> layerscale", {"x0": "s", "layer_scale": "c1"}),
    ],
)
def test_operands_by_how_they_are_broadcast(text, operands):
    found = pattern(text)
    assert isinstance(found, Elementwise) and dict(found.operands) == operands


def merged(op, *shapes):
    b = Builder("merged", {f"in{k}": shape for k, shape in enumerate(shapes)})
    return b.build(b(op, *b.inputs.values()))


def test_two_operands():
    assert dict(pattern(merged(Add(), (3, 8, 8), (3, 8, 8))).operands) == {"x0": "s", "x1": "s"}
    assert dict(pattern(merged(Multiply(), (3, 8, 8), (3, 1, 1))).operands) == {"x0": "s", "x1": "i"}
    assert dict(pattern(merged(Multiply(), (3, 8, 8), (1, 8, 8))).operands) == {"x0": "s", "x1": "p"}


def test_a_concatenation_is_copies_on_one_another():
    found = pattern(merged(Concat(), (3, 8, 8), (5, 8, 8)))
    assert found == Copies((Copy(0, 0, 0, 0, 3, square(Shift(8))), Copy(1, 0, 0, 3, 5, square(Shift(8)))))


def test_local_response_norm_sums_the_squares_around_a_channel():
    found = pattern("8x8x5 -> lrn 3")
    assert isinstance(found, LocalResponseNorm) and found.size == 3 and found.squares
    names = [each.tensor for each in (found.value.args[0], found.value.args[1].args[0].args[0].args[0])]
    assert names == ["x0", "t0"]


def test_a_changed_statement_is_no_pattern():
    """Softmax without its maximum taken off, a norm whose mean is a sum, an elementwise function of half an axis."""
    import dataclasses

    def changed(text, number, **changes):
        net = network(text)
        declaration = net.declarations[net.nodes[-1].name]
        statements = list(declaration.statements)
        statements[number] = dataclasses.replace(statements[number], **changes)
        return recognize(dataclasses.replace(declaration, statements=tuple(statements)))

    names = ("n", "c", "i", "j")
    assert changed("8x8x3 -> softmax", 1, value=call("exp", load("x0", *names))) is None
    assert changed("8x8x3 -> ln", 0, value=load("x0", *names)) is None
    assert changed("8x8x3 -> maxpool 2", 0, reduce="") is None
    assert changed("8x8x3 -> relu", 0, start=load("x0", *names)) is None
    assert changed("8x8x3 -> flatten -> fc 4", 0, reduce="max") is None
