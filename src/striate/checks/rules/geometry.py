"""G: does it fit? Nodes without output, strides that lose real rows, shapes that cannot meet."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from striate.checks import fixes
from striate.checks.context import AXIS_WORDS, Context, by
from striate.checks.rule import Rule
from striate.diagnostics import Diagnostic, Fix, Severity, ShapeError, plural
from striate.geometry import Window
from striate.network import Node
from striate.op import Declaration, Windowed

DUMOULIN = "Dumoulin & Visin 2016, A guide to convolution arithmetic for deep learning, arXiv 1603.07285"


class Failure(Rule):
    """A rule that reports the geometry failures of the op itself, with the fixes that can be computed."""

    severity = Severity.ERROR

    def look(self, context: Context) -> Iterator[Diagnostic]:
        for problem in context.inference.problems:
            if problem.code == self.code:
                node = context.network.node(problem.node) if problem.node else None
                cures = [*self.cures(context, node, problem)]
                cures = cures or [Fix(problem.fix or self.fix)]
                yield self.finding(
                    context,
                    node,
                    problem.what,
                    where=problem.where,
                    why=problem.why,
                    fixes=cures,
                    severity=Severity.ERROR,  # whatever the rule says of milder cases: nothing after this node exists
                )

    def cures(self, context: Context, node: Node | None, problem: ShapeError) -> Iterator[Fix]:
        yield from ()


class NoOutput(Failure):
    """A window is longer than its padded input, so the node has no output at all."""

    code = "G001"
    why = "A window must fit at least once: N + 2P must be at least the extent D·(F - 1) + 1. The network cannot run."
    fix = "a larger input, more padding, or a smaller kernel"
    source = f"{DUMOULIN}, relationship 6"
    bad = "5x5x1 -> conv 7x7"
    good = "7x7x1 -> conv 7x7"

    def cures(self, context: Context, node: Node | None, problem: ShapeError) -> Iterator[Fix]:
        if node is None or not isinstance(node.op, Windowed):
            return
        op, sizes = node.op, context.spec(node.inputs[0]).spatial
        kernels = op.per_axis("kernel", len(sizes))
        steps = op.per_axis("dilation", len(sizes))
        pads = [pad for pad in op.padding_per_axis(len(sizes)) if not isinstance(pad, str)]
        if len(pads) == len(sizes):
            longest = 0
            for n, kernel, step, (before, after) in zip(sizes, kernels, steps, pads):
                missing = step * (kernel - 1) + 1 - n - before - after
                longest = max(longest, before + -(-missing // 2))
            yield from fixes.change(context, node, f"pad {longest}", padding=longest)
        fitting = tuple(min(kernel, (n - 1) // step + 1) for n, kernel, step in zip(sizes, kernels, steps))
        yield from fixes.change(context, node, f"kernel {by(fitting)}", kernel=fitting)
        yield from fixes.resize(context, node)


class StrideLosesPixels(Rule):
    """The stride does not divide what is left, and the remainder loses real rows or columns, not padding."""

    code = "G002"
    severity = Severity.ERROR
    why = (
        "(N + 2P - F)/S + 1 is not a whole number, so frameworks floor it: the last rows and columns of the "
        "input are computed by the layer before but never read."
    )
    fix = "another stride, one more row of padding, or an input size that fits (striate sizes)"
    source = f"{DUMOULIN}, relationship 6; PyTorch issue 6842; CS231n, Convolutional Networks, constraints on strides"
    bad = "7x7x1 -> conv 3x3 /3"
    good = "7x7x1 -> conv 3x3 /2"

    def look(self, context: Context) -> Iterator[Diagnostic]:
        for node, axes in context.windows:
            bad = {axis: window for axis, window in axes.items() if loses(window)}
            if bad:
                strides = "x".join(map(str, sorted({window.stride for window in bad.values()})))
                along = "" if len(bad) == len(axes) else f" along {' and '.join(bad)}"
                yield self.finding(
                    context,
                    node,
                    f"stride {strides} does not fit{along}",
                    why=_loss_text(axes, bad),
                    fixes=self._cures(context, node, axes, bad),
                )

    def _cures(
        self, context: Context, node: Node, axes: Mapping[str, Window], bad: Mapping[str, Window]
    ) -> Iterator[Fix]:
        strides = range(1, max(window.stride for window in bad.values()))
        for stride in strides if len(strides) < 4 else (1, *strides[-2:]):
            new = tuple(stride if axis in bad else window.stride for axis, window in axes.items())
            yield from fixes.change(context, node, f"stride {_one(new)}", _exact, stride=new)
        yield from _pad_fixes(context, node, axes, bad)
        yield from fixes.change(context, node, "ceil mode", _keeps, ceil=True)
        yield from fixes.resize(context, node, _keeps)


def loses(window: Window) -> bool:
    """Whether more real rows are lost than the stride skips between windows (which U001 reports)."""
    return window.lost > 0 and window.lost + window.wasted_padding > window.gap


def _keeps(declaration: Declaration) -> bool:
    return not any(isinstance(w, Window) and loses(w) for w in declaration.windows.values())


def _exact(declaration: Declaration) -> bool:
    return not any(isinstance(w, Window) and w.remainder for w in declaration.windows.values())


def _one(sizes: tuple[int, ...]) -> str:
    return str(sizes[0]) if len(set(sizes)) == 1 else by(sizes)


def _loss_text(axes: Mapping[str, Window], bad: Mapping[str, Window]) -> str:
    """The formula, the size in a framework, and the pixels that are never read."""
    formulas = dict.fromkeys(window.formula for window in bad.values())
    floors = dict.fromkeys(str(window.output) for window in bad.values())
    rows = []
    for axis, window in bad.items():
        first = window.input - window.lost
        rows.append(
            f"{AXIS_WORDS[axis]} {first}"
            if window.lost == 1
            else f"{AXIS_WORDS[axis]}s {first}-{window.input - 1}"
        )
    total = math.prod(window.input for window in axes.values())
    read = math.prod(window.input - (window.lost if axis in bad else 0) for axis, window in axes.items())
    unit = "pixels" if len(axes) > 1 else "positions"
    return (
        f"{'; '.join(formulas)}; PyTorch would floor to {' and '.join(floors)} and never read {' and '.join(rows)} "
        f"({total - read} of {total} {unit})"
    )


def _pad_fixes(
    context: Context, node: Node, axes: Mapping[str, Window], bad: Mapping[str, Window]
) -> Iterator[Fix]:
    """The smallest padding that fits: equal on both sides if parity allows, else more at the end."""
    even = {
        axis: next(
            (
                extra
                for extra in range(1, w.extent - max(w.before, w.after))
                if not (w.slack + 2 * extra) % w.stride
            ),
            None,
        )
        for axis, w in bad.items()
    }
    if None not in even.values():
        pads = [
            (w.before + (even.get(axis) or 0), w.after + (even.get(axis) or 0)) for axis, w in axes.items()
        ]
    else:
        pads = [(w.before, w.after + (-w.slack % w.stride if axis in bad else 0)) for axis, w in axes.items()]
    yield from fixes.change(context, node, f"pad {pad_text(pads)}", _exact, padding=tuple(pads))


def pad_text(pads: list[tuple[int, int]]) -> str:
    """Paddings as the notation writes them: one number, or top,bottom,left,right."""
    flat = [side for pair in pads for side in pair]
    return str(flat[0]) if len(set(flat)) == 1 else ",".join(map(str, flat))


class ShapesDoNotMerge(Failure):
    """Branches that are added, multiplied or concatenated have sizes that do not agree."""

    code = "G003"
    why = (
        "A merge needs equal sizes (add and multiply also broadcast axes of size 1); the network cannot run."
    )
    fix = (
        "an input size that suits every branch (striate sizes), or the same stride and padding in each branch"
    )
    companions = ("G002",)
    source = (
        "ONNX Add and Concat; U-Net's crop (Ronneberger et al. 2015, arXiv 1505.04597); PyTorch forum, odd "
        "skip sizes"
    )
    bad = """
        [network]
        input = "15x15x4"

        [[node]]
        name = "down"
        op = "maxpool 2"

        [[node]]
        name = "up"
        op = "tconv 2x2 4 /2"

        [[node]]
        name = "skip"
        op = "concat"
        inputs = ["up", "input"]
        """
    good = """
        [network]
        input = "16x16x4"

        [[node]]
        name = "down"
        op = "maxpool 2"

        [[node]]
        name = "up"
        op = "tconv 2x2 4 /2"

        [[node]]
        name = "skip"
        op = "concat"
        inputs = ["up", "input"]
        """

    def cures(self, context: Context, node: Node | None, problem: ShapeError) -> Iterator[Fix]:
        yield from fixes.resize(context, node)


class WeightsOfAnotherSize(Failure):
    """The weights were made for another number of inputs than they get."""

    code = "G004"
    why = "Filters extend the full depth of the input, and a fully connected layer has one weight per input element."
    fix = "the input size that the weights are for, or weights for this input size"
    source = "PyTorch Linear (in_features) and Conv2d (in_channels)"
    bad = "8x8x3 -> conv 1x1 6 -> flatten -> fc 10 in 294"
    good = "7x7x3 -> conv 1x1 6 -> flatten -> fc 10 in 294"

    def cures(self, context: Context, node: Node | None, problem: ShapeError) -> Iterator[Fix]:
        if node is None:
            return
        spec = context.spec(node.inputs[0])
        for field, size in (("in_channels", spec.channels), ("in_features", spec.shape[-1])):
            yield from fixes.change(context, node, f"{field} {size}", None, **{field: size})


class LastWindowOverhangs(Rule):
    """Ceil mode lets the last window hang over the end of the input."""

    code = "G005"
    severity = Severity.INFO
    why = "The last row and column are computed from fewer pixels than the others."
    fix = "an input size that fits, or ceil mode off"
    source = "PyTorch MaxPool2d, ceil_mode; ONNX MaxPool, ceil_mode"
    bad = "7x7x4 -> maxpool 2x2 /2 ceil"
    good = "8x8x4 -> maxpool 2x2 /2 ceil"

    def look(self, context: Context) -> Iterator[Diagnostic]:
        for node, axes in context.windows:
            over = {axis: window for axis, window in axes.items() if window.overhang}
            if over:
                window = next(iter(over.values()))
                rows = " and ".join(plural(w.overhang, AXIS_WORDS[a]) for a, w in over.items())
                yield self.finding(
                    context,
                    node,
                    f"the last window extends {rows} past the end",
                    why=f"{window.formula}, rounded up to {window.output}: the last window reads "
                    f"{window.extent - window.overhang} of {window.extent}",
                    fixes=[
                        *fixes.change(context, node, "ceil off", _no_overhang, ceil=False),
                        *fixes.resize(context, node, _no_overhang),
                    ],
                )


def _no_overhang(declaration: Declaration) -> bool:
    return _keeps(declaration) and not any(
        isinstance(w, Window) and w.overhang for w in declaration.windows.values()
    )
