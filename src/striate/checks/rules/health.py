"""N: network health. Layers that undo, repeat or ignore each other."""

from __future__ import annotations

import math
from collections.abc import Iterator

from striate.checks import fixes
from striate.checks.context import Context, by
from striate.checks.rule import Rule
from striate.diagnostics import Diagnostic, Fix, Severity, plural
from striate.network import Node
from striate.op import Trait


class BiasBeforeNorm(Rule):
    """A bias right before a normalization that subtracts the mean of every channel."""

    code = "N001"
    severity = Severity.INFO
    why = (
        "The normalization subtracts the bias again, and its shift replaces it: the bias costs memory and time "
        "for nothing."
    )
    fix = "bias off"
    source = "Ioffe & Szegedy 2015, Batch Normalization, arXiv 1502.03167, section 3.2"
    bad = "16x16x3 -> conv 3x3 8 pad 1 mode circular -> bn -> relu"
    good = "16x16x3 -> conv 3x3 8 pad 1 mode circular bias off -> bn -> relu"

    def look(self, context: Context) -> Iterator[Diagnostic]:
        for node in context.having(Trait.WEIGHTED_SUM):
            after = context.after(node)
            size = sum(p.elements for p in context.declaration(node).parameters if p.kind == "bias")
            if size and after is not None and _subtracts_channel_means(context, after):
                yield self.finding(
                    context,
                    node,
                    f"{after.name} subtracts its bias again",
                    why=f"{after.name} = {after.op.word} removes each channel's mean, and with it {size} biases",
                    fixes=fixes.change(context, node, "bias off", bias=False),
                )


def _subtracts_channel_means(context: Context, node: Node) -> bool:
    if Trait.NORMALIZATION not in node.op.traits:
        return False
    return node.op.averaged(context.spec(node.inputs[0])).get("C", 1) == 1


class DropoutBeforeNorm(Rule):
    """Dropout directly before batch normalization."""

    code = "N006"
    severity = Severity.INFO
    why = (
        "Dropout changes the variance between training and inference, and the running variance is collected "
        "with dropout active."
    )
    fix = "dropout after the last batch normalization"
    source = (
        "Li et al. 2019, Understanding the disharmony between dropout and batch normalization by variance "
        "shift, CVPR, arXiv 1801.05134"
    )
    bad = "16x16x3 -> conv 1x1 8 bias off -> dropout 0.3 -> bn -> relu"
    good = "16x16x3 -> conv 1x1 8 bias off -> bn -> relu -> dropout 0.3"

    def look(self, context: Context) -> Iterator[Diagnostic]:
        for node in context.of("dropout"):
            after = context.after(node)
            if (
                after is not None
                and Trait.WHOLE_BATCH in after.op.traits
                and getattr(node.op, "rate", 0.0) > 0
            ):
                yield self.finding(context, node, f"dropout right before {after.name} = {after.op.word}")


class NormOverOneValue(Rule):
    """A normalization whose mean and variance run over a single value."""

    code = "N007"
    severity = Severity.ERROR
    why = (
        "A single value minus its mean is zero: the layer outputs its bias for every image. PyTorch refuses to "
        "train it."
    )
    fix = "normalize before the map becomes 1x1, or over the channels"
    source = (
        "PyTorch instance_norm: `Expected more than 1 spatial element when training`; Wu & He 2018, arXiv "
        "1803.08494"
    )
    bad = "8x8x16 -> conv 8x8 16 bias off -> in -> relu"
    good = "8x8x16 -> conv 8x8 16 bias off -> ln -> relu"

    def look(self, context: Context) -> Iterator[Diagnostic]:
        for node in context.having(Trait.NORMALIZATION):
            spec = context.spec(node.inputs[0])
            if Trait.WHOLE_BATCH not in node.op.traits and math.prod(node.op.averaged(spec).values()) == 1:
                yield self.finding(
                    context, node, "its mean is over a single value", why=f"its input is {spec}. {self.why}"
                )


class ResultUnused(Rule):
    """A node whose output no node reads and that is not an output of the network."""

    code = "N008"
    severity = Severity.WARNING
    why = "It is computed and discarded: a forgotten connection, or leftover code."
    fix = "connect it, make it an output, or remove it"
    source = "ONNX specification, graph: every value is an output or is read"
    bad = """
        [network]
        input = "8x8x4"
        outputs = ["kept"]

        [[node]]
        name = "kept"
        op = "conv 1x1 8"

        [[node]]
        name = "forgotten"
        op = "relu"
        """
    good = """
        [network]
        input = "8x8x4"
        outputs = ["kept", "remembered"]

        [[node]]
        name = "kept"
        op = "conv 1x1 8"

        [[node]]
        name = "remembered"
        op = "relu"
        """

    def look(self, context: Context) -> Iterator[Diagnostic]:
        for node in context.network.nodes:
            unread = [v for v in node.outputs if not context.consumers(v) and not context.is_output(v)]
            if unread:
                what = (
                    "its output is"
                    if len(node.outputs) == 1
                    else f"{len(unread)} of its {plural(len(node.outputs), 'output')} are"
                )
                yield self.finding(context, node, f"{what} never used")
        for name in context.network.inputs:
            if not context.consumers(name) and not context.is_output(name):
                yield self.finding(context, None, f"input {name} is never used")


class GroupsNeverMix(Rule):
    """Grouped convolutions in a row with the same groups and nothing that mixes them."""

    code = "N009"
    severity = Severity.WARNING
    why = "Up to here each group is a separate network: its outputs do not depend on another group's input."
    fix = "a 1x1 convolution or a channel shuffle between them"
    source = "Zhang et al. 2018, ShuffleNet, arXiv 1707.01083, section 3.1"
    bad = "16x16x8 -> conv 1x1 8 groups 4 -> relu -> conv 1x1 16 groups 4"
    good = "16x16x8 -> conv 1x1 8 groups 4 -> relu -> channelshuffle 4 -> conv 1x1 16 groups 4"

    def look(self, context: Context) -> Iterator[Diagnostic]:
        for node in context.having(Trait.CONVOLUTION):
            after = context.following(node, Trait.CHANNELWISE)
            if (
                after is None
                or Trait.CONVOLUTION not in after.op.traits
                or after.name not in context.declarations
            ):
                continue
            groups, others = context.groups(node), context.groups(after)
            if min(groups, others) > 1 and math.gcd(groups, others) == min(groups, others):
                yield self.finding(
                    context,
                    after,
                    f"{min(groups, others)} groups, as in {node.name}, and nothing in between mixes them",
                    fixes=_mix_fixes(context, after),
                )


def _mix_fixes(context: Context, node: Node) -> Iterator[Fix]:
    if (
        context.groups(node) < context.spec(node.inputs[0]).channels
    ):  # a depthwise convolution is meant to be one
        yield from fixes.change(context, node, "groups 1", groups=1)


class PoolAfterPool(Rule):
    """Two poolings of one kind in a row that are a single larger one."""

    code = "N010"
    severity = Severity.INFO
    why = "The maximum of maxima is a maximum, the mean of equal means is a mean: one layer can do the work of both."
    fix = "one pooling with the product of the strides"
    source = "ONNX MaxPool and AveragePool: both definitions are associative"
    bad = "16x16x3 -> conv 1x1 8 -> relu -> maxpool 2 -> maxpool 2"
    good = "16x16x3 -> conv 1x1 8 -> relu -> maxpool 4"

    def look(self, context: Context) -> Iterator[Diagnostic]:
        windows = {node.name: axes for node, axes in context.windows}
        for node in context.of("maxpool", "avgpool"):  # of which it is true
            after = context.after(node)
            if after is None or type(after.op) is not type(node.op) or after.name not in windows:
                continue
            first, second = windows[node.name].values(), windows[after.name].values()
            plain = all(
                w.stride == w.kernel and not (w.before or w.after or w.overhang) and w.dilation == 1
                for w in (*first, *second)
            )
            if plain:
                kernel = tuple(a.kernel * b.kernel for a, b in zip(first, second))
                yield self.finding(
                    context,
                    after,
                    f"pools again directly after {node.name}",
                    fixes=[Fix(f"one {node.op.word} {by(kernel)} instead of both")],
                )


class LayerDoesNothing(Rule):
    """A layer whose settings make it the identity."""

    code = "N011"
    severity = Severity.INFO
    why = "Its output equals its input; perhaps another setting was intended."
    fix = "remove it, or correct its setting"
    source = "PyTorch Dropout (p=0), MaxPool2d (kernel 1), Upsample (scale 1)"
    bad = "16x16x3 -> conv 1x1 8 -> relu -> maxpool 1"
    good = "16x16x3 -> conv 1x1 8 -> relu -> maxpool 2"

    def look(self, context: Context) -> Iterator[Diagnostic]:
        for node in context.nodes:
            reason = node.op.idle(context.declaration(node))
            if reason:
                yield self.finding(context, node, f"has no effect: {reason}")


class NormAfterNorm(Rule):
    """A normalization right after another one of the same kind."""

    code = "N012"
    severity = Severity.INFO
    why = "The second undoes the scale and shift of the first and normalizes a normalized value."
    fix = "keep one of them"
    source = "Ioffe & Szegedy 2015, Batch Normalization, arXiv 1502.03167"
    bad = "16x16x3 -> conv 1x1 8 bias off -> bn -> bn -> relu"
    good = "16x16x3 -> conv 1x1 8 bias off -> bn -> relu"

    def look(self, context: Context) -> Iterator[Diagnostic]:
        for node in context.having(Trait.NORMALIZATION):
            after = context.following(node, Trait.TRANSPARENT)
            if after is not None and after.op == node.op:
                yield self.finding(context, after, f"normalizes again directly after {node.name}")


class EndsInDropout(Rule):
    """The network ends in dropout: in training its outputs are set to zero at random."""

    code = "N013"
    severity = Severity.WARNING
    why = "Dropout on the outputs trains against noise in the output itself, not in the features."
    fix = "dropout before the last layer"
    source = "Srivastava et al. 2014, Dropout, JMLR 15: it is applied to input and hidden units"
    bad = "8x8x3 -> flatten -> fc 10 -> dropout 0.5"
    good = "8x8x3 -> flatten -> dropout 0.5 -> fc 10"

    def look(self, context: Context) -> Iterator[Diagnostic]:
        for node in context.of("dropout"):
            if context.is_output(node.outputs[0]) and getattr(node.op, "rate", 0.0) > 0:
                yield self.finding(context, node, "the network ends in dropout")
