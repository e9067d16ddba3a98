"""N: network health, the activations: missing, without effect, in the wrong place."""

from __future__ import annotations

from collections.abc import Iterator

from striate.checks.context import Context
from striate.checks.rule import Rule
from striate.diagnostics import Diagnostic, Severity, plural
from striate.geometry import TransposedWindow
from striate.network import Node
from striate.op import Op, Trait


class ActivationMissing(Rule):
    """Two linear layers in a row with nothing between them but linear ops."""

    code = "N002"
    severity = Severity.INFO
    why = "Two linear layers in a row are one linear map: the pair can express nothing that a single layer cannot."
    fix = "an activation between them, or one layer instead of two"
    source = (
        "Goodfellow, Bengio & Courville 2016, Deep Learning, section 6.3; Lin et al. 2013, Network in "
        "Network, arXiv 1312.4400"
    )
    bad = "16x16x3 -> conv 1x1 8 -> conv 3x3 16 pad 1 mode circular"
    good = "16x16x3 -> conv 1x1 8 -> relu -> conv 3x3 16 pad 1 mode circular"

    def look(self, context: Context) -> Iterator[Diagnostic]:
        layers = {node.name for node in context.having(Trait.WEIGHTED_SUM) if not _transposed(context, node)}
        for node in context.nodes:
            after = context.following(node, Trait.LINEAR) if node.name in layers else None
            if after is None or after.name not in layers:
                continue
            if any(_separable(context, one) for one in (node, after)) or _crossed(context, node, after):
                continue
            first, middle, last = (
                context.spec(value).channels for value in (node.inputs[0], node.outputs[0], after.outputs[0])
            )
            if middle >= min(
                first, last
            ):  # a narrower middle is a deliberate bottleneck: the pair is cheaper than one layer
                yield self.finding(
                    context,
                    after,
                    f"no activation between {node.name} and this layer",
                    why=f"{first} -> {middle} -> {plural(last, 'channel')}, without a nonlinearity between. {self.why}",
                )


def _transposed(context: Context, node: Node) -> bool:
    """Whether a layer is a transposed convolution, which resamples, so that one layer may not replace the pair."""
    return any(isinstance(w, TransposedWindow) for w in context.declaration(node).windows.values())


def _separable(context: Context, node: Node) -> bool:
    """Whether a layer is a grouped or depthwise convolution, one half of a factorized one."""
    return context.groups(node) > 1


def _crossed(context: Context, one: Node, other: Node) -> bool:
    """1xF after Fx1: a separable filter, cheaper than the square one."""
    kernels = [
        tuple(window.kernel for window in context.declaration(node).windows.values()) or (1,)
        for node in (one, other)
    ]
    return all(1 in kernel and max(kernel) > 1 for kernel in kernels) and kernels[0] != kernels[1]


class ActivationWithoutEffect(Rule):
    """An activation that changes nothing, because nothing negative can reach it."""

    code = "N003"
    severity = Severity.WARNING
    why = "max(x, 0) of a nonnegative value is that value: the activation is repeated or misplaced."
    fix = "remove it, or move it to where it has an effect"
    source = "Nair & Hinton 2010, Rectified linear units, ICML: relu(relu(x)) = relu(x)"
    bad = "16x16x3 -> conv 1x1 8 -> relu -> maxpool 2 -> relu"
    good = "16x16x3 -> conv 1x1 8 -> relu -> maxpool 2"

    def look(self, context: Context) -> Iterator[Diagnostic]:
        positive: dict[str, Node] = {}
        for node in context.nodes:
            traits = node.op.traits
            sources = [positive[value] for value in node.inputs if value in positive]
            if Trait.KEEPS_POSITIVE in traits and Trait.ACTIVATION in traits and sources:
                yield self.finding(
                    context,
                    node,
                    "this activation changes nothing",
                    why=f"its input is never negative after {sources[0].name} = {sources[0].op.word}",
                )
            if Trait.NOT_NEGATIVE in traits:
                positive |= dict.fromkeys(node.outputs, node)
            elif Trait.KEEPS_SIGN in traits and len(sources) == len(node.inputs):
                positive |= dict.fromkeys(node.outputs, sources[0])


class ActivationAfterSoftmax(Rule):
    """An activation on top of softmax or log-softmax."""

    code = "N004"
    severity = Severity.WARNING
    why = (
        "Softmax gives probabilities that sum to one; relu does not change them, other activations distort "
        "them, and relu of a log-probability is zero everywhere."
    )
    fix = "remove it"
    source = "Goodfellow, Bengio & Courville 2016, Deep Learning, section 6.2.2.3"
    bad = "8x8x3 -> flatten -> fc 10 -> softmax -> sigmoid"
    good = "8x8x3 -> flatten -> fc 10 -> softmax"

    def look(self, context: Context) -> Iterator[Diagnostic]:
        for node in context.nodes:
            if not _shares_out(node.op):
                continue
            after = context.following(node, Trait.VIEW)
            if after is None or not (Trait.ACTIVATION in after.op.traits or _shares_out(after.op)):
                continue
            if Trait.NOT_NEGATIVE in node.op.traits and Trait.KEEPS_POSITIVE in after.op.traits:
                continue  # changes nothing: N003 says so
            yield self.finding(context, after, f"{after.op.word} after {node.op.word}")


def _shares_out(op: Op) -> bool:
    """Whether an op gives probabilities that sum to one, or their logarithms."""
    return Trait.DISTRIBUTION in op.traits or Trait.LOG_DISTRIBUTION in op.traits


class SoftmaxInsideNetwork(Rule):
    """A softmax whose output goes straight into another learned layer."""

    code = "N005"
    severity = Severity.WARNING
    why = (
        "It scales the features of a position to sum to one, so most gradients vanish; inside a network softmax "
        "belongs in attention, where it is multiplied."
    )
    fix = "relu here, softmax at the end only"
    source = (
        "Vaswani et al. 2017, Attention is all you need, arXiv 1706.03762, section 3.2.1, on softmax and "
        "small gradients"
    )
    bad = "8x8x3 -> flatten -> fc 32 -> softmax -> fc 10"
    good = "8x8x3 -> flatten -> fc 32 -> relu -> fc 10 -> softmax"

    def look(self, context: Context) -> Iterator[Diagnostic]:
        for node in context.nodes:
            after = context.following(node, Trait.LINEAR, Trait.CHANNELWISE) if _shares_out(node.op) else None
            if after is not None and Trait.WEIGHTED_SUM in after.op.traits:
                yield self.finding(context, node, f"softmax before {after.name}, inside the network")
