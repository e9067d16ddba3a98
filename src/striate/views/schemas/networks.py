"""Records of networks: show, node, cost, sizes, pixels, diff.

The second argument of `Annotated` is the meaning that docs/json.md prints. No command loads this file: it is for type
checkers and for that page.
"""

from __future__ import annotations

from typing import Annotated, Any, NotRequired, TypedDict, final

from striate.views.schemas.keys import Axis, Convention, Key, Name


class WindowAxis(TypedDict):
    kernel: Annotated[int, "taps of the window; an op without a window has an empty `window`"]
    stride: Annotated[int, "step between windows"]
    dilation: Annotated[int, "step between taps"]
    pad: Annotated[list[int], "padding before and after, policies resolved"]
    output: Annotated[int, "output size"]
    remainder: Annotated[int, "positions that the stride leaves over"]
    lost: Annotated[int, "real positions after the last window"]
    wasted_padding: Annotated[int, "padded positions that no window reads"]
    overhang: Annotated[int, "positions past the padded end under ceil mode"]
    formula: Annotated[str, "the size formula with its numbers"]
    transposed: NotRequired[Annotated[bool, "true for a transposed convolution"]]


class FieldAxis(TypedDict):
    size: Annotated[int, "input pixels that a unit reads"]
    jump: Annotated[float, "input pixels between neighboring units"]
    start: Annotated[float, "first input coordinate of unit 0's field"]


class ShownNode(TypedDict):
    name: Annotated[str, "the node"]
    op: Annotated[str, "its op's word"]
    text: Annotated[str, "the op in notation, every attribute that is not a default"]
    inputs: Annotated[list[str], "values that it reads"]
    output: Annotated[list[int], "shape of its first output"]
    outputs: Annotated[list[list[int]], "shape of each output"]
    sizes: Annotated[list[str], "the same as papers write it, height x width x channels"]
    filter: Annotated[list[int] | None, "one filter of a convolution, `[depth, height, width]`"]
    params: Annotated[int, "learned numbers"]
    macs: Annotated[int, "multiply-accumulates under `convention`"]
    unknown: Annotated[
        list[str], "those of `params`, `macs` and `memory` that are not known of an opaque node"
    ]
    shares: Annotated[
        str | dict[str, str],
        "the node whose parameters it uses, or parameter to full name; empty for none",
    ]
    fixed: Annotated[list[str], "names of its parameters that are constants: neither counted nor trained"]
    frozen: Annotated[list[str], "names of its parameters that count but are not trained"]
    window: dict[Axis, WindowAxis]
    receptive_field: dict[Axis, FieldAxis]
    receptive_fields: NotRequired[
        Annotated[dict[Name, dict[Axis, FieldAxis]], "of several inputs: its field on each that leads to it"]
    ]
    aligned: Annotated[bool, "whether the merged branches are centered on the same positions"]
    activation_bytes: Annotated[int, "bytes of its outputs"]


class UnknownTotals(TypedDict):
    params: Annotated[
        list[str], "nodes with an unknown number of parameters; with any, the total is a lower bound"
    ]
    macs: Annotated[list[str], "the same for multiply-accumulates"]
    memory: Annotated[list[str], "the same for activations"]


class Totals(TypedDict):
    params: Annotated[int, "sum over the nodes"]
    macs: Annotated[int, "sum over the nodes"]
    activation_bytes: Annotated[int, "sum over the nodes"]
    peak_bytes: Annotated[int, "most bytes alive at once in inference"]
    training_peak_bytes: Annotated[int, "the same in a training step"]
    unknown: UnknownTotals


class Fix(TypedDict):
    text: Annotated[str, "a change that fixes it"]
    safe: Annotated[
        bool, "whether all sizes, weight shapes, windows and padding modes stay; `--fix` makes these"
    ]
    node: Annotated[str | None, "node to change"]
    change: Annotated[dict[str, Any], "op fields to replace on it"]
    input: Annotated[list[int] | None, "or the network's new input, `[C, H, W]`"]
    consequences: Annotated[dict[str, Any], "computed consequences: output sizes, receptive field, MACs"]


class Finding(TypedDict):
    """What `Diagnostic.to_dict` gives."""

    code: Annotated[str, "rule"]
    name: Annotated[str, "the rule's name"]
    severity: Annotated[str, "`error`, `warning` or `info`"]
    node: Annotated[str | None, "node; null: the whole network"]
    where: Annotated[str, "node, op and input"]
    why: Annotated[str, "the numbers"]
    message: Annotated[str, "what"]
    fixes: Annotated[list[Fix], "changes that fix it, as in `striate.show/1`"]


class Show(TypedDict):
    """`striate show MODEL --json`: the record that every view draws.

    For a network with several inputs `input` is the shape of the first, and `receptive_field` the first of
    `receptive_fields`.
    """

    schema: Annotated[str, "`striate.show/1`"]
    name: Annotated[str, "the network's name"]
    input: Annotated[list[int], "shape of the (first) input"]
    inputs: Annotated[dict[Name, list[int]], "shape of each input"]
    nodes: list[ShownNode]
    totals: Totals
    convention: Annotated[str, "how MACs are counted"]
    outputs: Annotated[list[str], "outputs of the network"]
    findings: list[Finding]
    problems: Annotated[list[Finding], "like `findings`: nodes without an output"]
    unreached: Annotated[list[str], "nodes after them, which are not analyzed"]


class DetailAxis(TypedDict):
    axis: Annotated[str, "axis"]
    symbols: Annotated[str, "the size formula in letters"]
    formula: Annotated[str, "the same with numbers"]
    input: Annotated[int, "input size"]
    output: Annotated[int, "output size"]
    exact: Annotated[bool, "whether the stride leaves no remainder"]
    unread: Annotated[list[list[int]], "`[first, last]` runs of positions that no window reads"]
    lost: NotRequired[Annotated[int, "as in `window`"]]
    wasted_before: NotRequired[Annotated[int, "unused padding at the start"]]
    wasted_after: NotRequired[Annotated[int, "unused padding at the end"]]
    overhang: NotRequired[Annotated[int, "as in `window`"]]


class DetailParameter(TypedDict):
    name: Annotated[str, "parameter"]
    shape: Annotated[list[int], "its shape"]
    elements: Annotated[int, "its numbers"]
    trainable: Annotated[bool, "false for running statistics"]


class Filters(TypedDict):
    count: Annotated[int, "number of filters"]
    shape: Annotated[list[int], "`[depth, height, width]` of one"]
    numbers: Annotated[int, "numbers in one"]
    groups: Annotated[int, "groups of channels"]
    input_channels: Annotated[int, "channels of the input"]


class Arithmetic(TypedDict):
    params: Annotated[str, "the sum that gives `params`"]
    macs: Annotated[str, "the product that gives `macs`"]


class FullyConnected(TypedDict):
    inputs: Annotated[int, "numbers in"]
    outputs: Annotated[int, "output elements"]
    params: Annotated[int, "its parameters"]
    macs: Annotated[int, "its MACs"]
    arithmetic: Annotated[str, "the sum that gives its parameters"]


class Detail(ShownNode):
    """`striate show MODEL --node NAME --json`: the keys of one entry of `nodes` above, and"""

    schema: Annotated[str, "`striate.node/1`"]
    network: Annotated[str, "the network's name"]
    reads: Annotated[dict[Name, str], "size of each value that it reads, as in `sizes`"]
    place: Annotated[str | None, "file and line that define it"]
    axes: list[DetailAxis]
    parameters: list[DetailParameter]
    filters: Annotated[Filters | None, "null for an op that is not a convolution"]
    arithmetic: Arithmetic
    fully_connected: Annotated[
        FullyConnected | None, "the fully connected layer with the input and output of a convolution"
    ]
    findings: Annotated[list[Finding], "findings on this node"]
    convention: Annotated[str, "how MACs are counted"]


class CostRow(TypedDict):
    node: Annotated[str, "the node, or how many"]
    op: Annotated[str, "op"]
    macs: Annotated[dict[Convention, int], "its count"]
    reasons: Annotated[dict[Convention, str], "why it differs from Striate's"]


class Costs(TypedDict):
    """`striate show MODEL --reconcile --json`"""

    schema: Annotated[str, "`striate.cost/1`"]
    name: Annotated[str, "the network's name"]
    inputs: Annotated[dict[Name, list[int]], "shape of each input"]
    conventions: Annotated[dict[Convention, str], "what a convention counts"]
    totals: Annotated[dict[Convention, int], "its total"]
    unknown: Annotated[
        list[str], "nodes whose multiply-accumulates are not known; with any, totals are lower bounds"
    ]
    ops: list[CostRow]
    nodes: Annotated[list[CostRow], "the same for each node"]


class SizesAxis(TypedDict):
    modulus: Annotated[int, "sizes recur with this period; 0: only those in `residues` fit"]
    residues: Annotated[list[int], "N mod modulus is one of these; empty: no size fits"]
    minimum: Annotated[int, "the smallest that fits"]
    rule: Annotated[str, "the same as text"]
    nearest: Annotated[list[Any], "fitting sizes nearest to `near`"]
    size: Annotated[int, "the network's own size"]
    fits: Annotated[bool, "whether that fits"]
    conflict: Annotated[str, "node for which no size fits, else empty"]


class SizesOfInput(TypedDict):
    input: list[int]
    nearest: list[Any]
    l: NotRequired[SizesAxis]
    d: NotRequired[SizesAxis]
    h: NotRequired[SizesAxis]
    w: NotRequired[SizesAxis]


class SizesByInput(TypedDict):
    """striate.sizes/1 of a network with several inputs."""

    schema: str
    near: int
    inputs: dict[Name, SizesOfInput]


class Sizes(TypedDict):
    """`striate sizes MODEL --json`; one object for each axis of the input.

    A network with several inputs has `schema`, `near` and `inputs.NAME` instead, which holds the other keys for each
    input with height and width. Inputs of the same size change together, as in a Siamese network.
    """

    schema: Annotated[str, "`striate.sizes/1`"]
    input: Annotated[list[int], "the network's own input"]
    near: Annotated[int, "the requested size, else the input's longest side"]
    nearest: Annotated[list[Any], "sizes nearest to it that fit all axes"]
    l: NotRequired[Annotated[SizesAxis, Key("AXIS")]]
    d: NotRequired[Annotated[SizesAxis, Key("AXIS")]]
    h: NotRequired[Annotated[SizesAxis, Key("AXIS")]]
    w: NotRequired[Annotated[SizesAxis, Key("AXIS")]]


class PixelMap(TypedDict):
    axes: Annotated[list[str], "axes of the map"]
    shape: Annotated[list[int], "its sizes"]
    pixels: Annotated[int, "how many pixels"]
    unread: Annotated[int, "pixels without a path"]
    corner: Annotated[int, "paths from the first pixel of every axis"]
    centre: Annotated[int, "paths from the center pixel"]
    most: Annotated[int, "paths from the most used pixel"]
    total: Annotated[int, "paths from all pixels"]
    corner_to_centre: Annotated[float | None, "null if the center has no path"]
    border_to_centre: Annotated[float | None, "mean of the outermost pixels over the center"]
    uniform: Annotated[bool, "whether every pixel is used equally often"]
    vectors: Annotated[
        list[list[int]] | None,
        "for each axis; their outer product is the map; null if the map is a sum, because of branches",
    ]
    counts: Annotated[list[Any] | None, "the map as nested lists; null beyond a million pixels"]


class PixelsHead(TypedDict):
    schema: Annotated[str, "`striate.pixels/1`"]
    name: Annotated[str, "the network's name"]
    to: Annotated[str, "node or outputs to which paths are counted"]


class Pixels(PixelsHead, PixelMap):
    """`striate pixels MODEL --json`

    A network with several inputs has `schema`, `name`, `to` and `inputs.NAME`, which holds the map of each input with
    height and width.
    """


class PixelsByInput(PixelsHead):
    """striate.pixels/1 of a network with several inputs."""

    inputs: dict[Name, PixelMap]


class _ModeHead(TypedDict):
    mode: Annotated[str, "padding given to every convolution"]
    output: Annotated[list[int], "output shape; this and the rest only if the network has an output"]


@final
class Mode(_ModeHead, PixelMap):
    """A padding and the map with it."""


@final
class FailedMode(TypedDict):
    mode: Annotated[str, "padding given to every convolution"]
    problem: Annotated[str, "reason why the network has no output"]


class ComparedPixels(TypedDict):
    """`striate pixels MODEL --compare --json`

    A network with several inputs has `inputs.NAME.modes` instead of `modes`.
    """

    schema: Annotated[str, "`striate.pixels-compare/1`"]
    name: Annotated[str, "the network's name"]
    modes: list[Mode | FailedMode]
    input: NotRequired[Annotated[str, "of several inputs, the one whose pixels are meant"]]


class ModesOfInput(TypedDict):
    modes: list[Mode | FailedMode]


class ComparedByInput(TypedDict):
    """striate.pixels-compare/1 of a network with several inputs."""

    schema: str
    name: str
    inputs: dict[Name, ModesOfInput]


class DiffSide(TypedDict):
    name: Annotated[str, "the first network (`b`: the second, with the same keys)"]
    inputs: Annotated[dict[Name, list[int]], "shape of each input"]
    totals: Annotated[Totals, "as in `striate.show/1`"]
    convention: Annotated[str, "how MACs are counted"]
    nodes: Annotated[int, "number of nodes with an output"]


class ChangedNode(TypedDict):
    a: Annotated[str, "the node's name in A"]
    b: Annotated[str, "and in B"]
    facts: Annotated[
        dict[str, Any], "key of `striate.show/1` (`field`: receptive field) to `[before, after]`"
    ]


class LoneNode(TypedDict):
    name: Annotated[str, "node only in A"]
    text: Annotated[str, "its op"]
    sizes: Annotated[list[str], "its outputs"]
    params: Annotated[int, "its parameters"]
    macs: Annotated[int, "its MACs"]


class Diff(TypedDict):
    """`striate diff A B --json`"""

    schema: Annotated[str, "`striate.diff/1`"]
    a: DiffSide
    b: Annotated[DiffSide, "the same"]
    changed: list[ChangedNode]
    removed: list[LoneNode]
    added: Annotated[list[LoneNode], "the same for nodes only in B"]
    unchanged: Annotated[int, "nodes that are equal in both"]
    gone: Annotated[list[Finding], "findings only in A, as in `striate.show/1`"]
    come: Annotated[list[Finding], "findings only in B"]
