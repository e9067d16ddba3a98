"""Graphs of random topology in machine code: skips over one node, a value used twice, sums of three, concatenations of
results, gates, slices, several outputs.

Each plan is replayed address by address, for inference and training, on a target that need not run here. One that runs
here then computes: values against the numpy engine in float64, gradients too, in memory that is filled with NaN.
"""

import random
import warnings

CHANNELS = (1, 2, 3, 6, 8, 16, 20, 32)
SIDES = (1, 2, 3, 5, 8, 9, 13)
LARGEST = 40_000
"""Numbers of a value, at most."""


class _Graph:
    """A network on its way. values: all so far that have height and width, the newest last."""

    def __init__(self, seed):
        from striate.network import Builder

        self.rng = random.Random(seed)
        shape = self.pick(CHANNELS), self.pick(SIDES), self.pick(SIDES)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # any order of sizes is meant
            self.build = Builder("graph", input=shape)
        self.values = [self.build.input]
        # In front of norms there are no biases: their gradients would be nothing but rounding.
        self.normed = self.rng.random() < 0.5

    def pick(self, options):
        return self.rng.choice(list(options))

    def some(self):
        """A value, more often a new one."""
        recent = self.values[-3:] if self.rng.random() < 0.7 else self.values
        return self.pick(recent)

    def like(self, x, *, space=False):
        """Values of the same shape, or of the same height and width."""
        first = 2 if space else 1
        return [y for y in self.values if y.spec.shape[first:] == x.spec.shape[first:]]

    def layer(self, channels, filters, size, keep):
        """A layer with weights that fits a map of `size`; keep: the same height and width."""
        from striate.ops import Conv, ConvTranspose

        k = self.pick([1, 3, 3, 5])
        bias = not self.normed and self.rng.random() < 0.9
        stride = 1 if keep or min(size) < 4 else self.pick([1, 1, 2])
        dilation = self.pick([1, 1, 1, 2])
        padding = dilation * (k // 2)
        if not keep and self.rng.random() < 0.2:
            padding = ((self.pick([0, 2, 7]), k), (k, self.pick([0, 1, 5])))
        way = self.pick(["dense", "dense", "dense", "each", "groups", "back"])
        if way == "each":
            return Conv(None, k, stride, padding, dilation, groups="depthwise", bias=bias)
        if way == "groups":
            groups = self.pick([g for g in (1, 2, 3, 4, 5, 8) if channels % g == 0])
            filters = filters if filters % groups == 0 else channels
            return Conv(filters, k, stride, padding, dilation, groups=groups, bias=bias)
        if way == "back":
            if keep:
                return ConvTranspose(filters, 3, padding=1, bias=bias)
            return ConvTranspose(filters, self.pick([2, 3]), self.pick([1, 2]), bias=bias)
        return Conv(filters, k, stride, padding, dilation, bias=bias)

    def activation(self):
        from striate import ops

        some = [ops.Relu, ops.Relu, ops.Relu6, ops.Silu, ops.Hardswish, ops.Sigmoid]
        return self.pick([*some, *([ops.BatchNorm] * 2 if self.normed else [])])()

    def step(self):
        from striate import ops

        x = self.some()
        channels, *size = x.spec.shape[1:]
        kind = self.pick([
            "layer", "layer", "layer", "act", "skip", "skip", "sum", "sum", "concat", "concat", "gate", "slice",
            "split", "pool", "norm", "move", "twice", "product",
        ])  # fmt: skip
        build, made = self.build, None
        if kind == "layer":
            made = build(self.layer(channels, self.pick(CHANNELS), size, False), x)
        elif kind == "act":
            made = build(self.activation(), x)
        elif kind == "skip":
            y = build(self.layer(channels, channels, size, True), x)
            if self.rng.random() < 0.4:
                y = build(self.activation(), y)
            pair = (x, y) if self.rng.random() < 0.5 else (y, x)
            made = build(ops.Add(), *pair)
        elif kind == "sum":
            same = self.like(x)
            made = build(ops.Add(), x, *(self.pick(same) for _ in range(self.pick([1, 1, 2]))))
        elif kind == "product":
            made = build(self.pick([ops.Multiply, ops.Maximum])(), x, self.pick(self.like(x)))
        elif kind == "concat":
            near = self.like(x, space=True)
            made = build(ops.Concat(), x, *(self.pick(near) for _ in range(self.pick([1, 1, 2]))))
        elif kind == "gate":
            gate = build(ops.Sigmoid(), build(ops.Conv(channels, 1), build(ops.GlobalAvgPool(), x)))
            made = build(ops.Multiply(), x, gate)
        elif kind == "slice":
            axis, n = self.pick([("C", channels), ("H", size[0])])
            start = self.rng.randrange(n)
            made = build(ops.Slice(axis, start, self.rng.randrange(start, n) + 1), x)
        elif kind == "split" and channels % 2 == 0:
            self.values += build(ops.Split(2), x)
        elif kind == "pool" and min(size) > 1:
            pool = self.pick([ops.MaxPool, ops.AvgPool])
            made = build(pool(2) if self.rng.random() < 0.5 else pool(3, 1, 1), x)
        elif kind == "norm":
            groups = self.pick([g for g in (1, 2, 4) if channels % g == 0])
            norms = [ops.LocalResponseNorm(3), ops.Softmax(), ops.LayerScale(0.5)]
            made = build(self.pick([*norms, *([ops.GroupNorm(groups)] if self.normed else [])]), x)
        elif kind == "move":
            moves = [ops.Pad(1), ops.Upsample(2), ops.Identity(), ops.Dropout(0.3)]
            if channels % 2 == 0:
                moves.append(ops.ChannelShuffle(2))
            made = build(self.pick(moves), x)
        elif kind == "twice":
            made = build(ops.Add(), x, x)
        if made is not None:
            self.values.append(made)

    def network(self):
        from striate import ops
        from striate.diagnostics import StriateError

        for _ in range(self.rng.randint(2, 12)):
            count, names, values = len(self.build._nodes), set(self.build._names), len(self.values)
            try:
                self.step()
                right = all(v.spec.elements <= LARGEST and v.spec.elements for v in self.values[values:])
            except StriateError:
                right = False
            if not right:
                del self.build._nodes[count:], self.values[values:]
                self.build._names = names
        if len(self.values) == 1:
            self.values.append(self.build(ops.Relu(), self.build.input))
        outputs = [self.values[-1]]
        if self.rng.random() < 0.3:
            outputs[0] = self.build(ops.Linear(5), self.build(ops.Flatten(), outputs[0]))
        if self.rng.random() < 0.3:
            outputs.append(self.pick(self.values[1:]))
        return self.build.build(*dict.fromkeys(outputs))


def made(seed):
    """The network of a seed."""
    return _Graph(seed).network()


def describe(seed):
    """What would be tried."""
    from engine.compiled import described

    return described(made(seed))


def replayed(net, rng, targets=None):
    """None, or what is wrong with the plans of a network: inference and training, for a target and threads of rng's."""
    from engine.compiled import drawn
    from striate.diagnostics import OpError
    from striate.engine.numpy_.numpy_engine import batched
    from striate.engine.plan.execution_plan import plan
    from striate.engine.plan.kernel_calls import PlanContext
    from striate.engine.target import AVX2, AVX512, NEON, SSE
    from striate.engine.training import training_plan as training
    from striate.engine.training.taped_node import Unsupported
    from striate.engine.verify.replay import faults

    for target in targets or (rng.choice([AVX512, AVX2, SSE, NEON]),):
        batch, threads, strict = rng.choice([1, 2, 3, 7]), rng.choice([1, 2, 3]), rng.random() < 0.3
        context = PlanContext(target, threads, strict, cache=rng.choice([1 << 12, 1 << 16, 1 << 20]))
        told = f"{target.name}, batch {batch}, {threads} threads, {'strict' if strict else 'fast'}"
        found = faults(plan(batched(net, batch), drawn(net), net.outputs, context))
        if found:
            return f"inference, {told}: {found[0]}"
        try:
            own = training.plan(batched(net, batch), context)
        except (Unsupported, OpError):  # no kernels, or batch norm of one value
            continue
        found = faults(own)
        if found:
            return f"training, {told}: {found[0]}"
    return None


def computed(net, rng):
    """None, or how a network computes otherwise than the numpy engine: values, then gradients."""
    from engine.compiled import FAST, agree, drawn, images, strict_tolerance
    from engine.compiled import made as compiled
    from engine.test_training_gradients import agree as learns
    from striate.diagnostics import StriateError
    from striate.engine.target import able

    if not able():
        return None
    target, batch = rng.choice(able()), rng.choice([1, 2, 3, 7])
    threads, strict = rng.choice([1, 2, 3]), rng.random() < 0.3
    told = f"{target.name}, batch {batch}, {threads} threads, {'strict' if strict else 'fast'}"
    weights = drawn(net)
    try:
        program = compiled(net, weights, threads, strict, target)
        tolerance = strict_tolerance(net) if strict else FAST
        agree(net, weights, images(net, batch), program, tolerance=tolerance)
    except AssertionError as error:
        return f"inference, {told}: {' '.join(str(error).split())[:300]}"
    try:
        learns(net, batch, threads, target, weights, anywhere=True)
    except AssertionError as error:
        return f"training, {told}: {' '.join(str(error).split())[:300]}"
    except StriateError as error:
        if "batch norm cannot train" not in str(error):
            raise
    return None


def trial(seed):
    """None, or what is wrong with a graph's plans or numbers."""
    import os

    os.environ.setdefault("STRIATE_SPOIL", "1")
    net, rng = made(seed), random.Random(seed + 1)
    return replayed(net, rng) or computed(net, rng)
