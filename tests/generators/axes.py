"""Every op after a permutation of axes, on every engine and in every file: right or refused, never different.

The network is `permute ORDER -> op -> permute back`. Right is what the fixture's formula says in float64.
"""

import random

NEEDS = ("torch", "onnx", "onnxruntime")
CLOSE = 2e-4
"""Error relative to the largest number of a result, in float32."""
NOISY = ("dropout", "stochasticdepth")


def describe(seed: int) -> str:
    net = drawn_network(seed)[0]
    return "nothing that suits" if net is None else "; ".join(f"{n.name} = {n.op}" for n in net.nodes)


def drawn_network(seed: int):
    """The network, its op's node, and the random numbers that go on."""
    from op_cases import RUNNABLE
    from op_draws import drawn

    rng = random.Random(seed)
    found = drawn(rng, RUNNABLE[seed % len(RUNNABLE)])
    return (None, None, rng) if found is None else (*network(*found), rng)


def network(op, specs):
    """A network of channels first in which the op sees these axes; further inputs are cut from the only one."""
    from striate.network import Network, Node
    from striate.ops import Permute, Slice
    from striate.tensor import SPATIAL, TensorSpec

    axes = specs[0].axes[1:]
    usual = ("C", *SPATIAL[len(axes) - 1])
    largest = {axis: max(spec.size(axis) for spec in specs) for axis in usual}
    nodes, reads, source = [], [], "x"
    if axes != usual:
        nodes.append(Node("order", Permute("".join(axes)), ("x",)))
        source = "order"
    for port, spec in enumerate(specs):
        value = source
        for axis in axes:
            if spec.size(axis) < largest[axis]:
                start = largest[axis] - spec.size(axis) if port else 0
                nodes.append(Node(f"cut{port}{axis}", Slice(axis, start, start + spec.size(axis)), (value,)))
                value = f"cut{port}{axis}"
        reads.append(value)
    own = Node("op", op, tuple(reads))
    nodes.append(own)
    outputs = []
    for port, (name, y) in enumerate(zip(own.outputs, op.declare(*specs).outputs, strict=True)):
        back = ("C", *SPATIAL.get(len(y.axes) - 2, ()))
        if y.axes[1:] != back and sorted(y.axes[1:]) == sorted(back):
            nodes.append(Node(f"back{port}", Permute("".join(back)), (name,)))
            name = f"back{port}"
        outputs.append(name)
    spec = TensorSpec.image(tuple(largest.values()))
    return Network("net", {"x": spec}, tuple(nodes), tuple(outputs)), own


def numbers(net, rng, positive):
    import numpy as np

    draw = np.random.default_rng(rng.randrange(1 << 30))
    weights = {}
    for name, parameter in net.parameters.items():
        array = draw.standard_normal(parameter.shape)
        if parameter.kind == "variance":
            array = np.abs(array) + 0.5
        weights[name] = array.astype(np.float32)
    x = draw.standard_normal((2, *net.input.without_batch)).astype(np.float32)
    return weights, np.abs(x) + np.float32(0.1) if positive else x


def wanted(net, own, weights, x):
    """What leaves the network: the op's formula on what the moves before it make, moved back; in float64."""
    import numpy as np

    from op_cases import Case, fixture
    from op_oracles import NUMPY, oracle
    from striate.engine.numpy_.numpy_engine import batched
    from striate.engine.numpy_.reference import run

    whole = batched(net, len(x))
    values = {"x": x.astype(np.float64)}
    for node in whole.nodes:
        declaration, inputs = whole.declarations[node.name], [values[name] for name in node.inputs]
        if node.name == own.name:
            mine = {k.partition(".")[2]: w.astype(np.float64) for k, w in weights.items()}
            case = Case(own.op, declaration, inputs, mine)
            made = oracle(case, NUMPY, fixture(own.op.word)["oracle"]["numpy"], inputs, mine)
        else:
            made = run(declaration, inputs, {})
        values.update(zip(node.outputs, made, strict=True))
    return [values[name] for name in net.outputs]


def trial(seed: int) -> str | None:
    import numpy as np

    from op_cases import fixture

    net, own, rng = drawn_network(seed)
    if net is None:
        return None
    weights, x = numbers(net, rng, fixture(own.op.word)["generate"].get("positive"))
    with np.errstate(all="ignore"):
        exact = wanted(net, own, weights, x)
        for name, run in ROADS.items():
            said = judged(run, exact, net, weights, x)
            if said:
                return f"{name}: {said}; {describe(seed)} on {net.input}"
        if own.op.word not in NOISY:
            said = gradients(net, weights, x)
            if said:
                return f"gradients, {said}; {describe(seed)} on {net.input}"
    return None


def judged(run, exact, net, weights, x):
    from striate.diagnostics import StriateError

    try:
        found = run(net, weights, x)
    except StriateError as error:
        return None if error.fix and error.why else f"refused without reason or fix: {error}"
    for y, right in zip(found, exact, strict=True):
        said = differs(y, right)
        if said:
            return said
    return None


def differs(found, exact) -> str:
    """How a result differs, if it does. What is not finite in float64 is not looked at."""
    import numpy as np

    if found.shape != exact.shape:
        return f"shape {found.shape} for {exact.shape}"
    finite = np.isfinite(exact)
    off = np.abs(np.where(finite, found, 0) - np.where(finite, exact, 0)).max(initial=0.0)
    largest = np.abs(exact[finite]).max(initial=1e-3)
    return "" if off <= CLOSE * largest else f"off by {off:.3g} of {largest:.3g}"


def interpreter(net, weights, x):
    from striate.engine.numpy_ import reference

    values = reference.predict(net, x, weights)
    return [values[name] for name in net.outputs]


def engine(name):
    def run(net, weights, x):
        from striate.engine.registry import get_engine

        values = get_engine(name).compile(net, weights, threads=1).values(x, net.outputs)
        return [values[name] for name in net.outputs]

    return run


def module(net, weights, x):
    import torch

    import striate as st

    with torch.inference_mode():
        return _listed(st.Model(net, weights=weights).to_torch()(torch.from_numpy(x)))


def written(net, weights, x):
    import torch

    from striate.formats.torch.python_source import source

    space = {"__name__": "written"}
    exec(compile(source(net), "net.py", "exec"), space)
    made = space["model"].eval()
    made.load_state_dict({name: torch.tensor(array) for name, array in weights.items()}, strict=False)
    with torch.inference_mode():
        return _listed(made(torch.from_numpy(x)))


def onnx(net, weights, x):
    import onnx
    import onnxruntime

    from striate.formats.onnx.writing import Store, model

    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    made = model(onnx, net, weights, Store(onnx)).SerializeToString()
    session = onnxruntime.InferenceSession(made, options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})


ROADS = {
    "interpreter": interpreter, "numpy": engine("numpy"), "compiled": engine("compiled"), "torch": engine("torch"),
    "to_torch": module, "source": written, "onnx": onnx,
}  # fmt: skip


def _listed(made):
    return [y.numpy() for y in (made if isinstance(made, tuple) else (made,))]


def gradients(net, weights, x) -> str:
    """How the gradients of two engines differ, if they do: numpy in float64 is right."""
    import numpy as np

    from striate.diagnostics import StriateError
    from striate.engine.registry import get_engine

    right = get_engine("numpy").training(net, {name: w.astype(np.float64) for name, w in weights.items()})
    try:
        outputs = right.forward(x.astype(np.float64), np.random.default_rng(0))
    except StriateError:  # one value per channel has no variance
        return ""
    ways = [np.random.default_rng(1).standard_normal(y.shape) for y in outputs]
    exact = right.backward(ways)
    for name in ("compiled", "torch"):
        try:
            found, statistics = TRAINERS[name](net, weights, x, [way.astype(np.float32) for way in ways])
        except StriateError as error:
            if error.fix and error.why:
                continue
            return f"{name} refused without reason or fix: {error}"
        for key, gradient in exact.items():
            said = differs(found[key], gradient)
            if said:
                return f"{name}: {key} {said}"
        for key, statistic in right.updates.items():
            said = differs(statistics[key], statistic)
            if said:
                return f"{name}: {key} {said}"
    return ""


def _compiled_gradients(net, weights, x, ways):
    import numpy as np

    from striate.engine.registry import get_engine

    program = get_engine("compiled").training(net, weights)
    program.forward(x, np.random.default_rng(0))
    return program.backward(ways), program.updates


def _torch_gradients(net, weights, x, ways):
    import torch

    import striate as st

    module = st.Model(net, weights=weights).to_torch().train()
    made = module(torch.from_numpy(x))
    made = made if isinstance(made, tuple) else (made,)
    pairs = [(y, torch.from_numpy(way)) for y, way in zip(made, ways, strict=True) if y.requires_grad]
    if pairs:
        torch.autograd.backward([y for y, _ in pairs], [way for _, way in pairs])
    found = {
        name: torch.zeros_like(p).numpy() if p.grad is None else p.grad.numpy()
        for name, p in module.named_parameters()
    }
    return found, {name: buffer.numpy() for name, buffer in module.named_buffers()}


TRAINERS = {"compiled": _compiled_gradients, "torch": _torch_gradients}
