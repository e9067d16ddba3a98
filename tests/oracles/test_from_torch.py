"""torchvision's networks read from PyTorch and from their ONNX export: layers, parameters, its own table, outputs."""

import numpy as np
import pytest

import striate as st
from exhaustive import EXHAUSTIVE
from oracles import families
from oracles.test_torchvision_outputs import SIZES, pair
from oracles.test_torchvision_shapes import TWINS
from striate.analysis import macs
from striate.models import catalogue

pytestmark = pytest.mark.torch("torchvision")

CLASSIFIERS = [name for name in TWINS if not name.startswith("fcn_")]
ONE_EACH = {name: size for name, size in SIZES.items() if name in CLASSIFIERS and name != "vgg11"}
ONE_EACH |= {"alexnet": 224, "vgg11_bn": 224}
"""torch exports a pool to 6x6 or 7x7 only from multiples of that."""
SOME = sorted({*ONE_EACH} - {"wide_resnet50_2"})
"""A wide ResNet is resnet50's module with other numbers of channels, which are compared without data."""
WIDE = {"alexnet", "vgg11_bn"}
"""Half a gigabyte between their fully connected layers: without EXHAUSTIVE these are narrow where numbers are compared,
and as published without data."""
TOO_LARGE = {"regnet_y_128gf"}
"""More than the 2 GiB that torch writes into one ONNX file."""
AUXILIARY = {"inception_v3": 3_326_696}
"""Parameters of heads that torchvision's table counts, and its networks have in training only."""


def as_published(net, name) -> None:
    """The catalogue's sizes and parameters, layer by layer, and torchvision's own table."""
    import torchvision_twin

    wanted = st.create(name)
    assert families.opaque(net) == set()
    assert net.parameters == wanted.parameters
    assert families.same_computation(net, wanted) != name.startswith(
        "densenet"
    )  # concatenated one by one, there
    assert macs(net) == macs(wanted)
    learned, gmacs = torchvision_twin.published(name, wanted.input.shape[-1])
    statistics = ("running_mean", "running_var")
    ours = sum(p.elements for key, p in net.parameters.items() if not key.endswith(statistics))
    assert ours == learned - AUXILIARY.get(name, 0)
    assert round(macs(net, "torchvision") / 1e9, 3) == gmacs
    layers = [name for name, declaration in wanted.declarations.items() if declaration.parameters]
    assert [net.specs[layer] for layer in layers] == [wanted.specs[layer] for layer in layers]
    assert [net.specs[v] for v in net.outputs] == [wanted.specs[v] for v in wanted.outputs]


def numbers_of(name, size):
    """torchvision's module at its own width, or with 64 channels where WIDE has 4096."""
    import torch

    import torchvision_twin

    if EXHAUSTIVE or name not in WIDE:
        return pair(name, size)[0]
    torch.manual_seed(0)
    module = torchvision_twin.twin(name)
    for k, layer in enumerate(module.classifier):
        if isinstance(layer, torch.nn.Linear):
            widths = (64 if width == 4096 else width for width in (layer.in_features, layer.out_features))
            module.classifier[k] = torch.nn.Linear(*widths)
    module.to_empty(device="cpu")
    for part in module.modules():
        if hasattr(part, "reset_parameters"):
            part.reset_parameters()
    return module


@pytest.mark.parametrize(
    "name", CLASSIFIERS if EXHAUSTIVE else ["shufflenet_v2_x0_5", "wide_resnet50_2", *sorted(WIDE)]
)
def test_a_module_without_data(name):
    """On torch's meta device, at the size that its table is for. The others: below, as published and with data."""
    import torchvision_twin

    net = st.from_torch(torchvision_twin.twin(name), st.create(name).input.without_batch)
    as_published(net, name)
    assert net.weights is None, "meta tensors hold no numbers"


@pytest.mark.onnx("torch", "torchvision")
@pytest.mark.parametrize("name", sorted({*CLASSIFIERS} - TOO_LARGE) if EXHAUSTIVE else SOME)
def test_both_ways_in(name, tmp_path):
    """As published; layers and MACs as torch runs them; its outputs. An export folds norms into the layers before."""
    import torch

    torch.set_num_threads(1)
    size = {catalogue.get(n).family.name: side for n, side in ONE_EACH.items()}[
        catalogue.get(name).family.name
    ]
    module = numbers_of(name, size)
    x = torch.randn(2 if size > 100 else 4, 3, size, size)
    families.lively(module, x)
    x = x[:2]
    module.train()
    modes = {part: part.training for part in module.modules()}
    nets = [st.from_torch(module, (3, size, size))]
    assert all(part.training == mode for part, mode in modes.items()), "its mode is put back"
    path = families.exported(module.eval(), x[:1], tmp_path / "net.onnx")
    nets.append(st.load(path))
    path.unlink()
    if EXHAUSTIVE or name not in WIDE:
        as_published(nets[0].with_input(st.create(name).input.without_batch), name)
    layers, cost = families.torchs_layers(module, x[:1])
    with torch.no_grad():
        wanted = module(x).numpy()
    for net in nets:
        assert families.opaque(net) == set()
        assert families.layers_of(net) == layers
        assert macs(net) == cost
        families.close(net, x.numpy(), wanted)


def test_torch_fx_where_export_fails():
    import torch

    from torchvision_cpu import torchvision

    torch.manual_seed(0)
    module = torchvision.models.resnet18().eval()
    one, other = (st.from_torch(module, (3, 64, 64), via=via) for via in ("export", "fx"))
    assert one == other
    assert all((one.weights[name] == array).all() for name, array in other.weights.items())


def test_weights_go_to_torch_and_come_back():
    """Bit-equal: from a module, to a module, to torchvision's own by name."""
    import torch

    from torchvision_cpu import torchvision

    theirs = torchvision.models.mobilenet_v3_small().eval()
    model = st.Model(st.from_torch(theirs, (3, 64, 64)), engine="numpy")
    module = model.to_torch()
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(module(x), theirs(x), rtol=1e-4, atol=1e-6)
    assert sorted(module.state_dict()) == sorted(theirs.state_dict())
    fresh = torchvision.models.mobilenet_v3_small()
    fresh.load_state_dict(module.state_dict())
    assert all(torch.equal(tensor, theirs.state_dict()[key]) for key, tensor in fresh.state_dict().items())


def test_the_fixture_names_every_classifier():
    from torchvision_cpu import torchvision

    others = ("vit_", "swin_", "maxvit_")  # transformers
    theirs = {n for n in torchvision.models.list_models(torchvision.models) if not n.startswith(others)}
    assert theirs == set(CLASSIFIERS)


MODULES = {
    "calls": """
        def forward(self, x):
            y = F.relu(self.conv(x))
            a, b = y.chunk(2, 1)
            y = torch.cat([F.gelu(a), F.silu(b), a * b], 1)
            y = F.pad(y, (0, 1, 1, 0))
            y = F.interpolate(y, scale_factor=2)
            y = y[:, 2:10:2, 1:] + 0.5
            y = (y - 1) / 4
            return torch.flatten(F.adaptive_avg_pool2d(F.hardswish(y), 2), 1)
    """,
    "channels_last": """
        def forward(self, x):
            y = self.conv(x).permute(0, 2, 3, 1)
            y = F.layer_norm(y, (8,)).permute(0, 3, 1, 2)
            return y.mean((2, 3))
    """,
    "in_place": """
        def forward(self, x):
            y = self.conv(x)
            z = y.view(y.shape[0], 4, -1)
            y.relu_()
            return z.flatten(1).clamp(-0.5, 0.5)
    """,
    "shuffle": """
        def forward(self, x):
            y = self.conv(x)
            n, c, h, w = y.shape
            y = y.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
            return F.softmax(y.sigmoid().tanh(), 1)
    """,
}


def own(body):
    """A module with one convolution and this forward."""
    import textwrap

    import torch
    import torch.nn.functional as F

    space = {"torch": torch, "F": F}
    exec(textwrap.dedent(body), space)

    def __init__(self):
        torch.nn.Module.__init__(self)
        self.conv = torch.nn.Conv2d(3, 8, 3, padding=1, padding_mode="circular")

    torch.manual_seed(0)
    return type("Own", (torch.nn.Module,), {"__init__": __init__, "forward": space["forward"]})()


@pytest.mark.parametrize("via", ["export", "fx"])
@pytest.mark.parametrize("name", MODULES)
def test_functional_calls(name, via):
    import torch

    if via == "fx" and name == "in_place":
        with pytest.raises(st.StriateError, match="cannot be traced"):
            st.from_torch(own(MODULES[name]), (3, 8, 8), via=via)
        return
    module = own(MODULES[name]).eval()
    net = st.from_torch(module, (3, 8, 8), via=via)
    assert not [node for node in net.nodes if node.op.word == "opaque"]
    x = torch.randn(3, 3, 8, 8)
    with torch.no_grad():
        wanted = module(x).numpy()
    np.testing.assert_allclose(st.Model(net, engine="numpy").predict(x.numpy()), wanted, rtol=1e-4, atol=1e-5)


def test_padding_with_minus_infinity_is_the_pools_own():
    """How TensorFlow's SAME is spelled in PyTorch; elsewhere the lowest number stands for it."""
    import torch

    module = own("""
        def forward(self, x):
            y = F.pad(self.conv(x) - 9, (0, 1, 0, 1), value=-torch.inf)
            return F.max_pool2d(y, 3, 2), F.pad(y, (1, 0), value=-torch.inf).softmax(1)
    """)
    net = st.from_torch(module, (3, 8, 8))
    assert [node.op.word for node in net.nodes if node.op.word != "affine"] == [
        "conv",
        "pad",
        "maxpool",
        "pad",
        "softmax",
    ]
    module = own("""
        def forward(self, x):
            return F.max_pool2d(F.pad(self.conv(x) - 9, (0, 1, 0, 1), value=-torch.inf), 3, 2)
    """)
    net = st.from_torch(module, (3, 8, 8))
    assert [str(node.op) for node in net.nodes][2:] == ["maxpool 3x3 /2 pad 0,1,0,1"]
    x = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        wanted = module(x).numpy()
    np.testing.assert_allclose(st.Model(net, engine="numpy").predict(x.numpy()), wanted, rtol=1e-4, atol=1e-5)


def test_what_is_unknown_becomes_opaque():
    """Also what has no place in a network: an axis before the batch."""
    module = own("""
        def forward(self, x):
            y = torch.cumsum(self.conv(x), 2)
            z = y.reshape(-1, 4, 8, 8).roll(1, 0).reshape(x.shape[0], 8, 8, 8)
            return F.max_pool2d(z, 3, 3)
    """)
    net = st.from_torch(module, (3, 8, 8))
    words = [(node.op.word, getattr(node.op, "operator", "")) for node in net.nodes]
    assert words == [("conv", ""), ("opaque", "aten.cumsum"), ("opaque", "aten.reshape"), ("maxpool", "")]
    findings = [(finding.code, finding.node) for finding in st.check(net).findings]
    assert ("G002", "maxpool") in findings and ("X001", "opaque") in findings
    assert net.node("conv").place.file.endswith((".py", ">"))
