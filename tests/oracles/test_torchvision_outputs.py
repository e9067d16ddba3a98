"""torchvision's own state dicts in the catalogue's networks: the same outputs, and the same gradients in training."""

import dataclasses

import numpy as np
import pytest

from striate.engine.registry import get_engine
from striate.models import catalogue

# One network of every family that torchvision has, at an input large enough for all its layers.
SIZES = {
    "alexnet": 96, "vgg11": 64, "vgg11_bn": 64, "googlenet": 64, "inception_v3": 96, "resnet18": 65, "resnet50": 64,
    "resnext50_32x4d": 64, "wide_resnet50_2": 64, "squeezenet1_1": 65, "densenet121": 64, "mobilenet_v2": 64,
    "mobilenet_v3_small": 64, "shufflenet_v2_x0_5": 64, "mnasnet0_5": 64, "regnet_x_400mf": 64, "regnet_y_400mf": 64,
    "efficientnet_b0": 64, "efficientnet_v2_s": 64, "convnext_tiny": 64, "fcn_resnet50": 64,
}  # fmt: skip


def pair(name: str, size: int):
    """torchvision's network with moved batch-norm statistics, its weights by name, and the catalogue's network."""
    import torch

    from torchvision_cpu import torchvision

    torch.manual_seed(0)
    options = {
        "googlenet": {"aux_logits": False, "init_weights": True},
        "inception_v3": {"aux_logits": False},
    }
    if name.startswith("fcn_"):
        options[name] = {"weights_backbone": None, "aux_loss": False}
    module = torchvision.models.get_model(name, weights=None, **options.get(name, {}))
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 1.5)
    net = catalogue.create(name, input=(3, size, size))
    return module, net


def weights_of(module) -> dict[str, np.ndarray]:
    state = {name: tensor.detach().numpy().copy() for name, tensor in module.state_dict().items()}
    return {name: array for name, array in state.items() if not name.endswith("num_batches_tracked")}


@pytest.mark.torch("torchvision")
def test_one_network_of_every_family():
    from torchvision_cpu import torchvision

    theirs = set(torchvision.models.list_models())
    families = {entry.family.name for entry in catalogue.entries() if entry.name in theirs}
    assert families == {catalogue.get(name).family.name for name in SIZES}


@pytest.mark.torch("torchvision")
@pytest.mark.parametrize("name", ["vgg11", "densenet121", "fcn_resnet50"])
def test_the_same_outputs(name):
    """Of the others test_from_torch.py shows that what is read from torchvision is the catalogue's own computation, and
    that it gives torchvision's outputs."""
    import torch

    module, net = pair(name, SIZES[name])
    weights = weights_of(module)
    assert set(weights) == set(net.parameters)
    x = torch.randn(2, 3, SIZES[name], SIZES[name])
    with torch.no_grad():
        wanted = module.eval()(x)
    wanted = (wanted["out"] if isinstance(wanted, dict) else wanted).numpy()
    for engine in ("numpy", "auto"):
        found = get_engine(engine).compile(net, weights)(x.numpy())
        assert np.abs(found - wanted).max() <= 1e-4 * np.abs(wanted).max(), engine


@pytest.mark.torch("torchvision")
@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "densenet121", "convnext_tiny"])
def test_the_same_gradients_and_statistics_in_training(name):
    """In float64, where rounding cannot hide a wrong gradient; noise switched off on both sides."""
    import torch

    module, net = pair(name, 64)
    module = module.double().train()
    for part in module.modules():
        if isinstance(part, torch.nn.Dropout) or type(part).__name__ == "StochasticDepth":
            part.p = 0.0
    for node in net.nodes:
        if node.op.word in ("dropout", "stochasticdepth"):
            net = net.replace(node.name, dataclasses.replace(node.op, rate=0.0))
    weights = weights_of(module)
    x = torch.randn(3, 3, 64, 64, dtype=torch.float64)
    wanted = module(x)
    direction = torch.randn_like(wanted)
    wanted.backward(direction)
    program = get_engine("numpy").training(net, weights)
    (found,) = program.forward(x.numpy(), np.random.default_rng(0))
    gradients = program.backward([direction.numpy()])
    np.testing.assert_allclose(found, wanted.detach().numpy(), rtol=1e-8, atol=1e-8)
    largest = max(float(p.grad.abs().max()) for p in module.parameters())
    for key, parameter in module.named_parameters():
        np.testing.assert_allclose(
            gradients[key], parameter.grad.numpy(), rtol=1e-6, atol=1e-8 * largest, err_msg=key
        )
    for key, tensor in module.state_dict().items():
        if key.endswith(("running_mean", "running_var")):
            np.testing.assert_allclose(
                program.updates[key], tensor.numpy(), rtol=1e-8, atol=1e-10, err_msg=key
            )
