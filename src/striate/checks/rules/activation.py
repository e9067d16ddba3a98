"""N: network health, the activations: missing, without effect, in the wrong place."""

from __future__ import annotations

from collections.abc import Iterator

from striate.checks.context import Context
from striate.checks.rule import Rule
from striate.checks.rules.health import ACTIVATIONS, LEARNED, LINEAR, TRANSPARENT, following
from striate.diagnostics import Diagnostic, Severity, plural
from striate.network import Node

NOT_NEGATIVE = ("relu", "relu6", "sigmoid", "hardsigmoid", "softplus", "softmax")
"""Activations whose output is never below zero."""
KEEPS_SIGN = (
    "maxpool", "avgpool", "lppool", "gap", "gmp", "adaptiveavgpool", "adaptivemaxpool", "dropout", "stochasticdepth",
    "flatten", "reshape", "permute", "slice", "split", "channelshuffle", "pixelshuffle", "upsample", "identity", "crop",
    "concat", "add", "mul", "lrn", "leakyrelu", "prelu", "elu", "selu", "gelu", "silu", "tanh", "hardswish", "mish",
)  # fmt: skip
"""Ops that give nothing negative where they get nothing negative."""


class ActivationMissing(Rule):
    """Two linear layers in a row with nothing between them but linear ops."""

    code = "N002"
    severity = Severity.INFO
    why = (
        "A linear map of a linear map is one linear map: the pair can say nothing that a single layer could "
        "not."
    )
    fix = "an activation between them, or one layer instead of two"
    source = (
        "Goodfellow, Bengio & Courville 2016, Deep Learning, section 6.3; Lin et al. 2013, Network in "
        "Network, arXiv 1312.4400"
    )
    bad = "16x16x3 -> conv 1x1 8 -> conv 3x3 16 pad 1 mode circular"
    good = "16x16x3 -> conv 1x1 8 -> relu -> conv 3x3 16 pad 1 mode circular"

    def look(self, context: Context) -> Iterator[Diagnostic]:
        for node in context.of("conv", "fc"):
            after = following(context, node, LINEAR)
            if after is None or after.op.word not in ("conv", "fc") or after.name not in context.declarations:
                continue
            if any(_separable(context, one) for one in (node, after)) or _crossed(context, node, after):
                continue
            first, middle, last = (
                context.spec(value).channels for value in (node.inputs[0], node.outputs[0], after.outputs[0])
            )
            if middle >= min(
                first, last
            ):  # a narrower middle is a chosen bottleneck: the pair is cheaper than one layer
                yield self.finding(
                    context,
                    after,
                    f"no activation between {node.name} and this layer",
                    why=f"{first} -> {middle} -> {plural(last, 'channel')}, and nothing nonlinear between. {self.why}",
                )


def _separable(context: Context, node: Node) -> bool:
    """Depthwise and other grouped convolutions are one half of a factorised one."""
    groups = getattr(node.op, "groups", 1)
    return groups == "depthwise" or groups > 1


def _crossed(context: Context, one: Node, other: Node) -> bool:
    """1xF after Fx1: a separable filter, cheaper than the square one."""
    kernels = [
        node.op.per_axis("kernel", len(context.spec(node.inputs[0]).spatial))
        if node.op.word == "conv"
        else (1,)
        for node in (one, other)
    ]
    return all(1 in kernel and max(kernel) > 1 for kernel in kernels) and kernels[0] != kernels[1]


class ActivationWithoutEffect(Rule):
    """An activation that changes nothing, because nothing negative can reach it."""

    code = "N003"
    severity = Severity.WARNING
    why = "max(x, 0) of something that is never negative is that thing: a repeated or misplaced activation."
    fix = "remove it, or move it to where it acts"
    source = "Nair & Hinton 2010, Rectified linear units, ICML: relu(relu(x)) = relu(x)"
    bad = "16x16x3 -> conv 1x1 8 -> relu -> maxpool 2 -> relu"
    good = "16x16x3 -> conv 1x1 8 -> relu -> maxpool 2"

    def look(self, context: Context) -> Iterator[Diagnostic]:
        positive: dict[str, Node] = {}
        for node in context.nodes:
            word = node.op.word
            sources = [positive[value] for value in node.inputs if value in positive]
            if word in ("relu", "leakyrelu", "prelu", "elu") and sources:
                yield self.finding(
                    context,
                    node,
                    "this activation changes nothing",
                    why=f"its input is never negative since {sources[0].name} = {sources[0].op.word}",
                )
            if word in NOT_NEGATIVE:
                positive |= dict.fromkeys(node.outputs, node)
            elif word in KEEPS_SIGN and len(sources) == len(node.inputs):
                positive |= dict.fromkeys(node.outputs, sources[0])


class ActivationAfterSoftmax(Rule):
    """An activation on top of softmax or log-softmax."""

    code = "N004"
    severity = Severity.WARNING
    why = (
        "Softmax gives probabilities that sum to one; relu leaves them alone, anything else bends them, and "
        "relu of a log-probability is zero everywhere."
    )
    fix = "remove it"
    source = "Goodfellow, Bengio & Courville 2016, Deep Learning, section 6.2.2.3"
    bad = "8x8x3 -> flatten -> fc 10 -> softmax -> sigmoid"
    good = "8x8x3 -> flatten -> fc 10 -> softmax"

    def look(self, context: Context) -> Iterator[Diagnostic]:
        for node in context.of("softmax", "logsoftmax"):
            after = following(context, node, TRANSPARENT)
            if after is None or after.op.word not in ACTIVATIONS:
                continue
            if node.op.word == "softmax" and after.op.word in ("relu", "leakyrelu", "prelu", "elu"):
                continue  # changes nothing: N003 says so
            yield self.finding(context, after, f"{after.op.word} after {node.op.word}")


class SoftmaxInsideNetwork(Rule):
    """A softmax whose output goes straight into another learned layer."""

    code = "N005"
    severity = Severity.WARNING
    why = (
        "It squeezes the features of a position into a sum of one, so most gradients vanish; inside a network "
        "it belongs to attention, where it is multiplied."
    )
    fix = "relu here, softmax at the end only"
    source = (
        "Vaswani et al. 2017, Attention is all you need, arXiv 1706.03762, section 3.2.1, on softmax and "
        "small gradients"
    )
    bad = "8x8x3 -> flatten -> fc 32 -> softmax -> fc 10"
    good = "8x8x3 -> flatten -> fc 32 -> relu -> fc 10 -> softmax"

    def look(self, context: Context) -> Iterator[Diagnostic]:
        for node in context.of("softmax", "logsoftmax"):
            after = following(context, node, (*LINEAR, "maxpool"))
            if after is not None and after.op.word in LEARNED:
                yield self.finding(context, node, f"softmax before {after.name}, inside the network")
