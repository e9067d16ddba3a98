"""X: what other frameworks make of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from striate.checks import fixes
from striate.checks.context import Context
from striate.checks.rule import Rule
from striate.checks.rules.geometry import Failure, pad_text
from striate.checks.rules.padding import SAME
from striate.diagnostics import Diagnostic, Severity
from striate.geometry import Window
from striate.network import Node


class UnknownOperator(Failure):
    """The network has an operator that Striate does not support."""

    code = "X001"
    severity = Severity.WARNING
    why = (
        "Its computation, cost and receptive field are unknown: totals leave it out, and other frameworks may "
        "reject it too."
    )
    fix = "replace it with known ops, or declare its output shape, so that the nodes after it are checked"
    source = "ONNX specification, operator sets and custom domains"
    bad = "8x8x3 -> opaque DeformConv2d shape 16,8,8 -> relu"
    good = "8x8x3 -> conv 1x1 16 -> relu"

    def look(self, context: Context) -> Iterator[Diagnostic]:
        yield from super().look(context)
        for node in context.of("opaque"):
            shape = context.spec(node.outputs[0])
            reason = getattr(node.op, "why", "")
            yield self.finding(
                context,
                node,
                f"{getattr(node.op, 'operator', '')} is not supported; its shape {shape} is assumed",
                why=f"{reason}. {self.why}" if reason else "",
            )


class SizeDiffersBetweenFrameworks(Rule):
    """Frameworks give this layer different output sizes, or cannot express its padding in one attribute."""

    code = "X002"
    severity = Severity.WARNING
    why = (
        "An exported network must give the same sizes in every framework; otherwise it fails, or silently "
        "shifts, after the export."
    )
    fix = "explicit symmetric padding, and an input size that fits"
    source = (
        "ONNX issue 5711 and PyTorch issues 116420, 71549 (ceil mode); PyTorch Conv2d (padding='same' needs "
        "stride 1); TensorFlow, padding SAME and VALID (tf.nn)"
    )
    bad = "12x12x8 -> maxpool 1x1 /2 ceil"
    good = "12x12x8 -> maxpool 2x2 /2 ceil"
    companions = ("U001",)

    def look(self, context: Context) -> Iterator[Diagnostic]:
        for node, axes in context.windows:
            yield from self._ceil(context, node, axes)
            yield from self._same(context, node, axes)

    def _ceil(self, context: Context, node: Node, axes: Mapping[str, Window]) -> Iterator[Diagnostic]:
        """Ceil mode: the rule of PyTorch, the formula of ONNX before opset 22, and TensorFlow, which has none."""
        for axis, window in axes.items():
            if not window.ceil:
                continue
            rounded_up = -(-window.slack // window.stride) + 1
            valid = max(-(-(window.input - window.extent + 1) // window.stride), 0)
            same = -(-window.input // window.stride)
            if rounded_up != window.output:
                message = (
                    f"ceil mode gives {window.output} in PyTorch and {rounded_up} by the formula of ONNX"
                )
                why = (
                    f"along {axis} {window.formula}, rounded up {rounded_up}; PyTorch drops a last window that would "
                    "start after the image, and so does ONNX since opset 22"
                )
            elif window.overhang and window.output not in (valid, same):
                message = f"ceil mode gives {window.output}, which TensorFlow cannot express"
                why = f"along {axis} {window.formula}, rounded up; its SAME gives {same}, its VALID {valid}"
            else:
                continue
            changes = [*fixes.change(context, node, "ceil off", ceil=False), *fixes.resize(context, node)]
            yield self.finding(context, node, message, why=why, fixes=changes)
            return

    def _same(self, context: Context, node: Node, axes: Mapping[str, Window]) -> Iterator[Diagnostic]:
        """SAME with a stride, which frameworks pad differently."""
        for axis, window in axes.items():
            half = (window.extent - 1) // 2
            if window.policy in SAME and window.stride > 1 and (window.before, window.after) != (half, half):
                shifted = Window(window.input, window.kernel, window.stride, window.dilation, half, half)
                yield self.finding(
                    context,
                    node,
                    f"SAME pads {window.before} before and {window.after} after; PyTorch has no such padding",
                    why=f"along {axis} the nearest symmetric padding, pad {half}, gives {shifted.output} "
                    f"instead of {window.output}"
                    if shifted.output != window.output
                    else f"along {axis} the nearest symmetric padding, pad {half}, gives the same size on a "
                    f"grid shifted by {half - window.before} pixels: the same weights give other results",
                    severity=self.severity if shifted.output != window.output else Severity.INFO,
                    fixes=[
                        *fixes.change(
                            context,
                            node,
                            f"pad {pad_text([(w.before, w.after) for w in axes.values()])}, explicitly",
                            padding=tuple((w.before, w.after) for w in axes.values()),
                        ),
                        *fixes.resize(context, node),
                    ],
                )
                return


class AlignedCorners(Rule):
    """Bilinear upsampling with aligned corners, whose grid depends on the input size."""

    code = "X003"
    severity = Severity.INFO
    why = (
        "Input and output pixels coincide only at the corners, at a spacing that changes with the size; "
        "frameworks have different defaults."
    )
    fix = "corners off (align_corners=False), the half-pixel rule that PyTorch, ONNX and TensorFlow 2 share"
    source = "PyTorch Upsample, warning on align_corners; ONNX Resize, coordinate_transformation_mode"
    bad = "8x8x4 -> upsample scale 2 method bilinear corners on"
    good = "8x8x4 -> upsample scale 2 method bilinear"

    def look(self, context: Context) -> Iterator[Diagnostic]:
        for node in context.of("upsample"):
            if getattr(node.op, "align_corners", False):
                yield self.finding(
                    context,
                    node,
                    "corners are aligned",
                    fixes=fixes.change(context, node, "corners off", align_corners=False),
                )
