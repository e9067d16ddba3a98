"""What the tests of single stages of the plan share: buffers, calls without a kernel, and units of small networks."""

import itertools

from striate.engine.codegen.kernel import Kernel
from striate.engine.kernels.argument_record import record
from striate.engine.plan import choose
from striate.engine.plan.computation import Correlation
from striate.engine.plan.fuse import fuse
from striate.engine.plan.kernel_calls import KernelCall, PlanContext
from striate.engine.plan.place import place
from striate.engine.plan.stages import Fused
from striate.engine.plan.units import ROLES, Buffer, Leave, Unit
from striate.engine.target import AVX512
from striate.formats.notation import parse
from striate.network import Network
from striate.tensor import TensorSpec
from striate.weights import initialize

CONTEXT = PlanContext(AVX512, 1)
NUMBERS = itertools.count()


def buffer(name="x", shape=(1, 16, 4, 4), lanes=16, **more):
    return Buffer(name, shape, ROLES[len(shape)], lanes=lanes, **more)


def unit(inputs, outputs, body=None, nodes=("node",), weights=None, **more):
    return Unit(list(nodes), body or Leave(), list(inputs), list(outputs), None, weights or {}, **more)


def call(reads, writes, algorithm="copy", rows=1, parts=1, **more):
    """A kernel call that is never run."""
    return KernelCall(
        unit(reads, writes), algorithm, "", Kernel("none"), record(8, {0: next(NUMBERS)}), rows, parts,
        list(reads), list(writes), **more,
    )  # fmt: skip


def network(text, batch=1):
    """A network of one input, for a whole batch."""
    net = parse(text) if isinstance(text, str) else text
    (name,) = net.inputs
    spec = TensorSpec((batch, *net.input.shape[1:]), net.input.axes)
    return Network(net.name, {name: spec}, net.nodes, net.outputs)


def fused(text, keep=None, batch=1, target=AVX512) -> Fused:
    net = network(text, batch)
    return fuse(net, initialize(net), keep or net.outputs, lambda body: choose.has_kernel(body, target.lanes))


def placed(text, batch=1, context=CONTEXT, keep=None):
    """All units, copies in and out included."""
    made = fused(text, keep, batch, context.target)
    return place(made, context.target, lambda one: choose.border(one, context)).units


def only(text, node="", **more):
    """The one unit that computes, or that of a node; what is copied in and out is left out."""
    (found,) = (
        one for one in placed(text, **more) if one.declaration is not None and (not node or node in one.nodes)
    )
    return found


def correlation(channels=16, outputs=16, windows=None, **more):
    """Sum of products of one group over whole channels, without a bias."""
    return Correlation(1, more.pop("groups", 1), channels, outputs, windows, more.pop("bias", False), **more)
