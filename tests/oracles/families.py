"""timm's families of CNNs, one of them as PyTorch and as its ONNX export, and what an import is compared in.

A family is a file of timm and the word that a name begins with: "regnet/regnety" has regnety_002 and its sisters.
timm_families.json has the smallest member of each, by parameters; `python tests/oracles/families.py` writes it anew.
"""

import json
import re
import warnings
from pathlib import Path

import numpy as np

import striate as st

TABLE = Path(__file__).with_name("timm_families.json")
NO_CNN = re.compile(
    r"num_heads|n_heads|head_dim|dim_head|scaled_dot_product|matmul|einsum|\.softmax\(|LSTM|MixerBlock"
)
"""A file of timm whose text has one of these words is of transformers, mixers or hybrids."""
NO_CNN_NAME = re.compile(r"\w*hybrid|mobilenetv5|test_")
"""Attention that comes from timm's shared blocks, and its networks for its own tests."""
WORD = re.compile(r"(?:(?:tf|dm|nf|eca|ese|gc|bat|legacy|wide|cs3se)_)?[a-z]+?(?:v\d|\d[a-z]+)?(?![a-z])")


def census() -> dict[str, list[str]]:
    """Family -> its members, for every CNN that timm has."""
    import torchvision_cpu  # noqa: F401  # before timm: it makes torchvision importable
    import timm  # isort: skip

    root = Path(timm.__file__).parent / "models"
    files = {path.stem: bool(NO_CNN.search(path.read_text("utf-8"))) for path in root.glob("*.py")}
    families: dict[str, list[str]] = {}
    for name in timm.list_models():
        file = timm.models._registry._model_to_module[name]
        if not files[file] and not NO_CNN_NAME.match(name):
            families.setdefault(f"{file}/{WORD.match(name)[0]}", []).append(name)
    return families


def created(name: str):
    import torch

    import torchvision_cpu  # noqa: F401
    import timm  # isort: skip

    torch.set_num_threads(1)
    torch.manual_seed(0)
    return timm.create_model(name, pretrained=False).eval()


def lively(module, x, gain: float = 0.25) -> None:
    """Numbers as after training, where a wrong one shows: no parameter is all zeros or ones, statistics fit the data.

    Fresh networks hide much: the last norm of a block may start at zero, a layer scale at a millionth. Norms scale by
    `gain` to twice that: deep networks of random numbers are chaotic where branches are as strong as their trunk.
    """
    import torch

    norms = [m for m in module.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    drops = [m for m in module.modules() if "Drop" in type(m).__name__]
    normed = {id(norm.weight) for norm in norms}
    with torch.no_grad():
        for key, p in module.named_parameters():
            if p.numel() == 1 or bool((p == p.flatten()[0]).all()):
                if p.ndim == 1 and (key.endswith("bias") or not p.any()):
                    p.normal_(0, 0.1)
                else:
                    p.uniform_(*((gain, 2 * gain) if id(p) in normed else (0.75, 1.25)))
        for norm in norms:
            norm.momentum = 1.0
        module.train()
        for drop in drops:
            drop.eval()
        module(x)
        module.eval()
        for norm in norms:
            norm.momentum = 0.1
            # A channel that hardly varies on few images would be blown up, and with it everyone's rounding.
            norm.running_var.clamp_(min=float(norm.running_var.mean()) / 4)
            norm.running_var.mul_(torch.rand_like(norm.running_var) * 0.4 + 0.8)


def exported(module, x, path: Path, dynamo: bool = False) -> Path:
    import torch

    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        options = {"external_data": False} if dynamo else {}
        torch.onnx.export(module, (x,), str(path), dynamo=dynamo, verbose=False, **options)
    return path


def opaque(net) -> set[str]:
    return {node.op.operator for node in net.nodes if node.op.word == "opaque"}


def layers_of(net) -> list[tuple[tuple[int, ...], int]]:
    """(shape of the weight, numbers per image) of every convolution and fully connected layer, sorted."""
    found = []
    for node in net.nodes:
        if node.op.word in ("conv", "tconv", "fc"):
            (weight, *_), spec = net.declarations[node.name].parameters, net.specs[node.outputs[0]]
            found.append((weight.shape, int(np.prod(spec.without_batch))))
    return sorted(found)


def torchs_layers(module, x) -> tuple[list[tuple[tuple[int, ...], int]], int]:
    """The same as torch runs it on one image, whatever module calls it, and the MACs that it counts with a weight."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils.flop_counter import FlopCounterMode

    aten = torch.ops.aten
    weight_at = {aten.convolution.default: 1, aten.addmm.default: 2, aten.mm.default: 1}
    found = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            made = function(*args, **(kwargs or {}))
            if function in weight_at:
                shape = tuple(args[weight_at[function]].shape)
                found.append((shape if len(shape) > 2 else shape[::-1], made.numel()))
            return made

    with torch.no_grad(), FlopCounterMode(display=False) as counter, Watch():
        module(x)
    by_operator = counter.get_flop_counts()["Global"]
    products_of_values = by_operator.get(aten.bmm, 0)  # attention; Striate counts what has a weight
    return sorted(found), (sum(by_operator.values()) - products_of_values) // 2


def close(net, x, wanted, tolerance: float = 1e-4) -> None:
    """Both engines give these outputs, to a ten-thousandth of the largest: numpy, which is slow, for the last image."""
    for engine, some in (("numpy", slice(-1, None)), ("compiled", slice(None))):
        found = st.Model(net, engine=engine).predict(x[some])
        assert found.shape == wanted[some].shape
        error = np.abs(found - wanted[some]).max() / np.abs(wanted).max()
        assert error <= tolerance, engine


def same_computation(one, other) -> bool:
    """Whether two networks compute their outputs by the same statements of the same parameters, whatever the names of
    nodes without any, and the order of branches and of factors."""
    known: dict = {}

    def outputs(net):
        number = {value: ("input", k) for k, value in enumerate(net.inputs)}
        for node in net.nodes:
            declared = net.declarations[node.name]
            reads, said = [number[value] for value in node.inputs], repr(declared.statements)
            if node.op.word in ("add", "mul"):
                reads, said = sorted(reads, key=str), ""
            own = tuple(f"{node.name}.{p.name}" for p in declared.parameters)
            key = (node.op.word, said, own, *reads)
            made = known.setdefault(key, len(known))
            number.update({value: (made, port) for port, value in enumerate(node.outputs)})
        return [number[value] for value in net.outputs]

    return outputs(one) == outputs(other)


def smallest() -> dict[str, tuple[str, int]]:
    """Family -> its smallest member and that one's parameters. Builds every network: minutes."""
    import torch

    found = {}
    for family, names in census().items():
        sizes = []
        for name in names:
            try:
                with torch.device("meta"):
                    module = created(name)
            except (RuntimeError, NotImplementedError):  # it computes its widths with torch
                module = created(name)
            sizes.append((sum(p.numel() for p in module.parameters()), name))
        size, name = min(sizes)
        found[family] = (name, size)
    return found


if __name__ == "__main__":
    import timm

    rows = [f"    {json.dumps(family)}: {json.dumps(row)}" for family, row in smallest().items()]
    text = ",\n".join(rows)
    TABLE.write_text(f'{{"timm": "{timm.__version__}", "smallest": {{\n{text}\n}}}}\n', "utf-8")
