"""Small branched networks for laws that ask a quantity by two roads, and the pokes of the second road.

`counting` networks are sums of paths: with weights of one, an output is the number of paths that lead to it.
To count channels once, only the first filter of each group carries ones, save in front of a split or a pixel
shuffle, where every channel becomes a place of its own.
"""

import itertools

import numpy as np
from hypothesis import strategies as st

from striate.diagnostics import StriateError
from striate.engine.numpy_ import reference
from striate.network import Builder, Network, Ref
from striate.op import Op
from striate.ops.conv import Conv, ConvTranspose
from striate.ops.linear import Linear
from striate.ops.merge import Add, Concat, Crop, Multiply
from striate.ops.pool import AdaptiveAvgPool, AvgPool, GlobalAvgPool, LpPool, MaxPool
from striate.ops.reshape import ChannelShuffle, Flatten, Identity, Pad, PixelShuffle, Slice, Split
from striate.ops.upsample import Upsample

AXES = {1: "L", 2: "HW", 3: "DHW"}
MODES = st.sampled_from(["zeros", "zeros", "reflect", "replicate", "circular", "symmetric"])
LARGEST = {1: 90, 2: 12, 3: 5}
"""No axis grows longer: the reference interpreter is slow on purpose."""


def _sizes(rank: int, least: int, most: int) -> st.SearchStrategy:
    one = st.integers(least, most)
    return one | st.tuples(*[one] * rank)


def _pads(rank: int, most: int) -> st.SearchStrategy:
    one = st.integers(0, most)
    return one | st.tuples(*[st.tuples(one, one)] * rank)


@st.composite
def _convolutions(draw, rank: int) -> Op:
    policy = st.sampled_from(["same", "same_lower", "valid", "full", "half"])
    return Conv(
        filters=draw(st.sampled_from([1, 1, 2, 4])),
        kernel=draw(_sizes(rank, 1, 4)),
        stride=draw(_sizes(rank, 1, 3)),
        padding=draw(_pads(rank, 3) | policy),
        dilation=draw(_sizes(rank, 1, 2)),
        groups=draw(st.sampled_from([1, 1, 2])),
        bias=False,
        mode=draw(MODES),
    )


@st.composite
def _pools(draw, rank: int, make) -> Op:
    kernel = draw(st.integers(1, 4))
    pads = draw(_pads(rank, kernel // 2))
    return make(kernel, stride=draw(st.none() | _sizes(rank, 1, 3)), padding=pads, ceil=draw(st.booleans()))


@st.composite
def _spreads(draw, rank: int) -> Op:
    stride = draw(st.integers(1, 3))
    return ConvTranspose(
        1,
        kernel=draw(_sizes(rank, 1, 4)),
        stride=stride,
        padding=draw(_pads(rank, 1)),
        output_padding=draw(st.integers(0, stride - 1)),
        dilation=draw(st.integers(1, 2)),
        bias=False,
    )


def _slices(rank: int) -> st.SearchStrategy[Op]:
    """From the start or from the end, to an end or to the end; a slice from the end to an index has no fixed sense."""
    axis, step = st.sampled_from(AXES[rank]), st.integers(1, 2)
    stops = st.none() | st.integers(3, 6) | st.just(-1)
    return st.builds(Slice, axis, st.integers(0, 2), stops, step) | st.builds(
        Slice, axis, st.integers(-4, -2), st.none() | st.just(-1), step
    )


def _summing(rank: int) -> st.SearchStrategy[Op]:
    """Ops whose outputs are sums of inputs."""
    return st.one_of(
        _convolutions(rank),
        _convolutions(rank),
        _pools(rank, lambda *a, **k: LpPool(*a, p=1, **k)),
        _spreads(rank),
        _spreads(rank),
        st.builds(Upsample, st.sampled_from([0.5, 1.5, 2, 3])),
        st.builds(lambda m: Upsample(size=m), st.integers(1, 8)),
        st.builds(Pad, _pads(rank, 2), MODES),
        _slices(rank),
        st.builds(ChannelShuffle, st.just(2)),
    )


def _local(rank: int) -> st.SearchStrategy[Op]:
    """Ops that read a neighborhood in other ways, too."""
    return st.one_of(
        _summing(rank),
        _pools(rank, MaxPool),
        _pools(rank, AvgPool),
        st.builds(
            lambda scale, corners: Upsample(scale, method="bilinear", align_corners=corners),
            st.sampled_from([0.5, 2, 1.5]),
            st.booleans(),
        ),
        st.builds(AdaptiveAvgPool, _sizes(rank, 1, 4)),
    )


def suits(op: Op, *refs: Ref) -> bool:
    """Whether an op has an output of a modest size after these values, with no window that sees only padding."""
    try:
        declaration = op.declare(*(ref.spec for ref in refs))
    except StriateError:
        return False
    if isinstance(op, Slice) and max(-op.start, op.stop or 0) > refs[0].spec.size(op.axis):
        return False  # Ends that are not there say nothing about other sizes.
    sizes = [n for spec in declaration.outputs for n in spec.spatial]
    blind = any(w.padding_only() for w in declaration.windows.values() if hasattr(w, "padding_only"))
    return max(sizes, default=1) <= LARGEST.get(len(refs[0].spec.spatial), 1) and not blind


def _merge(draw, build: Builder, x: Ref, y: Ref, context: bool) -> Ref | None:
    """Two values in one, by a merge that suits them."""
    axes = AXES[len(x.spec.spatial)] if x.spec.spatial else ""
    merges = [Add(), Concat(), *(Concat(axis) for axis in axes)]
    ways = [(op, pair) for op in merges for pair in [(x, y)] if x.spec.spatial and suits(op, *pair)]
    if x.spec.shape != y.spec.shape:
        ways = [way for way in ways if not isinstance(way[0], Add)]  # Broadcasting is a law of its own.
        ways += [(Crop(), pair) for pair in [(x, y), (y, x)] if x.spec.spatial and suits(Crop(), *pair)]
    if context and x.spec.spatial:
        ways.append((Multiply(), (x, build(GlobalAvgPool(), x))))
    if not ways:
        return None
    op, pair = draw(st.sampled_from(ways))
    return build(op, *pair)


@st.composite
def networks(
    draw, rank: int = 2, kind: str = "counting", size: int | None = None, max_nodes: int = 6
) -> Network:
    """A branched network over one input; kind: counting (sums of paths), local, or context (global reads too)."""
    most = LARGEST[rank]
    shape = [size or draw(st.integers(3, most * 3 // 4)) for _ in range(rank)]
    build = Builder("net", input=(draw(st.sampled_from([1, 2])), *shape))
    made = [build.input]
    ops = _summing(rank) if kind == "counting" else _local(rank)
    for _ in range(draw(st.integers(1, max_nodes))):
        x = made[-1] if draw(st.integers(0, 2)) else draw(st.sampled_from(made))
        if not x.spec.spatial:
            break
        step = draw(st.sampled_from(["op", "op", "op", "residual", "merge", "split", "shuffle", "flat"]))
        if step == "op":
            op = draw(ops)
            if suits(op, x):
                made.append(build(op, x))
        elif step == "residual":
            same = Conv(
                x.spec.channels, draw(st.integers(1, 4)), padding="same", bias=False, mode=draw(MODES)
            )
            made.append(build(Add(), x, build(same, x)))
        elif step == "merge":
            merged = _merge(draw, build, x, draw(st.sampled_from(made)), kind == "context")
            made.extend([merged] if merged else [])
        elif step == "split":
            made.extend(build(Split(2), build(Conv(2, 1, bias=False), x)))
        elif step == "shuffle" and max(x.spec.spatial) * 2 <= most:
            made.append(build(PixelShuffle(2), build(Conv(2**rank, 1, bias=False), x)))
        elif step == "flat" and kind != "local":
            made.append(build(Linear(2, bias=False), build(Flatten(), x)))
    if len(made) == 1:
        made.append(build(Identity(), build.input))
    leaves = {draw(st.integers(1, len(made) - 1)), len(made) - 1}
    return build.build(*(made[leaf] for leaf in sorted(leaves)))


def ones(net: Network) -> dict[str, np.ndarray]:
    """Weights under which the outputs of a counting network are numbers of paths."""
    weights = {}
    for node in net.nodes:
        declaration = net.declarations[node.name]
        for parameter in declaration.parameters:
            array = np.zeros(parameter.shape)
            places = any(
                isinstance(reader.op, Split | PixelShuffle) for reader in net.consumers[node.outputs[0]]
            )
            groups = getattr(node.op, "groups", 1)
            if isinstance(node.op, ConvTranspose):
                array[:, 0] = 1
            else:
                array[:: 1 if places else parameter.shape[0] // groups] = 1
            weights[f"{node.name}.{parameter.name}"] = array
    return weights


def positive(net: Network) -> dict[str, np.ndarray]:
    """Weights, all positive: whatever is read shows in the output."""
    draw = np.random.default_rng(0)
    return {name: draw.uniform(0.5, 1.5, p.shape) for name, p in net.parameters.items()}


def pixels_of(net: Network) -> list[tuple[int, ...]]:
    return list(itertools.product(*map(range, net.input.spatial)))


def poked_paths(net: Network, values: tuple[str, ...]) -> np.ndarray:
    """Paths from every pixel of channel 0 to `values`, by running the network on one image per pixel."""
    places = pixels_of(net)
    images = np.zeros((len(places), *net.input.without_batch))
    for k, place in enumerate(places):
        images[(k, 0, *place)] = 1
    run = reference.predict(net, images, ones(net))
    total = sum(run[value].reshape(len(places), -1).sum(axis=1) for value in values)
    return total.reshape(net.input.spatial)


def poked_reads(net: Network, value: str) -> np.ndarray:
    """Boolean (input pixels …, units …): which pixel changes which unit, by raising every pixel in turn.

    With positive weights nothing cancels, and a raised pixel wins every maximum.
    """
    places = pixels_of(net)
    base = np.random.default_rng(1).uniform(0.5, 1.5, net.input.without_batch)
    images = np.repeat(base[None], len(places) + 1, axis=0)
    for k, place in enumerate(places):
        images[(k, slice(None), *place)] += 50
    out = reference.predict(net, images, positive(net))[value]
    changed = np.abs(out[:-1] - out[-1]) > 1e-9 * np.abs(out[-1])
    return changed.any(axis=1).reshape(*net.input.spatial, *out.shape[2:])
