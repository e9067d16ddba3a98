"""A catalogue entry's twin in torchvision, on torch's meta device: names, shapes and counts without any data."""

import hashlib
from collections.abc import Callable
from unittest import mock

import torch
from torch.utils.flop_counter import FlopCounterMode
from torch.utils.hooks import RemovableHandle

from striate.models import catalogue
from torchvision_cpu import torchvision

SWITCHES = {"googlenet": "aux_logits", "inception_v3": "aux_logits"}
"""What torchvision calls the option `aux`; in its segmentation networks it is `aux_loss`."""


def known() -> list[str]:
    """The names that torchvision has, too, oldest first."""
    theirs = set(torchvision.models.list_models())
    return [name for name in catalogue.list_models() if name in theirs]


def _computed(function: Callable[..., object]) -> Callable[..., object]:
    """RegNet computes its widths with torch; that needs numbers."""

    def call(*args: object, **kwargs: object) -> object:
        with torch.device("cpu"):
            return function(*args, **kwargs)

    return call


def twin(name: str, aux: bool = False) -> torch.nn.Module:
    """torchvision's network of that name, without weights, in evaluation mode."""
    options = {"weights": None}
    if name in SWITCHES:
        options |= {SWITCHES[name]: aux, "init_weights": False}
    elif name.startswith("fcn_"):
        options |= {"weights_backbone": None, "aux_loss": aux}
    widths = torchvision.models.regnet.BlockParams
    with (
        torch.device("meta"),
        mock.patch.object(widths, "from_init_params", _computed(widths.from_init_params)),
    ):
        return torchvision.models.get_model(name, **options).eval()


def published(name: str, size: int) -> tuple[int, float]:
    """Parameters and GMACs that torchvision prints for its weights, of those made for this input size if any are."""
    weights = list(torchvision.models.get_model_weights(name))
    fitting = [w for w in weights if w.transforms.keywords.get("crop_size") == size]
    meta = (fitting or weights)[0].meta
    return meta["num_params"], meta["_ops"]


def state_lines(module: torch.nn.Module) -> list[str]:
    """`name shape` of every entry of the state, in order, without the counters of batch normalization."""
    return [
        f"{name} {'x'.join(map(str, tensor.shape))}"
        for name, tensor in module.state_dict().items()
        if not name.endswith("num_batches_tracked")
    ]


def summary(lines: list[str]) -> dict[str, object]:
    """A list of lines, small enough to be kept: their number, the hash of the sorted lines, the last of them."""
    lines = sorted(lines)
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return {"count": len(lines), "sha256": digest, "last": lines[-1]}


def run(module: torch.nn.Module, image: tuple[int, ...]) -> tuple[dict[str, tuple[int, ...]], int]:
    """One forward pass: the output shape (without batch) of each leaf module's last call, and the MACs of all."""
    shapes: dict[str, tuple[int, ...]] = {}

    def watch(name: str, leaf: torch.nn.Module) -> RemovableHandle:
        return leaf.register_forward_hook(
            lambda _module, _inputs, y: shapes.update({name: tuple(y.shape[1:])})
        )

    hooks = [watch(name, leaf) for name, leaf in module.named_modules() if not list(leaf.children())]
    with FlopCounterMode(display=False) as counter:
        module(torch.empty(1, *image, device="meta"))
    for hook in hooks:
        hook.remove()
    return shapes, counter.get_total_flops() // 2
