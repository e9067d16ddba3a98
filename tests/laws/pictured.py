"""Networks whose pictures are hard to lay out: branches of every shape, many nodes, failing layers, hostile names."""

import itertools

import striate
from striate.network import Builder
from striate.ops import (
    Add,
    Concat,
    Conv,
    ConvTranspose,
    Flatten,
    GlobalAvgPool,
    Linear,
    MaxPool,
    Relu,
    Split,
    Upsample,
)

FORMS = [
    {"kind": "blocks"},
    {"kind": "blocks", "cost": True, "fold": False},
    {"kind": "graph"},
    {"kind": "graph", "fold": False},
    {"kind": "graph", "direction": "right"},
    {"kind": "graph", "direction": "right", "fold": False},
]
HOSTILE = [
    "<script>alert(1)</script>",
    "\"quoted\" & 'single'",
    "\u202eright to left\u05d0\u05d1\u05d2",
    "\u0627\u0644\u0634\u0628\u0643\u0629",
    "a\x00b\x1b[31m\n\tc",
    "]]>--><!-- x",
    "long" * 75,
    "\u6d41\u6c34 \U0001f9e0",
    "W" * 300,
]


def conv(b, x, filters=8, kernel=3, **options):
    return b(Relu(), b(Conv(filters, kernel=kernel, padding=kernel // 2, **options), x))


def dense(blocks=6):
    """Every block reads all before it."""
    b = Builder("dense", input=(8, 16, 16))
    every = [b.input]
    for _ in range(blocks):
        every.append(conv(b, b(Concat(), *every) if len(every) > 1 else every[0], 4))
    return b.build(b(Concat(), *every))


def inception(blocks=3):
    b = Builder("inception", input=(8, 16, 16))
    x = b.input
    for _ in range(blocks):
        x = b(Concat(), conv(b, x, 4, 1), conv(b, conv(b, x, 4, 1), 4, 3), conv(b, conv(b, x, 4, 1), 4, 5), x)
    return b.build(x)


def unet(depth=4):
    b = Builder("unet", input=(3, 64, 64))
    x, kept = b.input, []
    for level in range(depth):
        x = conv(b, conv(b, x, 4 << level), 4 << level)
        kept.append(x)
        x = b(MaxPool(2), x)
    x = conv(b, x, 4 << depth)
    for level in reversed(range(depth)):
        x = b(ConvTranspose(4 << level, kernel=2, stride=2), x)
        x = conv(b, b(Concat(), kept[level], x), 4 << level)
    return b.build(b(Conv(2, kernel=1), x))


def residual_unet(depth=3):
    """A U whose rows have ways of their own: residual blocks, an image that two read where it comes in."""
    b = Builder("residual unet", input=(3, 64, 64))
    x, kept = b.input, []

    def block(x, filters):
        y = conv(b, conv(b, x, filters), filters)
        return b(Add(), y, b(Conv(filters, kernel=1), x))

    for level in range(depth):
        x = block(x, 4 << level)
        kept.append(x)
        x = b(MaxPool(2), x)
    x = block(x, 4 << depth)
    for level in reversed(range(depth)):
        x = block(b(Concat(), kept[level], b(Upsample(2), x)), 4 << level)
    return b.build(b(Conv(2, kernel=1), x))


def pyramid():
    """Images of several sizes, each added to that of the size below: their ways lie inside each other."""
    b = Builder("pyramid", input=(3, 64, 64))
    x, kept = b.input, []
    for level in range(4):
        x = conv(b, conv(b, b(MaxPool(2), x), 8 << level), 8 << level)
        kept.append(x)
    y = b(Conv(8, kernel=1), x)
    found = [y]
    for side in reversed(kept[:-1]):
        y = b(Add(), b(Upsample(2), y), b(Conv(8, kernel=1), side))
        found.append(conv(b, y))
    return b.build(*found)


def siamese():
    b = Builder("siamese", input={"left": (3, 32, 32), "right": (3, 32, 32), "extra": (10,)})
    seen = []
    for name in ("left", "right"):
        x = b.inputs[name]
        for filters in (8, 16):
            x = b(MaxPool(2), conv(b, x, filters))
        seen.append(b(Flatten(), b(GlobalAvgPool(), x)))
    return b.build(b(Linear(2), b(Concat(), *seen, b.inputs["extra"])))


def outputs():
    """Several outputs, one in the middle."""
    b = Builder("outputs", input=(3, 32, 32))
    x = conv(b, b.input)
    y = conv(b, x)
    z = conv(b, y)
    return b.build(b(Linear(3), b(Flatten(), x)), y, b(Linear(4), b(Flatten(), b(GlobalAvgPool(), z))))


def hub(readers=12):
    """One value that many read."""
    b = Builder("hub", input=(4, 8, 8))
    x = conv(b, b.input, 4)
    made = [conv(b, x, 4) for _ in range(readers)]
    return b.build(b(Add(), *made, x))


def merges():
    """Merges of merges."""
    b = Builder("merges", input=(4, 8, 8))
    layer = [conv(b, b.input, 4) for _ in range(6)]
    while len(layer) > 1:
        layer = [b(Add(), one, other) for one, other in itertools.pairwise(layer)]
    return b.build(b(Add(), layer[0], b.input))


def residual(blocks=4, shortcut=3):
    b = Builder("residual", input=(8, 16, 16))
    x = b.input
    for k in range(blocks):
        same = b(Conv(8, kernel=1), x) if k % shortcut == 0 else x
        x = b(Add(), conv(b, conv(b, x)), same)
    return b.build(x)


def crossed():
    """Ways that leave and arrive in turn."""
    b = Builder("crossed", input=(4, 8, 8))
    line = [b.input]
    for _ in range(6):
        line.append(conv(b, line[-1], 4))
    one = b(Add(), conv(b, line[1], 4), line[4])
    other = b(Add(), conv(b, line[3], 4), line[6])
    return b.build(b(Add(), one, other, line[2]))


def split():
    """Nodes of several outputs."""
    b = Builder("split", input=(8, 8, 8))
    x = b.input
    for _ in range(3):
        one, other = b(Split(2), x)
        x = b(Concat(), one, conv(b, other, 4))
    return b.build(x)


def under():
    """A short way under one that begins in its middle, and a way of many parts."""
    b = Builder("under", input=(4, 8, 8))
    x = conv(b, b.input, 4, 5)
    z = b(Add(), x, conv(b, b.input, 4, 1))
    w = b(Add(), conv(b, conv(b, z, 4, 5), 4, 5), x)
    long = b.input
    for kernel in (1, 3, 5, 7, 1):
        long = conv(b, long, 4, kernel)
    for kernel in (1, 3, 5, 7, 1, 3, 5):
        w = conv(b, w, 4, kernel)
    return b.build(b(Add(), w, long))


def failing():
    b = Builder("failing", input=(3, 12, 12))
    x = conv(b, b.input)
    return b.build(b(Linear(2), b(Flatten(), b(Relu(), b(Conv(4, kernel=30), x)))))


def failing_merge():
    b = Builder("failing merge", input=(3, 13, 13))
    x = conv(b, b.input)
    return b.build(b(Relu(), b(Concat(), x, b(MaxPool(2), x))))


def many(count=1000):
    """A thousand nodes: residual blocks, dense ones, inception and long skips in turn."""
    b = Builder("many", input=(4, 8, 8))
    x, far = b.input, []
    while len(b._nodes) < count:
        x = b(Add(), conv(b, conv(b, x, 4), 4), x)
        x = conv(b, b(Concat(), conv(b, x, 4, 1), conv(b, x, 4, 3), conv(b, x, 4, 5)), 4, 1)
        far.append(x)
        if len(far) == 6:
            x, far = b(Add(), *far), []
    return b.build(x)


def named():
    """Names that somebody chose to hurt."""
    b = Builder(HOSTILE[0], input={f"in {HOSTILE[1]}": (3, 16, 16)})
    x = b.input
    for k, name in enumerate(HOSTILE):
        x = b(Conv(4, kernel=3, padding=1), x, name=name)
        x = b(Add(), x, b(Conv(4, kernel=1), x, name=f"{k}.{name}"))
    return b.build(x)


SHAPED = {
    "dense": dense, "inception": inception, "unet": unet,
    "residual unet": residual_unet, "pyramid": pyramid, "siamese": siamese, "outputs": outputs, "hub": hub,
    "merges": merges, "residual": residual, "crossed": crossed, "under": under, "split": split, "failing": failing,
    "failing merge": failing_merge,
    "signal": lambda: striate.parse("1d 1000x1 -> conv 9 8 /4 -> relu -> maxpool 2 -> tconv 4 2 /4"),
    "volume": lambda: striate.parse("16x32x32x1 -> conv 3 8 /2 pad 1 -> bn -> relu -> gap"),
    "vector": lambda: striate.parse("784 -> fc 300 -> relu -> fc 10"),
    "named": named,
}  # fmt: skip
"""Name to a function that makes the network."""
