"""P: padding and borders."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from striate.checks import fixes
from striate.checks.context import AXIS_WORDS, Context, by, share
from striate.checks.rule import Rule
from striate.checks.rules.geometry import DUMOULIN, loses, pad_text
from striate.diagnostics import Diagnostic, Fix, Severity, plural
from striate.geometry import Window
from striate.network import Node
from striate.op import Declaration

SAME = ("same", "same_lower")


def used_padding(window: Window) -> tuple[int, int]:
    """Padding before and after that a window reads."""
    return window.before - window.wasted_before, window.after - window.wasted_after


class UnevenPadding(Rule):
    """The stride leaves a remainder, and padding on one side is dropped: the grid sits off center."""

    code = "P001"
    severity = Severity.WARNING
    why = (
        "Padding is added on both sides but read on one: features shift by half a pixel in every such layer, "
        "the borders are treated differently, and learned filters become asymmetric."
    )
    fix = (
        "an input size that fits: for windows of 2P + 1 and d strides of 2, one more than a multiple of 2^d "
        "(225, not 224)"
    )
    source = "Alsallakh et al. 2021, Mind the Pad: CNNs can develop blind spots, ICLR, arXiv 2010.02178"
    bad = "8x8x3 -> conv 3x3 8 /2 pad 1"
    good = "9x9x3 -> conv 3x3 8 /2 pad 1"
    companions = ("U002",)

    def look(self, context: Context) -> Iterator[Diagnostic]:
        for node, axes in context.windows:
            bad = {axis: window for axis, window in axes.items() if _uneven(window)}
            if not bad:
                continue
            window = next(iter(bad.values()))
            before, after = used_padding(window)
            yield self.finding(
                context,
                node,
                f"padding is uneven: {before} before, {after} after" + _along(axes, bad),
                why=f"{window.formula}; "
                + (
                    f"{window.wasted_padding} of the {window.before + window.after} padded positions along "
                    f"{' and '.join(bad)} {'is' if window.wasted_padding == 1 else 'are'} never read"
                    if window.wasted_padding
                    else f"SAME puts the odd position {'after' if after > before else 'before'} the image"
                ),
                fixes=[*fixes.resize(context, node, _even), *_explicit_padding(context, node, axes)],
            )


def _uneven(window: Window) -> bool:
    if loses(window) or (window.extent % 2 == 0 and window.stride == 1):
        return False  # real rows are lost (G002), or an even window has no center (P003)
    before, after = used_padding(window)
    return before != after and (window.wasted_padding > 0 or window.policy in SAME)


def _even(declaration: Declaration) -> bool:
    return not any(isinstance(w, Window) and _uneven(w) for w in declaration.windows.values())


def _along(axes: Mapping[str, Window], bad: Mapping[str, Window]) -> str:
    return "" if len(bad) == len(axes) else f" along {' and '.join(bad)}"


def _explicit_padding(context: Context, node: Node, axes: Mapping[str, Window]) -> Iterator[Fix]:
    """A fix that writes only the padding that is read, which changes no result."""
    pads = [used_padding(window) for window in axes.values()]
    if any(window.wasted_padding for window in axes.values()):
        yield from fixes.change(
            context,
            node,
            f"pad {pad_text(pads)}, which keeps only the padding that is read",
            _even,
            padding=tuple(pads),
        )


class OutputShrinks(Rule):
    """A window at stride 1 without enough padding: every such layer removes a frame of its input."""

    code = "P002"
    severity = Severity.INFO
    why = (
        "Sizes shrink by F - 1 per layer, the border is lost first, and the input size limits the depth of "
        "the network."
    )
    fix = "padding of (F - 1)/2, written `pad same`"
    source = "Zhang et al., Dive into Deep Learning, 7.3 Padding and Stride; CS231n, Convolutional Networks"
    bad = "32x32x3 -> conv 5x5 6"
    good = "32x32x3 -> conv 5x5 6 pad 2"
    companions = ("U002",)

    def look(self, context: Context) -> Iterator[Diagnostic]:
        for node, axes in context.windows:
            short = {axis: w for axis, w in axes.items() if w.stride == 1 and 1 < w.output < w.input}
            if not short:
                continue
            sizes = tuple(window.input for window in axes.values())
            out = tuple(window.output for window in axes.values())
            lost = math.prod(sizes) - math.prod(out)
            formulas = "; ".join(dict.fromkeys(window.formula for window in short.values()))
            pads = [
                _half(window) if axis in short else (window.before, window.after)
                for axis, window in axes.items()
            ]
            yield self.finding(
                context,
                node,
                f"output shrinks from {by(sizes)} to {by(out)}",
                why=f"{formulas}; {share(lost, math.prod(sizes))} of the area is lost",
                fixes=fixes.change(context, node, f"pad {pad_text(pads)}", _same_size, padding=tuple(pads)),
            )


def _half(window: Window) -> tuple[int, int]:
    total = window.extent - 1
    return total // 2, total - total // 2


def _same_size(declaration: Declaration) -> bool:
    return all(
        isinstance(w, Window) and (w.stride > 1 or w.output >= w.input) for w in declaration.windows.values()
    )


class EvenWindowOffCenter(Rule):
    """A window of even size at stride 1 has no middle pixel, so its output cannot sit on its input's grid."""

    code = "P003"
    former = ("even-window-off-centre",)
    severity = Severity.WARNING
    why = "Shifts of half a pixel per layer add up; with `pad same` the extra row is on one side only."
    fix = "an odd window"
    source = (
        "Wu et al. 2019, Convolution with even-sized kernels and symmetric padding, NeurIPS, arXiv 1903.08385"
    )
    bad = "8x8x4 -> conv 2x2 8 pad same"
    good = "8x8x4 -> conv 1x1 8"
    companions = ("U002",)

    def look(self, context: Context) -> Iterator[Diagnostic]:
        for node, axes in context.windows:
            even = {a: w for a, w in axes.items() if w.stride == 1 and w.extent % 2 == 0 and w.output > 1}
            if not even:
                continue
            window = next(iter(even.values()))
            before, _ = used_padding(window)
            kernel = tuple(w.kernel + (axis in even) for axis, w in axes.items())
            pads = [_half(w) if w.before + w.after else (0, 0) for w in _odd(axes, even).values()]
            yield self.finding(
                context,
                node,
                f"a window of {by(tuple(w.extent for w in axes.values()))} has no center",
                why=f"output 0 reads inputs {-before} to {window.extent - 1 - before} along {' and '.join(even)}, "
                f"centered on {(window.extent - 1) / 2 - before:g}",
                fixes=fixes.change(
                    context,
                    node,
                    f"kernel {by(kernel)} pad {pad_text(pads)}",
                    _has_center,
                    kernel=kernel,
                    padding=tuple(pads),
                ),
            )


def _odd(axes: Mapping[str, Window], even: Mapping[str, Window]) -> dict[str, Window]:
    return {
        a: Window(w.input, w.kernel + (a in even), w.stride, w.dilation, w.before, w.after)
        for a, w in axes.items()
    }


def _has_center(declaration: Declaration) -> bool:
    return all(isinstance(w, Window) and (w.stride > 1 or w.extent % 2) for w in declaration.windows.values())


class WindowSeesOnlyPadding(Rule):
    """Some output positions are computed from padding alone."""

    code = "P004"
    severity = Severity.WARNING
    why = "Such outputs are equal for every image (the bias), yet the next layers treat them as features."
    fix = "padding smaller than the window's extent D·(F - 1) + 1"
    source = f"{DUMOULIN}, 2.4 (full padding is F - 1, the most that a window can use)"
    bad = "8x8x3 -> conv 1x1 8 pad 1"
    good = "8x8x3 -> conv 3x3 8 pad 2"

    def look(self, context: Context) -> Iterator[Diagnostic]:
        for node, axes in context.windows:
            empty = {
                axis: w.padding_only()
                for axis, w in axes.items()
                if max(w.before, w.after) >= w.extent or w.dilation > 1
            }
            if not any(empty.values()):
                continue
            total = math.prod(w.output for w in axes.values())
            full = math.prod(w.output - len(empty.get(axis, ())) for axis, w in axes.items())
            axis, places = next((a, p) for a, p in empty.items() if p)
            pads = [(min(w.before, w.extent - 1), min(w.after, w.extent - 1)) for w in axes.values()]
            yield self.finding(
                context,
                node,
                f"{total - full} of {plural(total, 'output')} {'sees' if total - full == 1 else 'see'} only padding",
                why=f"output {AXIS_WORDS[axis]} {places[0]} of {axes[axis].output} lies entirely in the "
                f"padding: the padding is {max(axes[axis].before, axes[axis].after)}, the window covers "
                f"{axes[axis].extent}",
                fixes=fixes.change(
                    context, node, f"pad {pad_text(pads)}", _sees_something, padding=tuple(pads)
                ),
            )


def _sees_something(declaration: Declaration) -> bool:
    return not any(isinstance(w, Window) and w.padding_only() for w in declaration.windows.values())


class PaddingDilutesAverage(Rule):
    """Average pooling counts the zeros of its padding, so the border comes out darker than the middle."""

    code = "P005"
    severity = Severity.INFO
    why = "A constant image does not stay constant: a corner of a padded 3x3 mean sums 4 real values but divides by 9."
    fix = "count real pixels only: `countpad off` (count_include_pad=False)"
    source = "PyTorch AvgPool2d and ONNX AveragePool, count_include_pad"
    bad = "9x9x8 -> avgpool 3x3 /2 pad 1"
    good = "9x9x8 -> avgpool 3x3 /2 pad 1 countpad off"

    def look(self, context: Context) -> Iterator[Diagnostic]:
        means = {node.name for node in context.of("avgpool") if getattr(node.op, "count_include_pad", False)}
        for node, axes in context.windows:
            if node.name in means and any(sum(used_padding(window)) for window in axes.values()):
                real = math.prod(len(window.reads(0)) for window in axes.values())
                taps = math.prod(window.taps for window in axes.values())
                yield self.finding(
                    context,
                    node,
                    f"the corner mean divides {real} values by {taps}",
                    fixes=fixes.change(context, node, "countpad off", count_include_pad=False),
                )


class BorderBeyondMap(Rule):
    """A reflecting or circular border asks for more pixels than the map has."""

    code = "P006"
    severity = Severity.ERROR
    why = "Reflection can extend an axis by N - 1 pixels and circular padding by N; PyTorch refuses more."
    fix = "less padding, or mode replicate"
    source = "PyTorch ReflectionPad2d and CircularPad2d, notes on padding sizes"
    bad = "3x3x4 -> conv 7x7 8 pad 3 mode reflect"
    good = "4x4x4 -> conv 7x7 8 pad 3 mode reflect"
    companions = ("U002",)

    def look(self, context: Context) -> Iterator[Diagnostic]:
        for node, axes in context.windows:
            for axis, window in axes.items():
                room = {"reflect": window.input - 1, "circular": window.input, "symmetric": window.input}.get(
                    window.mode
                )
                if room is not None and max(window.before, window.after) > room:
                    yield self.finding(
                        context,
                        node,
                        f"{window.mode} padding {max(window.before, window.after)} is larger than the map along {axis}",
                        why=f"an axis of {window.input} can be extended by at most {room} pixels",
                        fixes=[
                            *fixes.change(context, node, "mode replicate", mode="replicate"),
                            *fixes.change(context, node, f"pad {room}", padding=room),
                        ],
                    )
                    break
