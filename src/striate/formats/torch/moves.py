"""Rules for aten operators that only move entries; `rules` defines the form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from striate.formats.importing import need
from striate.formats.peephole import LOWEST
from striate.formats.torch.rules import (
    OPERATORS,
    Ref,
    Rule,
    axis_of,
    broadcast,
    full,
    maps,
    ref,
    rename_axes,
    standard,
)
from striate.formats.torch.tracing import Constant
from striate.ops import merge, reshape
from striate.ops.gather import Gather
from striate.ops.scalar import Affine, Clip
from striate.ops.upsample import Upsample

if TYPE_CHECKING:
    from striate.formats.torch.importing import Site


def _reshape(site: Site, x: Any, *_: Any, **__: Any) -> Any:
    """Reshape to torch's shape."""
    value = ref(x)
    shape = site.shape[1:]
    if shape == value.spec.shape[1:]:
        return value
    return site.node(reshape.Flatten() if len(shape) == 1 else reshape.Reshape(shape), value)


OPERATORS |= dict.fromkeys(
    ("view", "reshape", "flatten", "squeeze", "unsqueeze", "unflatten", "_unsafe_view", "view_as", "reshape_as"),
    _reshape,
)  # fmt: skip


@maps("permute")
def _permute(site: Site, x: Any, order: Any) -> Ref:
    value = ref(x)
    axes = value.spec.axes
    places = [d % len(axes) for d in order]
    need(places[0] == 0, "the batch does not stay first")
    letters = "".join(axes[d] for d in places[1:])
    return value if letters == "".join(axes[1:]) else site.node(reshape.Permute(letters), value)


@maps("transpose", "swapaxes")
def _transpose(site: Site, x: Any, one: int, other: int) -> Ref:
    order = list(range(len(ref(x).spec.axes)))
    order[one], order[other] = order[other], order[one]
    return _permute(site, x, order)  # type: ignore[no-any-return]


@maps("movedim")
def _movedim(site: Site, x: Any, source: Any, target: Any) -> Ref:
    rank = len(ref(x).spec.axes)
    need(isinstance(source, int) and isinstance(target, int), "several axes moved at once")
    order = [d for d in range(rank) if d != source % rank]
    order.insert(target % rank, source % rank)
    return _permute(site, x, order)  # type: ignore[no-any-return]


@maps("cat", "concat")
def _cat(site: Site, parts: Any, dim: int = 0) -> Ref:
    values = [ref(part) for part in parts]
    values = [rename_axes(site, value, values[0].spec.axes) for value in values]
    axis = axis_of(values[0], dim)
    return values[0] if len(values) == 1 else site.node(merge.Concat(axis), *values)


@maps("stack")
def _stack(site: Site, parts: Any, dim: int = 0) -> Ref:
    """Concatenate along a new axis."""
    rank = len(site.shape)
    at = dim % rank
    need(at, "stacked before the batch")
    shape = tuple(1 if k == at else n for k, n in enumerate(site.shape))[1:]
    wider = [site.node(reshape.Reshape(shape), ref(part)) for part in parts]
    return _cat(site, wider, at)  # type: ignore[no-any-return]


@maps("index_select")
def _index_select(site: Site, x: Any, dim: int, entries: Any) -> Ref:
    need(isinstance(entries, Constant), "computed indices")
    return _gather(site, ref(x), dim, entries.tensor.tolist())


@maps("index")
def _index(site: Site, x: Any, places: Any) -> Ref:
    """Index one axis; the others stay."""
    at = [d for d, entries in enumerate(places) if entries is not None]
    single_axis = len(at) == 1 and isinstance(places[at[0]], Constant) and places[at[0]].tensor.ndim == 1
    need(single_axis, "indices on several axes, or computed ones")
    entries = places[at[0]].tensor
    need(not entries.is_floating_point() and entries.dtype.itemsize > 1, "indices from a mask")
    return _gather(site, ref(x), at[0], entries.tolist())


@maps("flip")
def _flip(site: Site, x: Any, dims: Any) -> Ref:
    value = ref(x)
    for dim in dims:
        value = _gather(site, value, dim, range(value.spec.shape[dim])[::-1])
    return value


@maps("roll")
def _roll(site: Site, x: Any, shifts: Any, dims: Any = ()) -> Ref:
    value = ref(x)
    need(dims, "a roll of the flattened tensor")
    for shift, dim in zip(shifts, dims):
        size = value.spec.shape[dim]
        value = _gather(site, value, dim, [(k - shift) % size for k in range(size)])
    return value


@maps("repeat", "tile")
def _repeat(site: Site, x: Any, times: Any) -> Ref:
    value = ref(x)
    need(len(times) == len(value.spec.axes) and times[0] == 1, "images repeated along the batch, or new axes")
    for dim, count in enumerate(times):
        value = _gather(site, value, dim, [*range(value.spec.shape[dim])] * count) if count > 1 else value
    return value


@maps("repeat_interleave")
def _repeat_interleave(site: Site, x: Any, count: Any, dim: Any = None, **_: Any) -> Ref:
    value = ref(x)
    need(isinstance(count, int) and dim is not None, "one count per entry, or no axis")
    return _gather(site, value, dim, [k for k in range(value.spec.shape[dim]) for _ in range(count)])


def _gather(site: Site, x: Ref, dim: int, entries: Any) -> Ref:
    """Gather entries of one axis, in the given order."""
    axis, size = axis_of(x, dim), x.spec.shape[dim]
    return site.node(Gather(tuple(int(k) % size for k in entries), axis), x)


@maps("slice_scatter", "select_scatter")
def _scatter(
    site: Site, x: Any, source: Any, dim: int = 0, start: Any = None, stop: Any = None, step: int = 1
) -> Ref:
    """Replace some entries of one axis, as `x[:, :4] = y` does."""
    dim %= len(site.shape)
    need(dim, "it acts on the batch axis")
    if site.operator == "select_scatter":
        stop = None if start == -1 else start + 1
    size = site.shape[dim]
    places = range(size)[slice(start, None if stop is None or stop >= size else stop, step)]
    part = tuple(len(places) if k == dim else n for k, n in enumerate(site.shape))[1:]
    if isinstance(source, Constant):
        value = ref(x)
        update = constant_like(site, value, part, source)
    else:
        values = ref(source)
        if values.spec.shape[1:] != part:
            values = site.node(reshape.Reshape(part) if len(part) > 1 else reshape.Flatten(), values)
        value = constant_like(site, values, site.shape[1:], x) if isinstance(x, Constant) else ref(x)
        update = rename_axes(site, values, value.spec.axes)
    return _overwrite(site, value, update, value.spec.axes[dim], places)


def _overwrite(site: Site, x: Ref, part: Ref, axis: str, places: range) -> Ref:
    """Replace the entries at these positions of an axis by those of `part`."""
    size = x.spec.size(axis)
    if len(places) == size:
        return part
    if places.step == 1:
        pieces = [part]
        if places[0] > 0:
            pieces.insert(0, site.node(reshape.Slice(axis, stop=places[0]), x))
        if places[-1] + 1 < size:
            pieces.append(site.node(reshape.Slice(axis, start=places[-1] + 1), x))
        return site.node(merge.Concat(axis), *pieces)
    both = site.node(merge.Concat(axis), x, part)
    entries = list(range(size))
    for at, place in enumerate(places):
        entries[place] = size + at
    return site.node(Gather(tuple(entries), axis), both)


def constant_like(site: Site, x: Ref, shape: Sequence[int], constant: Constant) -> Ref:
    """A value of this shape (without the batch) that holds a constant, for any x."""
    for axis, target in zip(x.spec.axes[1:], shape):
        if x.spec.size(axis) > target:
            x = site.node(reshape.Slice(axis, stop=target), x)
        elif x.spec.size(axis) < target:
            x = site.node(Gather((0,) * target, axis), x)
    is_number = constant.tensor.numel() == 1 and not site.learned(constant)
    number = float(constant.tensor) if is_number else 0.0
    value = site.node(Clip(number, number), x)
    if is_number:
        return value
    wide = (1,) * (len(shape) + 1 - constant.tensor.ndim) + tuple(constant.tensor.shape)
    need(len(wide) == len(shape) + 1 and wide[0] == 1, "a tensor with a batch axis, or of higher rank")
    parameter = constant.tensor.float() if constant.tensor.ndim else constant.tensor.float().reshape(1)
    op = Affine(bias=tuple(parameter.shape), learned=site.learned(constant))
    return site.node(op, value, bias=Constant(parameter, constant.name))


@maps("copy")
def _copy(site: Site, x: Any, source: Any, *_: Any) -> Ref:
    """A copy over all of x."""
    shape = site.shape[1:]
    if isinstance(source, Constant):
        return constant_like(site, ref(x), shape, source)
    values = full(site, ref(source))
    return broadcast(
        site, values if isinstance(x, Constant) else rename_axes(site, values, ref(x).spec.axes), shape
    )


@maps("fill", "zero")
def _fill(site: Site, x: Any, number: Any = 0.0) -> Any:
    import torch

    if isinstance(number, int | float):
        number = Constant(torch.tensor(float(number)), "")
    need(isinstance(number, Constant), "filled with a computed value")
    return constant_like(site, ref(x), site.shape[1:], number)


@maps("slice", "narrow")
def _slice(site: Site, x: Any, dim: int = 0, start: Any = None, stop: Any = None, step: int = 1) -> Ref:
    value = ref(x)
    if site.operator == "narrow":
        stop = start + stop
    axis, size = value.spec.axes[dim], value.spec.shape[dim]
    start, stop = start or 0, None if stop is None or stop >= size else stop
    if (start, step) == (0, 1) and (stop is None or axis == "N"):
        return value
    return site.node(reshape.Slice(axis_of(value, dim), start=start, stop=stop, step=step), value)


@maps("select")
def _select(site: Site, x: Any, dim: int, at: int) -> Any:
    stop = None if at == -1 else at + 1
    return _reshape(site, _slice(site, x, dim, at, stop))


@maps("chunk", "split", "split_with_sizes", "tensor_split")
def _split(site: Site, x: Any, _parts: Any, dim: int = 0) -> Any:
    """Split; the sizes come from torch's outputs."""
    value = ref(x)
    axis = axis_of(value, dim)
    sizes = [shape[dim] for shape in site.shapes]
    if len(sizes) == 1:
        return [value]
    if axis == "C":
        equal = len(set(sizes)) == 1
        op = reshape.Split(len(sizes)) if equal else reshape.Split(len(sizes), sizes=tuple(sizes))
        return site.nodes(op, value)
    ends = [sum(sizes[: k + 1]) for k in range(len(sizes))]
    return [
        site.node(reshape.Slice(axis, start=end - size, stop=None if end == ends[-1] else end), value)
        for end, size in zip(ends, sizes)
    ]


@maps("unbind")
def _unbind(site: Site, x: Any, dim: int = 0) -> Any:
    value = ref(x)
    return [_reshape(site, _slice(site, value, dim, k, k + 1)) for k in range(value.spec.shape[dim])]


@maps("pad", "constant_pad_nd", "reflection_pad1d", "reflection_pad2d", "reflection_pad3d", "replication_pad1d",
      "replication_pad2d", "replication_pad3d", "_pad_circular")  # fmt: skip
def _pad(site: Site, x: Any, sides: Any, *rest: Any, **options: Any) -> Ref:
    mode, fill = "constant", 0.0
    match site.operator.split("_")[0]:
        case "pad":
            settings = dict(zip(("mode", "value"), rest)) | options
            mode, fill = settings.get("mode", "constant"), settings.get("value") or 0.0
        case "constant":
            fill = rest[0] if rest else options.get("value", 0.0)
        case "reflection":
            mode = "reflect"
        case "replication":
            mode = "replicate"
        case _:
            mode = "circular"
    value = standard(site, x)
    need(value.spec.spatial, "a padded vector")
    for k, (before, after) in enumerate(zip(sides[::2], sides[1::2])):
        if before < 0 or after < 0:  # negative padding cuts
            dim = len(value.spec.axes) - 1 - k
            value = _slice(site, value, dim, max(-before, 0), value.spec.shape[dim] + min(after, 0))
    sides = [max(side, 0) for side in sides]
    rank = len(value.spec.spatial)
    pairs = [(int(a), int(b)) for a, b in zip(sides[::2], sides[1::2])][::-1]
    pairs = [(0, 0)] * (rank - len(pairs)) + pairs
    channels = pairs[-rank - 1] if len(pairs) > rank else (0, 0)
    need(len(pairs) <= rank + 1, "a padded batch")
    need(
        not any(channels) or (mode == "constant" and not fill), "channels padded with a mode other than zeros"
    )
    if not any(any(pair) for pair in pairs):
        return value
    modes = {"constant": "zeros"}.get(mode, mode)
    op = reshape.Pad(tuple(pairs[-rank:]), mode=modes, value=max(float(fill), LOWEST), channels=channels)
    return site.node(op, value)


@maps("channel_shuffle", "native_channel_shuffle")
def _channel_shuffle(site: Site, x: Any, groups: int) -> Ref:
    return site.node(reshape.ChannelShuffle(groups), standard(site, x))


@maps("pixel_shuffle")
def _pixel_shuffle(site: Site, x: Any, factor: int) -> Ref:
    return site.node(reshape.PixelShuffle(factor), standard(site, x))


@maps("pixel_unshuffle")
def _pixel_unshuffle(site: Site, x: Any, factor: int) -> Ref:
    return site.node(reshape.PixelUnshuffle(factor), standard(site, x))


def _upsample(method: str) -> Rule:
    def rule(site: Site, x: Any, size: Any, *rest: Any, **options: Any) -> Ref:
        value = standard(site, x)
        corners = bool(rest[0]) if method != "nearest" else False
        factors = [f for r in (rest[1:] if method != "nearest" else rest, options.values())
                   for f in (r if not isinstance(r, Mapping) else ())]  # fmt: skip
        scales = [f for factor in factors for f in (factor if isinstance(factor, tuple) else (factor,)) if f]
        if size is None or (scales and len(set(scales)) == 1 and not corners):
            need(len(set(scales)) == 1, "a different scale for each axis")
            scale = float(scales[0])
            pairs = list(zip(value.spec.spatial, site.shape[2:], strict=True))
            if corners or all(_steps(n, m, scale, method) == 1 / scale for n, m in pairs):
                return site.node(Upsample(scale=scale, method=method, align_corners=corners), value)
            integral = all(_steps(n, m, scale, method) * m == n for n, m in pairs)
            need(integral, "a scale that keeps the size of an axis, which torch copies")
        return site.node(Upsample(size=site.shape[2:], method=method, align_corners=corners), value)

    return rule


def _steps(size: int, output_size: int, scale: float, method: str) -> float:
    """Inputs per output in torch: nearest and linear copy an axis that keeps its size, whatever the scale, and nearest
    duplicates entries if an axis doubles.
    """
    if output_size == size and method != "bicubic":
        return 1.0
    return 0.5 if output_size == 2 * size and method == "nearest" else 1 / scale


for _name in ("upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d"):
    OPERATORS[_name] = _upsample("nearest")
for _name in ("upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d"):
    OPERATORS[_name] = _upsample("bilinear")
OPERATORS["upsample_bicubic2d"] = _upsample("bicubic")
