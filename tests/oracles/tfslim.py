"""The TF-Slim networks whose receptive fields and FLOPs were published, whole, as their papers and slim define them.

Padding is TensorFlow's: SAME puts the odd pixel at the end. Only what reaches the measured endpoints is built.
"""

import math
from collections.abc import Callable, Sequence

from striate.analysis import analyze
from striate.network import Builder, Network, Ref
from striate.ops.activation import Relu
from striate.ops.conv import Conv
from striate.ops.merge import Add, Concat
from striate.ops.pool import AvgPool, MaxPool
from striate.ops.reshape import Identity

Size = int | tuple[int, int]


class Slim:
    """A builder that speaks slim: convolutions, pools, branches; `end` names what was reached, as the table does."""

    def __init__(self, name: str, resolution: int) -> None:
        self.bias = True  # Off where the published count was made with batch norm.
        self.build = Builder(name, input=(3, resolution, resolution))
        self.x = self.build.input
        self.ends: dict[str, str] = {}

    def conv(
        self, filters: int, kernel: Size, stride: int = 1, padding: str | int = "same", end: str = ""
    ) -> None:
        self.x = self._conv(self.x, filters, kernel, stride, padding)
        self._end(end)

    def pool(self, kernel: int, stride: int, padding: str = "valid", end: str = "") -> None:
        self.x = self.build(MaxPool(kernel, stride, padding), self.x)
        self._end(end)

    def depthwise(self, kernel: int, stride: int = 1, multiplier: int = 1, end: str = "") -> None:
        filters = self.x.spec.channels * multiplier
        bias = (
            self.bias and multiplier == 1
        )  # In slim's separable convolution only the pointwise half has one.
        conv = Conv(filters, kernel, stride, "same", groups="depthwise", bias=bias)
        self.x = self.build(conv, self.x)
        self._end(end)

    def mixed(self, *branches: Sequence[Sequence[object]], end: str = "") -> None:
        """Branches side by side, joined along the channels; a branch is a list of steps, see `_step`."""
        self.x = self._mixed(self.x, branches)
        self._end(end)

    def residual(self, *branches: Sequence[Sequence[object]], end: str = "") -> None:
        """Branches, joined and brought to the input's depth by a 1x1 convolution, scaled, added."""
        inner = self._conv(self._mixed(self.x, branches), self.x.spec.channels, 1)
        self.x = self.build(Add(), self.x, self.build(Identity(), inner, name=f"{inner.name}_scaled"))
        self._end(end)

    def bottleneck(self, depth: int, stride: int, end: str = "") -> None:
        inner = self._conv(self._conv(self.x, depth, 1), depth, 3, stride, "same" if stride == 1 else 1)
        inner = self._conv(inner, 4 * depth, 1)
        if self.x.spec.channels == 4 * depth:
            shortcut = self.x if stride == 1 else self.build(MaxPool(1, stride), self.x)
        else:
            shortcut = self._conv(self.x, 4 * depth, 1, stride)
        self.x = self.build(Add(), shortcut, inner)
        self._end(end)

    def network(self) -> Network:
        return self.build.build(self.x)

    def _end(self, name: str) -> None:
        if name:
            self.ends[name] = self.x.name

    def _conv(self, x: Ref, filters: int, kernel: Size, stride: int = 1, padding: str | int = "same") -> Ref:
        return self.build(Relu(), self.build(Conv(filters, kernel, stride, padding, bias=self.bias), x))

    def _mixed(self, x: Ref, branches: Sequence[Sequence[Sequence[object]]]) -> Ref:
        ends = []
        for branch in branches:
            y = x
            for step in branch:
                y = self._step(y, *step)
            ends.append(y)
        return self.build(Concat(), *ends) if len(ends) > 1 else ends[0]

    def _step(self, x: Ref, kind: object, *rest: object) -> Ref:
        """("max", stride, padding), ("avg",), ("fork", conv, conv), or (filters, kernel, stride, padding)."""
        if kind == "max":
            return self.build(MaxPool(3, *rest), x)
        if kind == "avg":
            return self.build(AvgPool(3, 1, "same", count_include_pad=False), x)
        if kind == "fork":
            return self._mixed(x, [[conv] for conv in rest])
        return self._conv(x, kind, *rest)


def alexnet_v2(net: Slim) -> None:
    net.conv(64, 11, 4, "valid", end="conv1")
    net.pool(3, 2, end="pool1")
    net.conv(192, 5, end="conv2")
    net.pool(3, 2, end="pool2")
    for at, filters in enumerate((384, 384, 256), 3):
        net.conv(filters, 3, end=f"conv{at}")
    net.pool(3, 2, end="pool5")


def _vgg(net: Slim, repeats: Sequence[int]) -> None:
    for block, (times, filters) in enumerate(zip(repeats, (64, 128, 256, 512, 512), strict=True), 1):
        for at in range(times):
            net.conv(filters, 3, end=f"conv{block}/conv{block}_{at + 1}")
        net.pool(2, 2, end=f"pool{block}")


def vgg_a(net: Slim) -> None:
    _vgg(net, (1, 1, 2, 2, 2))


def vgg_16(net: Slim) -> None:
    _vgg(net, (2, 2, 3, 3, 3))


def mobilenet_v1(net: Slim, width: float = 1.0) -> None:
    net.conv(int(32 * width), 3, 2, end="Conv2d_0")
    steps = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
    for at, (filters, stride) in enumerate(steps, 1):
        net.depthwise(3, stride)
        net.conv(int(filters * width), 1, end=f"Conv2d_{at}_pointwise")


def mobilenet_v1_075(net: Slim) -> None:
    mobilenet_v1(net, 0.75)


def _resnet(net: Slim, units: Sequence[int]) -> None:
    net.bias = False
    net.conv(64, 7, 2, 3)
    net.pool(3, 2, "same")
    for block, (times, depth) in enumerate(zip(units, (64, 128, 256, 512), strict=True), 1):
        for at in range(times):
            last = at == times - 1
            net.bottleneck(depth, 2 if last and block < 4 else 1, end=f"block{block}" if last else "")


def resnet_v1(*units: int) -> Callable[[Slim], None]:
    return lambda net: _resnet(net, units)


def inception_v2(net: Slim) -> None:
    net.depthwise(7, 2, multiplier=8)
    net.conv(64, 1, end="Conv2d_1a_7x7")
    net.pool(3, 2, "same", end="MaxPool_2a_3x3")
    net.conv(64, 1, end="Conv2d_2b_1x1")
    net.conv(192, 3, end="Conv2d_2c_3x3")
    net.pool(3, 2, "same", end="MaxPool_3a_3x3")

    def mixed(
        name: str, a: int, b: tuple[int, int], c: tuple[int, int], pooled: int, kind: str = "avg"
    ) -> None:
        pool = (kind,) if kind == "avg" else (kind, 1, "same")
        net.mixed(
            [(a, 1)], [(b[0], 1), (b[1], 3)], [(c[0], 1), (c[1], 3), (c[1], 3)], [pool, (pooled, 1)], end=name
        )

    def reduction(name: str, b: tuple[int, int], c: tuple[int, int]) -> None:
        pool = ("max", 2, "same")
        net.mixed([(b[0], 1), (b[1], 3, 2)], [(c[0], 1), (c[1], 3), (c[1], 3, 2)], [pool], end=name)

    mixed("Mixed_3b", 64, (64, 64), (64, 96), 32)
    mixed("Mixed_3c", 64, (64, 96), (64, 96), 64)
    reduction("Mixed_4a", (128, 160), (64, 96))
    mixed("Mixed_4b", 224, (64, 96), (96, 128), 128)
    mixed("Mixed_4c", 192, (96, 128), (96, 128), 128)
    mixed("Mixed_4d", 160, (128, 160), (128, 160), 96)
    mixed("Mixed_4e", 96, (128, 192), (160, 192), 96)
    reduction("Mixed_5a", (128, 192), (192, 256))
    mixed("Mixed_5b", 352, (192, 320), (160, 224), 128)
    mixed("Mixed_5c", 352, (192, 320), (192, 224), 128, "max")


def inception_v3(net: Slim) -> None:
    _stem(net)
    for pooled in (32, 64, 64):
        net.mixed([(64, 1)], [(48, 1), (64, 5)], [(64, 1), (96, 3), (96, 3)], [("avg",), (pooled, 1)])
    net.mixed([(384, 3, 2, "valid")], [(64, 1), (96, 3), (96, 3, 2, "valid")], [("max", 2, "valid")])
    for c in (128, 160, 160, 192):
        long = [(c, 1), (c, (7, 1)), (c, (1, 7)), (c, (7, 1)), (192, (1, 7))]
        net.mixed([(192, 1)], [(c, 1), (c, (1, 7)), (192, (7, 1))], long, [("avg",), (192, 1)])
    net.mixed(
        [(192, 1), (320, 3, 2, "valid")],
        [(192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3, 2, "valid")],
        [("max", 2, "valid")],
    )
    for _ in range(2):
        fork = ("fork", (384, (1, 3)), (384, (3, 1)))
        net.mixed([(320, 1)], [(384, 1), fork], [(448, 1), (384, 3), fork], [("avg",), (192, 1)])


def _stem(net: Slim) -> None:
    """Shared by Inception v3 and Inception-ResNet v2."""
    net.conv(32, 3, 2, "valid")
    net.conv(32, 3, 1, "valid")
    net.conv(64, 3)
    net.pool(3, 2)
    net.conv(80, 1)
    net.conv(192, 3, 1, "valid")
    net.pool(3, 2)


def inception_v4(net: Slim) -> None:
    net.conv(32, 3, 2, "valid")
    net.conv(32, 3, 1, "valid")
    net.conv(64, 3)
    net.mixed([("max", 2, "valid")], [(96, 3, 2, "valid")])
    net.mixed([(64, 1), (96, 3, 1, "valid")], [(64, 1), (64, (1, 7)), (64, (7, 1)), (96, 3, 1, "valid")])
    net.mixed([(192, 3, 2, "valid")], [("max", 2, "valid")])
    for _ in range(4):
        net.mixed([(96, 1)], [(64, 1), (96, 3)], [(64, 1), (96, 3), (96, 3)], [("avg",), (96, 1)])
    net.mixed([(384, 3, 2, "valid")], [(192, 1), (224, 3), (256, 3, 2, "valid")], [("max", 2, "valid")])
    for _ in range(7):
        long = [(192, 1), (192, (7, 1)), (224, (1, 7)), (224, (7, 1)), (256, (1, 7))]
        net.mixed([(384, 1)], [(192, 1), (224, (1, 7)), (256, (7, 1))], long, [("avg",), (128, 1)])
    net.mixed(
        [(192, 1), (192, 3, 2, "valid")],
        [(256, 1), (256, (1, 7)), (320, (7, 1)), (320, 3, 2, "valid")],
        [("max", 2, "valid")],
    )
    for _ in range(3):
        fork = ("fork", (256, (1, 3)), (256, (3, 1)))
        long = [(384, 1), (448, (3, 1)), (512, (1, 3)), fork]
        net.mixed([(256, 1)], [(384, 1), fork], long, [("avg",), (256, 1)])


def inception_resnet_v2(net: Slim) -> None:
    _stem(net)
    net.mixed([(96, 1)], [(48, 1), (64, 5)], [(64, 1), (96, 3), (96, 3)], [("avg",), (64, 1)])
    for _ in range(10):
        net.residual([(32, 1)], [(32, 1), (32, 3)], [(32, 1), (48, 3), (64, 3)])
    net.mixed([(384, 3, 2, "valid")], [(256, 1), (256, 3), (384, 3, 2, "valid")], [("max", 2, "valid")])
    for _ in range(20):
        net.residual([(192, 1)], [(128, 1), (160, (1, 7)), (192, (7, 1))])
    net.mixed(
        [(256, 1), (384, 3, 2, "valid")],
        [(256, 1), (288, 3, 2, "valid")],
        [(256, 1), (288, 3), (320, 3, 2, "valid")],
        [("max", 2, "valid")],
    )
    for _ in range(10):
        net.residual([(192, 1)], [(192, 1), (224, (1, 3)), (256, (3, 1))])
    net.conv(1536, 1, end="Conv2d_7b_1x1")


NETS: dict[str, Callable[[Slim], None]] = {
    "alexnet_v2": alexnet_v2,
    "vgg_a": vgg_a,
    "vgg_16": vgg_16,
    "mobilenet_v1": mobilenet_v1,
    "mobilenet_v1_075": mobilenet_v1_075,
    "inception_v2": inception_v2,
    "inception_v3": inception_v3,
    "inception_v4": inception_v4,
    "inception_resnet_v2": inception_resnet_v2,
    "resnet_v1_50": resnet_v1(3, 4, 6, 3),
    "resnet_v1_101": resnet_v1(3, 4, 23, 3),
    "resnet_v1_152": resnet_v1(3, 8, 36, 3),
    "resnet_v1_200": resnet_v1(3, 24, 36, 3),
}


def profiled_flops(net: Network) -> dict[str, int]:
    """Node -> FLOPs of the network up to it, as TensorFlow's profiler counted when the tables were made.

    Two per multiplication, one per bias added and per element scaled, one per tap of a pool; sums were not counted.
    """
    total, running = 0, {}
    for facts in analyze(net).nodes:
        elements = facts.output.elements
        if facts.op == "conv":
            total += 2 * facts.macs + elements * net.node(facts.name).op.bias
        elif facts.op in ("maxpool", "avgpool"):
            total += elements * math.prod(window.kernel for window in facts.windows.values())
        elif facts.op == "identity":
            total += elements
        running[facts.name] = total
    return running


def slim(name: str, resolution: int) -> tuple[Network, dict[str, str]]:
    """A network at a resolution, and its endpoints: name in the table -> value."""
    net = Slim(name, resolution)
    NETS[name](net)
    return net.network(), net.ends
