"""R: receptive fields. What units see, and whether branches look at the same place."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from striate.checks import fixes
from striate.checks.context import Context, by
from striate.checks.rule import Rule
from striate.checks.rules.geometry import pad_text
from striate.diagnostics import Diagnostic, Fix, Severity, plural
from striate.network import Network, Node
from striate.op import Trait, Windowed

if TYPE_CHECKING:
    from striate.analysis.fields import AxisField, Misalignment

ARAUJO = "Araujo, Norris & Sim 2019, Computing receptive fields of convolutional neural networks, Distill"
MAX_SEARCHED_MERGES = 4
"""Maximum merges for which a fix is searched: every search tries paddings on the whole network."""


class BranchesMisaligned(Rule):
    """Branches that meet look at different places of the image."""

    code = "R001"
    severity = Severity.WARNING
    companions = ("U002",)
    why = "The merged values belong to different positions: edges blur and positions drift, more with every such merge."
    fix = "padding of (F - 1)/2 before every window, in each branch"
    source = f"{ARAUJO}, section on alignment"
    bad = """
        [network]
        input = "16x16x8"

        [[node]]
        name = "wide"
        op = "conv 3x3 8 /2 pad 0,1,0,1"
        inputs = ["input"]

        [[node]]
        name = "narrow"
        op = "conv 1x1 8 /2"
        inputs = ["input"]

        [[node]]
        name = "sum"
        op = "add"
        inputs = ["wide", "narrow"]
        """
    good = """
        [network]
        input = "16x16x8"

        [[node]]
        name = "wide"
        op = "conv 3x3 8 /2 pad 1,0,1,0"
        inputs = ["input"]

        [[node]]
        name = "narrow"
        op = "conv 1x1 8 /2"
        inputs = ["input"]

        [[node]]
        name = "sum"
        op = "add"
        inputs = ["wide", "narrow"]
        """

    def look(self, context: Context) -> Iterator[Diagnostic]:
        if all(len(node.inputs) < 2 for node in context.nodes):
            return
        from striate.analysis.fields import misalignments

        by_node: dict[str, list[Misalignment]] = {}
        for fault in misalignments(context.network, context.fields_by_input):
            by_node.setdefault(fault.node, []).append(fault)
        for at, (name, faults) in enumerate(by_node.items()):
            fault = faults[0]
            axes = " and ".join(dict.fromkeys(one.axis for one in faults))
            if len(context.network.inputs) > 1:
                axes += f" of {' and '.join(dict.fromkeys(one.input for one in faults))}"
            if fault.pixels is None:
                steps = ", ".join(f"{value} {jump}" for value, jump in zip(fault.branches, fault.jumps))
                message = f"branches have different strides along {axes}"
                why = f"input pixels from unit to unit: {steps}; the distance grows along the axis"
            else:
                pixels = "pixel" if fault.pixels <= 1 else "pixels"
                message = f"branches are {_number(fault.pixels)} {pixels} apart along {axes}"
                places = ", ".join(f"{value} {_number(x)}" for value, x in zip(fault.branches, fault.offsets))
                why = f"their first units are centered on input pixels: {places}"
            node = context.network.node(name)
            yield self.finding(
                context,
                node,
                message,
                why=why,
                fixes=_cures(context, node, faults) if at < MAX_SEARCHED_MERGES else (),
            )


def _number(value: Fraction) -> str:
    return str(value) if value.denominator in (1, 2, 3) else f"{float(value):g}"


def _cures(context: Context, node: Node, faults: Sequence[Misalignment]) -> Iterator[Fix]:
    """The smallest change of one window's padding, along every misaligned axis."""
    from striate.analysis.fields import cure

    network = context.network
    name: str | None = None
    for fault in faults:
        candidate = cure(network, fault)
        if candidate is None or name not in (None, candidate.node):
            return
        name = candidate.node
        network = network.replace(candidate.node, candidate.op)
    if name is not None:
        pads = [(w.before, w.after) for w in network.declarations[name].windows.values()]
        yield from fixes.change(
            context, network.node(name), f"{name}: pad {pad_text(pads)}", padding=tuple(pads)
        )


class FieldAlreadyCoversInput(Rule):
    """A convolution whose units' inputs already see the whole image: it adds parameters, no context."""

    code = "R002"
    severity = Severity.INFO
    why = (
        "Layers after this point cannot integrate new context; in experiments they contribute little "
        "(unproductive layers)."
    )
    fix = "a larger input, or fewer layers or strides before it"
    source = (
        "Richter et al. 2021, Should you go deeper? Optimizing CNN architectures without training, arXiv "
        "2106.12307"
    )
    bad = "8x8x4 -> [conv 3x3 8 pad 1 mode circular -> relu]*5"
    good = "8x8x4 -> [conv 3x3 8 pad 1 mode circular -> relu]*4"

    def look(self, context: Context) -> Iterator[Diagnostic]:
        layers = [
            node
            for node, axes in context.windows
            if Trait.CONVOLUTION in node.op.traits and any(w.kernel > 1 for w in axes.values())
        ]
        if len(layers) < 2:
            return
        late = [
            node
            for node in layers
            if _covers(context.fields[node.inputs[0]], _input_sizes(context, node.inputs[0]))
        ]
        if late:
            first = late[0]
            sizes = _input_sizes(context, first.inputs[0])
            field_sizes = {
                axis: axis_field.field.size for axis, axis_field in context.fields[first.inputs[0]].items()
            }
            more = (
                f", and so do those of {plural(len(late) - 1, 'later convolution')}" if len(late) > 1 else ""
            )
            yield self.finding(
                context,
                first,
                f"its input already covers all of {by(sizes)}{more}",
                why=f"the receptive field before it is {by(field_sizes)}. {self.why}",
            )


def _input_sizes(context: Context, value: str) -> dict[str, int]:
    """The sizes of the input that leads to a value."""
    spec = context.network.inputs[context.source(value)]
    return dict(zip(spec.spatial_axes, spec.spatial))


def _covers(fields: Mapping[str, AxisField], sizes: Mapping[str, int]) -> bool:
    """Whether the field covers the image along every axis and still moves over it (not after global pooling)."""
    return bool(fields) and all(
        axis_field.axis is not None and axis_field.field.step and axis_field.field.size >= sizes[axis]
        for axis, axis_field in fields.items()
    )


class FieldSmallerThanObject(Rule):
    """No unit sees the whole object (`object-px`), or, before global pooling, the whole image."""

    code = "R003"
    severity = Severity.INFO
    why = "Pooling only averages what separate units see: the arrangement of parts beyond the field is lost."
    fix = "more layers, dilation or strides before this point"
    source = (
        f"{ARAUJO}; Brendel & Bethge 2019, Approximating CNNs with bag-of-local-features models, arXiv "
        "1904.00760"
    )
    bad = "32x32x3 -> conv 3x3 8 pad 1 mode circular -> relu -> gap"
    good = "32x32x3 -> conv 3x3 8 pad 1 mode circular -> relu -> flatten"

    def look(self, context: Context) -> Iterator[Diagnostic]:
        object_px = context.config.object_px
        for node, value in self._ends(context, dense=object_px is not None):
            sizes = {axis: object_px or size for axis, size in _input_sizes(context, value).items()}
            fields = context.fields[value]
            short = {
                axis: axis_field.field
                for axis, axis_field in fields.items()
                if axis_field.axis is not None and axis_field.field.size < sizes[axis]
            }
            if short:
                field = next(iter(short.values()))
                missing = max(sizes[axis] - field.size for axis, field in short.items())
                layers = -(-missing // max(int(2 * field.jump), 1))
                what = "objects of" if object_px else "an input of"
                size = by({axis: axis_field.field.size for axis, axis_field in fields.items()})
                yield self.finding(
                    context,
                    node,
                    f"units see {size} of {what} {by(sizes)}",
                    fixes=[Fix(f"{plural(layers, 'more 3x3 layer')} here, or dilation")],
                    severity=Severity.WARNING if object_px else self.severity,
                )

    def _ends(self, context: Context, dense: bool) -> Iterator[tuple[Node, str]]:
        """Where maps end: global pooling, and (for object sizes) maps that leave the network."""
        gates = {node.name for node in context.of("mul")}
        for node in context.nodes:
            spatial = context.spec(node.outputs[0]).spatial
            ones = all(n == 1 for n in spatial)
            # Squeeze-and-excitation pools next to the main path; only the last pooling decides.
            if (
                spatial
                and ones
                and _pools_all(context, node)
                and gates.isdisjoint(_descendants(context.network, node, gates))
            ):
                yield node, node.inputs[0]
            elif dense and context.is_output(node.outputs[0]) and spatial and not ones:
                yield node, node.outputs[0]


def _pools_all(context: Context, node: Node) -> bool:
    """Whether the op reduces all positions of a channel to one number, for any input size."""
    if isinstance(node.op, Windowed) or len(node.inputs) > 1:
        return False
    x, readings = context.spec(node.inputs[0]), context.declaration(node).readings[0]
    maps = [(readings[axis].map, x.size(axis)) for axis in x.spatial_axes]
    return bool(maps) and all(m is not None and (m.taps, m.output) == (size, 1) for m, size in maps)


def _descendants(network: Network, node: Node, ends: Collection[str]) -> Iterator[str]:
    """The names of the nodes that read a node's output, directly or through others before the `ends`."""
    waiting, visited = [*node.outputs], set()
    while waiting:
        for reader in network.consumers[waiting.pop()]:
            if reader.name not in visited:
                visited.add(reader.name)
                yield reader.name
                if reader.name not in ends:
                    waiting += reader.outputs


class StrideUnequal(Rule):
    """Height and width are stepped over differently on a square input."""

    code = "R004"
    severity = Severity.INFO
    why = (
        "The field grows in one direction faster than in the other, which suits text lines and spectrograms and "
        "is usually a mistake elsewhere."
    )
    fix = "the same stride for height and width"
    source = "Shi, Bai & Yao 2015, CRNN, arXiv 1507.05717 (where it is meant); CS231n, Convolutional Networks"
    bad = "8x8x3 -> conv 2x2 8 /2x1 -> relu -> flatten"
    good = "8x8x3 -> conv 2x2 8 /2 -> relu -> flatten"
    companions = ("P002", "P003", "U002")

    def look(self, context: Context) -> Iterator[Diagnostic]:
        for node, axes in context.windows:
            strides = tuple(window.stride for window in axes.values())
            if len(set(strides)) > 1 and len(set(_input_sizes(context, node.inputs[0]).values())) == 1:
                yield self.finding(
                    context,
                    node,
                    f"stride {by(strides)} on a square input",
                    fixes=[
                        fix
                        for s in sorted(set(strides))
                        for fix in fixes.change(context, node, f"stride {s}", stride=s)
                    ],
                )


SMALL_PX, COARSE = 64, 4


class StemTooCoarse(Rule):
    """A small image is cut to a quarter of its side before a second convolution has seen it."""

    code = "R005"
    severity = Severity.WARNING
    why = (
        "Stems for 224-pixel images have a total stride of four. On a small image that discards most of the "
        "detail: networks for 32 pixels begin with stride 1."
    )
    fix = "stride 1 in the first layer, and no pooling right after it"
    source = "He et al. 2016, arXiv 1512.03385, section 4.2: CIFAR-10 networks begin with a 3x3 convolution of stride 1"
    bad = "33x33x3 -> conv 7x7 16 /2 pad 3 mode circular -> relu -> maxpool 3 /2 -> conv 1x1 16"
    good = "33x33x3 -> conv 3x3 16 pad 1 mode circular -> relu -> maxpool 3 /2 -> conv 1x1 16"
    companions = ("U002",)

    def look(self, context: Context) -> Iterator[Diagnostic]:
        images = [spec for spec in context.network.inputs.values() if spec.spatial and spec.channels <= 4]
        image = max((n for spec in images for n in spec.spatial), default=0)
        if not SMALL_PX // 2 <= image <= SMALL_PX:
            return
        convolutions = 0
        for node, axes in context.windows:
            fields = context.fields[node.outputs[0]]
            jump = max(
                (axis_field.field.jump for axis_field in fields.values() if axis_field.axis),
                default=Fraction(0),
            )
            convolutions += Trait.CONVOLUTION in node.op.traits
            if convolutions > 1:
                return
            if jump >= COARSE and any(window.stride > 1 for window in axes.values()):
                yield self.finding(
                    context,
                    node,
                    f"units are {jump} pixels apart on an image of {image}",
                    why=f"{convolutions} convolution precedes this point. {self.why}",
                )
                return
