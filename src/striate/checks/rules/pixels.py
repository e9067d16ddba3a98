"""U: how the pixels (and the filter taps) are used."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from striate.checks import fixes
from striate.checks.context import Context, by, share
from striate.checks.rule import Rule
from striate.checks.rules.geometry import loses, pad_text
from striate.diagnostics import Diagnostic, Fix, Severity, plural
from striate.geometry import TransposedWindow, Window
from striate.network import Node
from striate.op import Declaration, Trait

MAX_AXIS_POSITIONS = 2**20
"""Maximum positions of an axis for which the reads of several readers are united; beyond it only the best reader
counts.
"""


class PixelsNeverRead(Rule):
    """The stride steps over pixels that no window reads, and nothing else reads them either."""

    code = "U001"
    severity = Severity.WARNING
    why = (
        "The layer before computed these pixels for nothing, and small objects can fall between the windows."
    )
    fix = "a window at least as long as the stride, or average pooling before it"
    source = (
        "He et al. 2019, Bag of tricks for image classification, arXiv 1812.01187, section 4 (ResNet-B, "
        "ResNet-D)"
    )
    bad = "8x8x16 -> conv 1x1 32 /2"
    good = "8x8x16 -> conv 2x2 32 /2"

    def look(self, context: Context) -> Iterator[Diagnostic]:
        striding = {node.name: axes for node, axes in context.windows}
        values = set()
        for node, axes in context.windows:
            value = node.inputs[0]
            if value in values or not any(map(_steps_over, axes.values())):
                continue
            values.add(value)
            readers = context.consumers(value)
            if context.is_output(value) or any(reader.name not in striding for reader in readers):
                continue
            total = math.prod(window.input for window in axes.values())
            missed = total - _pixels_read([striding[reader.name] for reader in readers])
            if missed:
                window = max(filter(_steps_over, axes.values()), key=lambda w: w.gap)
                others = (
                    f", nor by {', '.join(r.name for r in readers if r is not node)}"
                    if len(readers) > 1
                    else ""
                )
                yield self.finding(
                    context,
                    node,
                    f"{missed} of {total} pixels are never read ({share(missed, total)})",
                    why=(
                        f"stride {window.stride} is larger than the window's extent of {window.extent}{others}"
                        if window.gap
                        else f"taps {window.dilation} apart at stride {window.stride} never read them{others}"
                    ),
                    fixes=_longer_windows(context, node, axes),
                )


def _steps_over(window: Window) -> bool:
    """Whether pixels are skipped: between windows, or between dilated taps."""
    return window.gap > 0 or (window.dilation > 1 and _reads(window) < window.input)


def _pixels_read(readers: Sequence[Mapping[str, Window]]) -> int:
    """Number of pixels that at least one of several windows reads; those that G002 reports count as read."""
    if len(readers) == 1 or max(w.input for axes in readers for w in axes.values()) > MAX_AXIS_POSITIONS:
        return max(math.prod(_reads(window) for window in axes.values()) for axes in readers)
    return _union_size([[_read(window) for window in axes.values()] for axes in readers])


def _read(window: Window) -> frozenset[int]:
    lost = range(window.input - window.lost, window.input) if loses(window) else ()
    return frozenset(range(window.input)).difference(window.unread).union(lost)


def _reads(window: Window) -> int:
    """Number of positions that are read; every further stride of input adds the same number."""
    short, periods = _shorten(window)
    longer = dataclasses.replace(short, input=short.input + short.stride)
    return len(_read(short)) + periods * (len(_read(longer)) - len(_read(short)) if periods else 0)


def _shorten(window: Window) -> tuple[Window, int]:
    """A window with the same borders on a shorter axis, and the number of strides removed from the middle."""
    enough = 6 * (window.extent + window.before + window.after + window.stride)
    periods = max(window.input - enough, 0) // window.stride
    return dataclasses.replace(window, input=window.input - periods * window.stride), periods


def _union_size(reads: Sequence[Sequence[frozenset[int]]]) -> int:
    """Size of a union of boxes, each the product of its axes' positions."""
    boxes = {tuple(axes) for axes in reads}
    if len(boxes) == 1:
        return math.prod(len(axis) for axis in next(iter(boxes)))
    if all(len(box) == 1 for box in boxes):
        return len(frozenset[int]().union(*(box[0] for box in boxes)))
    first = frozenset[int]().union(*(box[0] for box in boxes))
    classes: dict[tuple[bool, ...], int] = {}
    for x in first:  # rows read by the same boxes read the same columns
        kind = tuple(x in box[0] for box in boxes)
        classes[kind] = classes.get(kind, 0) + 1
    return sum(
        rows * _union_size([box[1:] for box, reads_row in zip(boxes, kind) if reads_row])
        for kind, rows in classes.items()
    )


def _longer_windows(context: Context, node: Node, axes: Mapping[str, Window]) -> Iterator[Fix]:
    """Windows as long as the stride, with the same output size if possible."""
    kernel = tuple(max(w.kernel, -(-(w.stride - 1) // w.dilation) + 1) for w in axes.values())
    out = tuple(w.output for w in axes.values())
    for extra in (0, 1):
        grown = tuple(k + extra * (k > w.kernel) for k, w in zip(kernel, axes.values()))
        pads = [
            (w.before + extra * (k > w.kernel), w.after + extra * (k > w.kernel))
            for k, w in zip(grown, axes.values())
        ]
        text = f"kernel {by(grown)}" + (f" pad {pad_text(pads)}" if extra else "")
        cures = list(
            fixes.change(
                context,
                node,
                text,
                lambda d: d.outputs[0].spatial == out and _gapless(d),
                kernel=grown,
                padding=tuple(pads),
            )
        )
        yield from cures
        if cures:
            return
    yield from fixes.change(context, node, f"kernel {by(kernel)}", _gapless, kernel=kernel)


def _gapless(declaration: Declaration) -> bool:
    return not any(
        isinstance(w, Window) and (_steps_over(w) or loses(w)) for w in declaration.windows.values()
    )


def _border(window: Window) -> tuple[int, int]:
    """Uses of the border pixel, and of inner pixels at the same phase of the stride, at the less used end."""
    return _border_of(_shorten(window)[0])


@functools.lru_cache(maxsize=4096)
def _border_of(window: Window) -> tuple[int, int]:
    counts = window.coverage()
    ends = []
    for end in (0, window.input - 1):
        inner = max(counts[end % window.stride :: window.stride], default=0)
        if counts[end]:  # G002 and U001 report unread pixels
            ends.append((counts[end], inner))
    return min(ends, key=lambda pair: pair[0] / pair[1], default=(1, 1))


class BorderUnderused(Rule):
    """Pixels at the border enter fewer windows than those in the middle."""

    code = "U002"
    severity = Severity.INFO
    why = (
        "Pixels at the border have less influence on the output. Zero padding of (F - 1)/2 keeps the size but "
        "not the balance."
    )
    fix = "full padding (P = F - 1) or mode circular use every pixel equally often"
    source = (
        "Zhang et al., Dive into Deep Learning, 7.3, Fig. 7.3.1; Alsallakh et al. 2021, Mind the Pad, arXiv "
        "2010.02178"
    )
    bad = "8x8x3 -> conv 3x3 8 pad 1"
    good = "8x8x3 -> conv 3x3 8 pad 1 mode circular"

    def look(self, context: Context) -> Iterator[Diagnostic]:
        for node, axes in context.windows:
            if all(window.kernel == 1 for window in axes.values()):
                continue
            pairs = [_border(window) for window in axes.values()]
            corner, inner = (math.prod(column) for column in zip(*pairs))
            if corner < inner:
                corners, middle = (
                    ("corner pixels", "central ones") if len(axes) > 1 else ("end positions", "middle ones")
                )
                yield self.finding(
                    context,
                    node,
                    f"{corners} get {corner} of {inner} uses",
                    why=f"{corner} {'window reads' if corner == 1 else 'windows read'} each, {inner} read {middle}",
                    fixes=_border_fixes(context, node, axes),
                )


def _border_fixes(context: Context, node: Node, axes: Mapping[str, Window]) -> Iterator[Fix]:
    if Trait.CONVOLUTION in node.op.traits:
        around = [*fixes.change(context, node, "mode circular", _equal, mode="circular")]
        yield from around or fixes.change(context, node, "pad full", _equal, padding="full")


def _equal(declaration: Declaration) -> bool:
    windows = [w for w in declaration.windows.values() if isinstance(w, Window)]
    return all(_border(w)[0] >= _border(w)[1] for w in windows)


class _Support(NamedTuple):
    """Positions of the run's first value that one unit reads: a bit mask per axis; and the dilated nodes of the run."""

    masks: tuple[int, ...]
    nodes: tuple[str, ...]


class DilationLeavesHoles(Rule):
    """Dilated convolutions in a row read a grid with holes: neighboring outputs never share an input."""

    code = "U003"
    severity = Severity.WARNING
    why = "The output consists of interleaved images that share no input (gridding)."
    fix = "dilations without a common factor, such as 1, 2, 3, or an undilated 3x3 before or after"
    source = (
        "Wang et al. 2018, Understanding convolution for semantic segmentation, arXiv 1702.08502, section "
        "3.2; Yu et al. 2017, arXiv 1705.09914"
    )
    bad = "32x32x4 -> conv 3x3 8 pad 2 dil 2 -> relu -> conv 3x3 8 pad 2 dil 2"
    good = "32x32x4 -> conv 3x3 8 pad 1 -> relu -> conv 3x3 8 pad 2 dil 2"
    companions = ("U002",)

    def look(self, context: Context) -> Iterator[Diagnostic]:
        windows = {name.name: axes for name, axes in context.windows}
        if not any(w.dilation > 1 for axes in windows.values() for w in axes.values()):
            return
        support: dict[str, _Support] = {}
        for node in context.nodes:
            reach = self._through(context, node, windows.get(node.name), support)
            if reach:
                support |= dict.fromkeys(node.outputs, reach)
        for value, reach in support.items():
            onward = [reader for reader in context.consumers(value) if set(reader.outputs) & support.keys()]
            if onward or not reach.nodes or not any(_holes(mask) for mask in reach.masks):
                continue
            axis = max(range(len(reach.masks)), key=lambda k: _holes(reach.masks[k]))
            mask = reach.masks[axis]
            node = context.network.node(reach.nodes[-1])
            chain = " then ".join(str(context.network.node(name).op.dilation) for name in reach.nodes)  # type: ignore[attr-defined]
            yield self.finding(
                context,
                node,
                f"dilation leaves holes: {mask.bit_count()} of {plural(mask.bit_length(), 'position')} are read",
                why=f"dilation {chain} at this resolution; one output reads {_draw(mask)}. {self.why}",
                fixes=_dilation_fixes(context, node),
            )

    def _through(
        self, context: Context, node: Node, axes: Mapping[str, Window] | None, support: Mapping[str, _Support]
    ) -> _Support | None:
        """Support of a node's outputs, or None where a new run begins."""
        rank = len(context.spec(node.outputs[0]).spatial)
        supports = [support[value] for value in node.inputs if value in support]
        supports = [one for one in supports if len(one.masks) == rank]  # a reshape begins again
        if not rank:
            return None
        nodes = tuple(dict.fromkeys(name for one in supports for name in one.nodes))
        masks = tuple(
            functools.reduce(_center_or, (one.masks[k] for one in supports), 0) or 1 for k in range(rank)
        )
        if axes is None:
            same = all(
                context.spec(value).spatial == context.spec(node.outputs[0]).spatial for value in node.inputs
            )
            return _Support(masks, nodes) if same and supports else None
        if any(w.stride > 1 for w in axes.values()):
            return None
        wider = []
        for mask, w in zip(masks, axes.values()):
            wider.append(functools.reduce(int.__or__, (mask << u * w.dilation for u in range(w.kernel))))
        dilated = (node.name,) if any(w.dilation > 1 and w.kernel > 1 for w in axes.values()) else ()
        return _Support(tuple(wider), (*nodes, *dilated))


def _center_or(a: int, b: int) -> int:
    """Union of two supports with a common center, as in branches of odd windows with equal sizes."""
    if not a or not b:
        return a or b
    short, long = sorted((a, b), key=int.bit_length)
    return long | short << (long.bit_length() - short.bit_length()) // 2


def _holes(mask: int) -> int:
    return mask.bit_length() - mask.bit_count()


def _draw(mask: int) -> str:
    text = f"{mask:b}".replace("1", "x").replace("0", ".")
    return text if len(text) <= 41 else text[:40] + "…"


def _dilation_fixes(context: Context, node: Node) -> Iterator[Fix]:
    if Trait.CONVOLUTION in node.op.traits:
        windows = context.declaration(node).windows.values()
        pads = tuple(((w.kernel - 1) // 2, w.kernel // 2) for w in windows)
        yield from fixes.change(
            context, node, f"dilation 1 pad {pad_text(list(pads))}", None, dilation=1, padding=pads
        )


class CheckerboardFromTransposed(Rule):
    """The stride of a transposed convolution does not divide its kernel: outputs collect unequal numbers of taps."""

    code = "U004"
    severity = Severity.WARNING
    why = "Some outputs sum more products than their neighbors, which is visible as a checkerboard."
    fix = "a kernel size that is a multiple of the stride, or upsampling followed by a convolution"
    source = "Odena, Dumoulin & Olah 2016, Deconvolution and checkerboard artifacts, Distill"
    bad = "8x8x4 -> tconv 3x3 4 /2 pad 1 outpad 1"
    good = "8x8x4 -> tconv 4x4 4 /2 pad 1"

    def look(self, context: Context) -> Iterator[Diagnostic]:
        for node in context.of("tconv"):
            axes = context.declaration(node).windows
            bad = {
                a: w
                for a, w in axes.items()
                if isinstance(w, TransposedWindow) and w.stride > 1 and w.kernel % w.stride
            }
            if bad:
                window = next(iter(bad.values()))
                least, most = window.kernel // window.stride, -(-window.kernel // window.stride)
                yield self.finding(
                    context,
                    node,
                    f"kernel {window.kernel} is not a multiple of stride {window.stride}",
                    why=f"along {' and '.join(bad)} outputs alternately sum {least} or {most} taps. {self.why}",
                    fixes=self._cures(context, node, axes),
                )

    def _cures(
        self, context: Context, node: Node, axes: Mapping[str, Window | TransposedWindow]
    ) -> Iterator[Fix]:
        """The next kernel that divides, with the padding that keeps the output size."""
        kernel, pads = [], []
        for w in axes.values():
            size = -(-w.kernel // w.stride) * w.stride
            # (N - 1)·S + F - P + O stays: what the kernel grows goes into P, and output padding is no longer needed.
            crop = w.before + w.after + (size - w.kernel) * w.dilation - getattr(w, "output_padding", 0)
            kernel.append(size)
            pads.append((crop // 2, crop - crop // 2))
        if all(side >= 0 for pair in pads for side in pair):
            yield from fixes.change(
                context,
                node,
                f"kernel {by(tuple(kernel))} pad {pad_text(pads)}",
                kernel=tuple(kernel),
                padding=tuple(pads),
                output_padding=0,
            )


class TapsNeverMeetImage(Rule):
    """Some taps of the filter only ever see padding: they are weights without use."""

    code = "U005"
    severity = Severity.WARNING
    why = "On such a small map a wide or dilated filter uses only its center; the other weights are never trained."
    fix = "a smaller kernel or dilation here, or a larger input"
    source = "Chen et al. 2017, Rethinking atrous convolution (DeepLabv3), arXiv 1706.05587, section 3.3"
    bad = "1x1x8 -> conv 3x3 8 pad 1"
    good = "2x2x8 -> conv 3x3 8 pad 1 mode circular"

    def look(self, context: Context) -> Iterator[Diagnostic]:
        for node, axes in context.windows:
            live = {axis: _live(window) for axis, window in axes.items()}
            taps = math.prod(window.kernel for window in axes.values())
            live_taps = math.prod(len(places) for places in live.values())
            if 0 < live_taps < taps:
                dead = taps - live_taps
                yield self.finding(
                    context,
                    node,
                    f"{dead} of {taps} taps always read padding",
                    why=f"the map is {by(tuple(w.input for w in axes.values()))}, the filter covers "
                    f"{by(tuple(w.extent for w in axes.values()))}. {self.why}",
                    fixes=self._cures(context, node, axes, live),
                )

    def _cures(
        self, context: Context, node: Node, axes: Mapping[str, Window], live: Mapping[str, Sequence[int]]
    ) -> Iterator[Fix]:
        kernel = tuple(places[-1] - places[0] + 1 for places in live.values())
        pads = [
            (w.before - places[0] * w.dilation, w.after - (w.kernel - 1 - places[-1]) * w.dilation)
            for w, places in zip(axes.values(), live.values())
        ]
        if all(side >= 0 for pair in pads for side in pair):
            yield from fixes.change(
                context,
                node,
                f"kernel {by(kernel)} pad {pad_text(pads)}, which computes the same",
                kernel=kernel,
                padding=tuple(pads),
            )


@functools.lru_cache(maxsize=4096)
def _live(window: Window) -> tuple[int, ...]:
    """Taps that read a real pixel at some output."""
    if window.mode != "zeros" or not window.before + window.after + window.overhang:
        return tuple(range(window.kernel))
    last = window.output - 1
    live = []
    for u in range(window.kernel):
        first = window.raw(0, u)
        turns = max(
            -(first // window.stride), 0
        )  # the first output at which this tap is not before the image
        if turns <= last and window.raw(turns, u) < window.input:
            live.append(u)
    return tuple(live)
