"""Attributions against Captum and pytorch-grad-cam, on the same weights.

Both packages import libraries for drawing that they do not use here. These are replaced by empty modules, and OpenCV's
`resize`, which enlarges a map, by PyTorch's bilinear interpolation, which has the same definition.
"""

import contextlib
import importlib.abc
import importlib.machinery
import sys
import types

import numpy as np
import pytest

import striate as st

DRAWING = ("matplotlib", "mpl_toolkits", "cv2", "ttach", "scipy", "sklearn")
DIGITS = "8x8x1 -> conv 3x3 8 pad 1 -> bn -> relu -> maxpool 2 -> conv 3x3 16 -> relu -> flatten -> fc 10"
LABEL = 3


def digits():
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3), nn.ReLU(),
        nn.Flatten(), nn.Linear(64, 10),
    )  # fmt: skip


def published(name):
    from torchvision_cpu import torchvision

    return torchvision.models.get_model(name, weights=None, num_classes=10)


CASES = {
    "digits": (digits, lambda: st.parse(DIGITS), lambda module: module[5]),
    "resnet18": (
        lambda: published("resnet18"),
        lambda: st.create("resnet18", input=(3, 64, 64), num_classes=10),
        lambda module: module.layer4[-1],
    ),
    "mobilenet_v2": (
        lambda: published("mobilenet_v2"),
        lambda: st.create("mobilenet_v2", input=(3, 64, 64), num_classes=10),
        lambda module: module.features[-1],
    ),
}
"""PyTorch's module, the network here, and the module of the last map."""


class _Empty(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds empty modules in place of the drawing libraries."""

    def find_spec(self, name, path=None, target=None):
        return (
            importlib.machinery.ModuleSpec(name, self, is_package=True)
            if name.split(".")[0] in DRAWING
            else None
        )

    def create_module(self, spec):
        class Module(types.ModuleType):
            def __getattr__(self, name):
                if name.startswith("__"):
                    raise AttributeError(name)
                return type(name, (), {"__init__": lambda self, *a, **k: None})

        return Module(spec.name)

    def exec_module(self, module):
        pass


def _resize(array, size):
    import torch

    plane = torch.from_numpy(np.ascontiguousarray(array))[None, None]
    return torch.nn.functional.interpolate(plane, size=size[::-1], mode="bilinear", align_corners=False)[
        0, 0
    ].numpy()


@contextlib.contextmanager
def without_drawing():
    """Import the packages with empty modules in place of the drawing libraries."""
    held = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] in DRAWING}
    finder = _Empty()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if name.split(".")[0] in DRAWING]:
            del sys.modules[name]
        sys.modules.update(held)


@pytest.fixture(scope="module", params=list(CASES))
def case(request):
    """A model, the same as a module in float64, an image, and the module of the last map."""
    import torch

    make, network, last = CASES[request.param]
    torch.manual_seed(0)
    module = make()
    for part in module.modules():  # statistics unlike those of fresh weights
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.2, 0.6)
    net = network()
    state = [v.numpy() for name, v in module.state_dict().items() if not name.endswith("num_batches_tracked")]
    model = st.Model(net, weights=dict(zip(net.parameters, state, strict=True)))
    x = np.random.default_rng(0).standard_normal((1, *net.input.without_batch)).astype(np.float32)
    return model, module.double().eval(), x, torch.from_numpy(x).double(), last(module)


def near(found, wanted, tolerance):
    assert found.shape == wanted.shape
    largest = np.abs(wanted).max()
    assert largest > 0
    np.testing.assert_allclose(found / largest, wanted / largest, atol=tolerance, rtol=0)


@pytest.mark.torch("captum")
def test_saliency_is_captums(case):
    with without_drawing():
        from captum.attr import Saliency
    model, module, x, tensor, _ = case
    wanted = Saliency(module).attribute(tensor.clone().requires_grad_(), target=LABEL)
    near(st.attribute(model, x, "saliency", target=LABEL).values, wanted[0].detach().numpy(), 1e-4)


@pytest.mark.torch("captum")
def test_gradient_x_input_is_captums(case):
    with without_drawing():
        from captum.attr import InputXGradient
    model, module, x, tensor, _ = case
    wanted = InputXGradient(module).attribute(tensor.clone().requires_grad_(), target=LABEL)
    near(st.attribute(model, x, "gradient-x-input", target=LABEL).values, wanted[0].detach().numpy(), 1e-4)


@pytest.mark.torch("captum")
@pytest.mark.parametrize("steps", [7, 50])
def test_integrated_gradients_are_captums(case, steps):
    with without_drawing():
        from captum.attr import IntegratedGradients
    model, module, x, tensor, _ = case
    wanted = IntegratedGradients(module).attribute(tensor, target=LABEL, n_steps=steps)
    x = x.astype(np.float64)  # of 50 images, some activation is as near to 0 as float32 rounds
    found = st.attribute(model, x, "integrated-gradients", target=LABEL, steps=steps)
    near(found.values, wanted[0].detach().numpy(), 1e-4)


@pytest.mark.torch("captum")
def test_occlusion_is_captums(case):
    with without_drawing():
        from captum.attr import Occlusion
    model, module, x, tensor, _ = case
    channels, height, _ = x.shape[1:]
    window, stride = (3, 2) if height < 16 else (20, 15)
    wanted = Occlusion(module).attribute(
        tensor, (channels, window, window), strides=(channels, stride, stride), target=LABEL
    )
    x = x.astype(np.float64)  # the score falls by little
    found = st.attribute(model, x, "occlusion", target=LABEL, window=window, stride=stride)
    near(np.broadcast_to(found.values, x.shape[1:]), wanted[0].detach().numpy(), 1e-4)


@pytest.mark.torch("pytorch_grad_cam")
def test_grad_cam_is_that_of_pytorch_grad_cam(case):
    from torchvision_cpu import torchvision  # noqa: F401  which pytorch-grad-cam imports

    with without_drawing():
        from pytorch_grad_cam import GradCAM
        from pytorch_grad_cam.utils import image as scaling
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
    scaling.cv2 = types.SimpleNamespace(resize=_resize)
    model, module, x, tensor, layer = case
    cam = GradCAM(module, [layer])
    maps = [cam(tensor, [ClassifierOutputTarget(label)]) for label in range(10)]
    assert sum(map(np.any, maps)) > 1
    for label in range(0, 10, 3):
        found = st.attribute(model, x, "grad-cam", target=label).values
        np.testing.assert_allclose(found, maps[label], atol=1e-3, rtol=0)


@pytest.mark.torch("pytorch_grad_cam")
def test_grad_cam_of_another_layer_is_that_of_pytorch_grad_cam():
    from torchvision_cpu import torchvision  # noqa: F401  which pytorch-grad-cam imports

    with without_drawing():
        from pytorch_grad_cam import GradCAM
        from pytorch_grad_cam.utils import image as scaling
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
    import torch

    scaling.cv2 = types.SimpleNamespace(resize=_resize)
    torch.manual_seed(0)
    module = digits()
    net = st.parse(DIGITS)
    state = [v.numpy() for name, v in module.state_dict().items() if not name.endswith("num_batches_tracked")]
    model = st.Model(net, weights=dict(zip(net.parameters, state, strict=True)))
    module = module.double().eval()
    x = np.random.default_rng(0).standard_normal((1, 1, 8, 8)).astype(np.float32)
    for layer, name in (
        (module[0], "conv1"),
        (module[2], "relu1"),
        (module[3], "maxpool1"),
        (module[4], "conv2"),
    ):
        wanted = GradCAM(module, [layer])(torch.from_numpy(x).double(), [ClassifierOutputTarget(LABEL)])
        found = st.attribute(model, x, "grad-cam", target=LABEL, layer=name).values
        np.testing.assert_allclose(found, wanted, atol=1e-3, rtol=0)
