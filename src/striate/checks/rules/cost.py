"""C: what the network costs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

from striate.checks import fixes
from striate.checks.context import Context, by, share
from striate.checks.rule import Rule
from striate.diagnostics import Diagnostic, Fix, Severity, leading, plural
from striate.network import Node, sharing
from striate.op import Trait

AVX2_LANES = 8
"""float32 lanes of a 256-bit vector register (AVX2); AVX-512 has 16, NEON 4."""
MAX_NAMED_NODES = 3
"""Maximum nodes named as the largest consumers of a budget."""


class OverBudget(Rule):
    """The network costs more than the budget allows."""

    code = "C001"
    severity = Severity.ERROR
    why = (
        "The budgets come from the settings max-params, max-macs (multiply-accumulates) and max-memory (peak in "
        "inference)."
    )
    fix = "a smaller network or input, or a larger budget"
    source = (
        "the project's settings; MACs as in Sze et al. 2017, Efficient processing of deep neural "
        "networks, arXiv 1703.09039"
    )
    bad = "32x32x3 -> flatten -> fc 10"
    good = "32x32x3 -> gap -> flatten -> fc 10"
    settings: ClassVar[Mapping[str, Any]] = {"max_params": 1000}

    def look(self, context: Context) -> Iterator[Diagnostic]:
        config = context.config
        yield from self._over(context, "params", "parameters", config.max_params, context.params)
        yield from self._over(context, "macs", "MACs", config.max_macs, context.macs)
        if config.max_memory is not None:
            from striate.analysis.memory import timeline

            steps = timeline(context.network)
            peak = steps.peak
            peak_bytes = steps.peak_bytes
            yield from self._unknown(
                context, "memory", f"{peak_bytes:,} bytes of activations", config.max_memory
            )
            if peak_bytes > config.max_memory:
                where = context.network.node(peak.node) if peak else None
                yield self.finding(
                    context,
                    where,
                    f"{peak_bytes:,} bytes of activations, {_times(peak_bytes, config.max_memory)} the budget",
                    why=f"the budget is {config.max_memory:,} bytes; memory for one image peaks while this node runs",
                    aspect="memory",
                )

    def _over(
        self, context: Context, aspect: str, what: str, budget: int | None, cost: Callable[[Node], int]
    ) -> Iterator[Diagnostic]:
        if budget is None:
            return
        costs = {node.name: cost(node) for node in context.nodes}
        total = sum(costs.values())
        yield from self._unknown(context, aspect, f"{total:,} {what}", budget)
        if total > budget:
            top = sorted(costs, key=lambda name: -costs[name])[:MAX_NAMED_NODES]
            names = ", ".join(f"{name} {share(costs[name], total)}" for name in top if costs[name])
            yield self.finding(
                context,
                None,
                f"{total:,} {what}, {_times(total, budget)} the budget",
                why=f"the budget is {budget:,}; most are in {names}",
                aspect=aspect,
            )

    def _unknown(self, context: Context, what: str, total: str, budget: int) -> Iterator[Diagnostic]:
        """A budget with an unknown part counts as exceeded."""
        from striate.analysis import unknown_costs

        names = unknown_costs(context.network)[what]
        if names:
            yield self.finding(
                context,
                None,
                f"at least {total}; {plural(len(names), 'node')} unknown",
                why=f"the budget is {budget:,}, and the share of {leading(names, MAX_NAMED_NODES)} is unknown",
            )


def _times(total: int, budget: int) -> str:
    return f"{total / budget:.3g} times" if budget else "more than"


class DenseLayerDominates(Rule):
    """One fully connected layer on a flattened map holds most of the parameters."""

    code = "C002"
    severity = Severity.WARNING
    why = (
        "It ties the network to one input size and tends to overfit; with global average pooling, 1 weight "
        "replaces H·W."
    )
    fix = "global average pooling (gap) before it"
    source = (
        "Lin et al. 2013, Network in Network, arXiv 1312.4400, section 3.2; Szegedy et al. 2014, arXiv "
        "1409.4842"
    )
    bad = "32x32x3 -> conv 3x3 16 pad 1 mode circular -> relu -> flatten -> fc 100"
    good = "32x32x3 -> conv 3x3 16 pad 1 mode circular -> relu -> gap -> flatten -> fc 100"

    def look(self, context: Context) -> Iterator[Diagnostic]:
        total = context.total_params
        for node in context.of("fc"):
            before = context.before(node)
            while before is not None and Trait.TRANSPARENT in before.op.traits:
                before = context.before(before)
            if before is None or Trait.VIEW not in before.op.traits or 2 * context.params(node) <= total:
                continue
            flat = context.spec(before.inputs[0])
            area = math.prod(flat.spatial)
            if area <= 1 or not any(context.having(Trait.CONVOLUTION)):
                continue
            params = context.params(node)
            weights = math.prod(context.declaration(node).parameters[0].shape)
            small = params - weights + weights // area
            yield self.finding(
                context,
                node,
                f"{share(params, total)} of all parameters are in this layer",
                why=f"{plural(flat.channels, 'channel')} x {by(flat.spatial)} positions x "
                f"{plural(weights // (flat.channels * area), 'output')} "
                f"= {weights:,} of {total:,}",
                fixes=[
                    Fix(
                        f"gap before {before.name} ({total:,} -> {plural(total - params + small, 'parameter')})"
                    )
                ],
            )


class SharedParameters(Rule):
    """Several nodes use the same parameters."""

    code = "C006"
    severity = Severity.INFO
    why = (
        "Shared parameters are counted and stored once, used by every node, and trained with the sum of all "
        "gradients."
    )
    fix = "none if this is intended; otherwise remove `shares` from the node"
    source = "LeCun et al. 1989, Backpropagation applied to handwritten zip code recognition; PyTorch, tied weights"
    bad = """
        [network]
        input = "16x16x8"

        [[node]]
        name = "a"
        op = "conv 3x3 8 pad 1 mode circular"

        [[node]]
        op = "relu"

        [[node]]
        name = "b"
        op = "conv 3x3 8 pad 1 mode circular"
        shares = "a"

        [[node]]
        op = "relu"
        """
    good = """
        [network]
        input = "16x16x8"

        [[node]]
        name = "a"
        op = "conv 3x3 8 pad 1 mode circular"

        [[node]]
        op = "relu"

        [[node]]
        name = "b"
        op = "conv 3x3 8 pad 1 mode circular"

        [[node]]
        op = "relu"
        """

    def look(self, context: Context) -> Iterator[Diagnostic]:
        users: dict[str, list[str]] = {}
        for node in context.nodes:
            for owner in sharing.owners(node) if node.shares else ():
                users.setdefault(owner, []).append(node.name)
        for owner, names in users.items():
            node = context.network.node(owner)
            yield self.finding(
                context,
                node,
                f"{leading(names, MAX_NAMED_NODES)} {'shares' if len(names) == 1 else 'share'} its parameters",
                why=f"{plural(context.params(node), 'parameter')} counted once, used by "
                f"{plural(len(names) + 1, 'node')}",
            )


class ChannelsNotVectorWidth(Rule):
    """The channels of a costly convolution do not fill the vector registers."""

    code = "C003"
    severity = Severity.INFO
    why = (
        f"A processor works on {AVX2_LANES} numbers or a multiple at once; the last, partly empty, group costs as "
        "much as a full one."
    )
    fix = f"a multiple of {AVX2_LANES}"
    source = (
        "Georganas et al. 2018, Anatomy of high-performance deep learning convolutions on SIMD architectures, "
        "arXiv 1808.05567; NVIDIA, Deep Learning Performance Guide"
    )
    bad = "32x32x16 -> conv 3x3 20 pad 1 mode circular -> relu -> flatten"
    good = "32x32x16 -> conv 3x3 24 pad 1 mode circular -> relu -> flatten"

    def look(self, context: Context) -> Iterator[Diagnostic]:
        total = context.total_macs
        for node in context.having(Trait.CONVOLUTION):
            filters = context.spec(node.outputs[0]).channels
            spare = -filters % AVX2_LANES
            # Not worth reporting: few filters, or less than a hundredth of the work.
            if (
                filters <= AVX2_LANES
                or not spare
                or 100 * context.macs(node) < total
                or context.is_output(node.outputs[0])
            ):
                continue
            low, high, vectors = filters - filters % AVX2_LANES, filters + spare, -(-filters // AVX2_LANES)
            yield self.finding(
                context,
                node,
                f"{filters} channels fill {vectors} vectors of {AVX2_LANES} to {share(filters, high)}",
                why=f"{node.name} does {share(context.macs(node), total)} of the MACs",
                fixes=[
                    fix
                    for size in (low, high)
                    for fix in fixes.change(context, node, f"filters {size}", filters=size)
                ],
            )


class RepresentationalBottleneck(Rule):
    """Everything has to pass through a layer with far fewer numbers than the layer before it."""

    code = "C004"
    severity = Severity.INFO
    why = "Information lost here cannot be recovered; sizes should decrease gradually from input to output."
    fix = "more filters here, or a smaller stride"
    source = (
        "Szegedy et al. 2016, Rethinking the Inception architecture, arXiv 1512.00567, section 2, principle 1"
    )
    bad = "64x64x32 -> conv 4x4 16 /4 -> relu -> conv 1x1 8"
    good = "64x64x32 -> conv 4x4 128 /4 -> relu -> conv 1x1 8"
    steepest = 8

    def look(self, context: Context) -> Iterator[Diagnostic]:
        last = next(iter(context.network.inputs)) if len(context.network.inputs) == 1 else None
        learned = {
            node.name: at for at, node in enumerate(context.nodes) if Trait.WEIGHTED_SUM in node.op.traits
        }
        final = max(learned.values(), default=-1)  # the output layer may be narrow
        for node in _narrow_places(context):
            if learned.get(node.name) == final:
                return
            spec = context.spec(node.outputs[0])
            if math.prod(spec.spatial) <= 1:
                return  # global pooling and the layers after it are meant to be narrow
            if last is not None:
                before = context.spec(last)
                if before.elements > self.steepest * spec.elements:
                    yield self.finding(
                        context,
                        node,
                        f"{before.elements / spec.elements:.3g} times fewer numbers than {last}",
                        why=f"{before} = {plural(before.elements, 'number')}, then {spec} = {spec.elements:,}, "
                        "and no branch bypasses it",
                    )
            last = node.outputs[0]


def _narrow_places(context: Context) -> Iterator[Node]:
    """Nodes whose output is the only value that the rest of the network reads."""
    last_use = dict.fromkeys(context.network.outputs, len(context.nodes))
    for at, node in enumerate(context.nodes):
        for value in node.inputs:
            last_use[value] = max(last_use.get(value, 0), at)
    alive = set(context.network.inputs)
    for at, node in enumerate(context.nodes):
        alive.difference_update([value for value in node.inputs if last_use[value] == at])
        alive.update(value for value in node.outputs if value in last_use)
        if len(node.outputs) == 1 and alive == {*node.outputs}:
            yield node


class LargeKernelCouldSplit(Rule):
    """A large dense kernel that two smaller ones replace at the same receptive field for less."""

    code = "C005"
    severity = Severity.INFO
    why = "Two 3x3 layers cover 5x5 with 18 weights per pair of channels instead of 25, and have two activations."
    fix = "a stack of 3x3 convolutions"
    source = (
        "Simonyan & Zisserman 2014, VGG, arXiv 1409.1556, section 2.3; Szegedy et al. 2016, arXiv 1512.00567, "
        "section 3.1"
    )
    bad = "32x32x64 -> conv 5x5 64 pad 2 mode circular -> relu -> flatten"
    good = "32x32x64 -> [conv 3x3 64 pad 1 mode circular -> relu]*2 -> flatten"

    def look(self, context: Context) -> Iterator[Diagnostic]:
        for node, axes in context.windows:
            channels, filters = context.spec(node.inputs[0]).channels, context.spec(node.outputs[0]).channels
            kernels = {window.kernel for window in axes.values()}
            plain = all(w.stride == 1 and w.dilation == 1 and w.output > w.kernel // 2 for w in axes.values())
            if Trait.CONVOLUTION not in node.op.traits or not plain or len(kernels) > 1 or len(axes) != 2:
                continue
            (kernel,) = kernels
            small = kernel < 5 or kernel % 2 == 0 or min(channels, filters) < AVX2_LANES
            if small or context.groups(node) > 1:
                continue
            layers = (kernel - 1) // 2
            now = kernel * kernel * channels * filters
            split = 9 * (channels * filters + (layers - 1) * filters * filters)
            if 4 * split <= 3 * now:  # at least a quarter cheaper
                yield self.finding(
                    context,
                    node,
                    f"{by((kernel, kernel))} could be {layers} layers of 3x3",
                    why=f"{plural(now, 'weight')} instead of {split:,} for the same receptive field",
                    fixes=[
                        Fix(
                            f"{layers} x conv 3x3 {filters} ({share(now - split, now)} fewer weights and MACs)"
                        )
                    ],
                )
