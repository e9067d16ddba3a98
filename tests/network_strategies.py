"""Hypothesis strategies for ops and networks, drawn from the registry: an op is generated from its declaration."""

import dataclasses
import functools

from hypothesis import strategies as st

from striate.diagnostics import OpError, StriateError
from striate.geometry import PADDING_POLICIES
from striate.network import Builder, Network
from striate.op import Op, registry

TEXTS = st.sampled_from(
    ["CHW", "HWC", "WHC", "CL", "FusedConv", "shape", "com.ms::Op v2", 'a "quoted" → name']
)


def _sizes(meta, rank):
    one = st.integers(meta["least"], meta["least"] + 4)
    return one | st.tuples(*[one] * rank)


def _padding(meta, rank):
    sides = st.integers(0, 3)
    numbers = sides | st.tuples(*[sides] * rank) | st.tuples(*[st.tuples(sides, sides)] * rank)
    return numbers | st.sampled_from(PADDING_POLICIES) if meta["policies"] else numbers


def _whole(meta):
    least = meta["least"]
    return st.integers(-5, 5) if least is None else st.integers(least, least + 8)


def _floats(meta):
    low = -3.0 if meta["least"] is None else meta["least"]
    high = 3.0 if meta["most"] is None else meta["most"]
    return st.floats(low, high, allow_nan=False) | st.integers(max(0, int(low)), int(high))


def values(field: dataclasses.Field, rank: int) -> st.SearchStrategy:
    """Values that the declaration of a field allows, its default among them."""
    meta = field.metadata
    match meta["kind"]:
        case "sizes":
            some = _sizes(meta, rank)
        case "padding":
            some = _padding(meta, rank)
        case "count":
            some = _whole(meta) | (st.sampled_from(meta["also"]) if meta.get("also") else st.nothing())
        case "flag":
            some = st.booleans()
        case "choice":
            some = st.sampled_from(meta["options"])
        case "number":
            some = _floats(meta)
        case "ints":
            some = st.lists(_whole(meta), min_size=1, max_size=4).map(tuple)
        case "text":
            some = TEXTS
    return some if field.default is dataclasses.MISSING else some | st.just(field.default)


@functools.cache
def _classes(arity: int | None) -> list[type[Op]]:
    return sorted({cls for cls in registry().values() if cls.arity == arity}, key=lambda cls: cls.word)


@st.composite
def ops(draw, rank: int = 2, arity: int | None = 1) -> Op | None:
    """An op of any family for an input of `rank` spatial axes; None for fields that do not go together."""
    word = draw(st.sampled_from([w for w, c in sorted(registry().items()) if c in _classes(arity)]))
    cls = registry()[word]
    presets = cls.aliases.get(word, {})
    given = {f.name: draw(values(f, rank)) for f in dataclasses.fields(cls) if f.name not in presets}
    try:
        return cls(**{**presets, **given})
    except OpError:
        return None


@st.composite
def inputs(draw) -> tuple[int, ...]:
    """(C, L), (C, H, W) or (C, D, H, W)."""
    rank = draw(st.sampled_from([2, 2, 2, 1, 3]))
    return (draw(st.sampled_from([1, 2, 3, 4, 8])), *(draw(st.integers(4, 12)) for _ in range(rank)))


names = st.none() | st.sampled_from(
    ["stem", "layer1.0.conv1", "0.weight", "a b", "konvolution→", "conv2", "relu3", "x-y", "3x3"]
)


def _place(builder, op, refs, name):
    """The op after `refs`, or None where it does not match them. Nothing is left after then."""
    count, used = len(builder._nodes), set(builder._names)
    try:
        made = builder(op, *refs, name=name)
        for ref in made:
            _ = ref.spec
        return made
    except StriateError:
        del builder._nodes[count:]
        builder._names = used
        return None


@st.composite
def chains(draw, max_nodes: int = 8) -> Network:
    """A chain of one-input, one-output ops that fit."""
    shape = draw(inputs())
    builder = Builder(draw(st.sampled_from(["net", "tiny", "a b"])), input=shape)
    x = builder.input
    for _ in range(draw(st.integers(1, max_nodes))):
        op = draw(ops(rank=len(shape) - 1))
        if op is not None and op.output_count == 1:
            x = _place(builder, op, [x], draw(names)) or x
    if not builder._nodes:
        from striate.ops import Relu

        x = builder(Relu(), x)
    return builder.build(x)


@st.composite
def networks(draw, max_nodes: int = 8) -> Network:
    """A network with branches, merges and ops of several outputs."""
    shape = draw(inputs())
    builder = Builder("net", input=shape)
    made = [builder.input]
    for _ in range(draw(st.integers(1, max_nodes))):
        arity = draw(st.sampled_from([1, 1, 1, None, 2]))
        op = draw(ops(rank=len(shape) - 1, arity=arity))
        if op is None:
            continue
        count = arity or draw(st.integers(2, 3))
        refs = [made[draw(st.integers(max(0, len(made) - 3), len(made) - 1))] for _ in range(count)]
        made.extend(_place(builder, op, refs, draw(names)) or ())
    if len(made) == 1:
        from striate.ops import Relu

        made.append(builder(Relu(), builder.input))
    leaves = draw(st.lists(st.sampled_from(made[1:]), min_size=1, max_size=2, unique_by=lambda ref: ref.name))
    return builder.build(*leaves)


NAMES = st.sampled_from(
    [
        "a",
        "a.b",
        "a.0",
        "0",
        "1.1",
        "class",
        "x-y",
        "x y",
        "é",
        'a"b',
        "a'b",
        "a\\",
        '"""',
        "{0}",
        "#",
        "self",
        "%s",
        "->",
    ]
)


@st.composite
def renamed(draw, max_nodes: int = 5) -> Network:
    """A network with awkward names."""
    net = draw(networks(max_nodes=max_nodes))
    names = draw(st.lists(NAMES, min_size=len(net.nodes), max_size=len(net.nodes), unique=True))
    told = {}
    for node, name in zip(net.nodes, names):
        told[node.name] = name
        told.update((value, name + value[len(node.name) :]) for value in node.outputs)
    plain = net.to_dict()
    plain["name"] = draw(NAMES)
    plain["outputs"] = [told.get(value, value) for value in plain["outputs"]]
    for node in plain["nodes"]:
        node["name"], node["inputs"] = told[node["name"]], [told.get(v, v) for v in node["inputs"]]
    return Network.from_dict(plain)
