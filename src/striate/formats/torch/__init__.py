"""Import PyTorch modules: traced by torch.export (torch.fx if that fails), operator by operator.

`tracing` turns a module into calls of aten operators; `aten` and `moves` map each operator; `importing` builds the
network, with opaque nodes for unsupported operators. torch is imported only when a module is read.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from typing import Any

from striate.diagnostics import MissingExtraError, UsageError
from striate.extras import install_command
from striate.formats.loaded import Loaded
from striate.formats.torch.arguments import Shapes
from striate.signatures import explain_misuse

__all__ = ["fitting_input", "from_torch", "usual_input"]

SIDES = (224, 28, 32, 64, 96, 128, 256, 299, 16, 8, 48, 112, 160, 192, 384, 512)
"""Input sides tried in turn for a module that takes one size only; the most common first."""


@explain_misuse
def from_torch(module: Any, input: Shapes = (3, 224, 224), name: str = "", via: str = "auto") -> Loaded:
    """Import a torch.nn.Module in evaluation mode, with a copy of its weights, which `striate.Model` keeps.

    module: any module; input: the shape (C, H, W) for tracing; name: of the network, by default that of the module's
    class.

    A module of several inputs takes a shape for each: ``{"left": (3, 32, 32), "right": (64,)}`` by the names of
    forward's arguments, or a tuple of shapes in their order. The network's inputs have these names.

    Nodes and parameters have the names of the module's parts (``layer1.0.conv1.weight``). An unsupported operator
    becomes an opaque node with its output shape. via: "export", "fx" or "auto": torch.export, and torch.fx if that
    fails. Raises MissingExtraError without torch, FormatError if the module cannot be traced.

    >>> import torch
    >>> import striate as st
    >>> st.analyze(st.from_torch(torch.nn.Conv2d(3, 8, 3), input=(3, 32, 32))).totals.params
    224
    """
    require()
    if not isinstance(
        module, getattr(sys.modules.get("torch.nn"), "Module", ())
    ):  # who has one has imported torch
        raise _no_module(module)
    from striate.formats.torch.arguments import arguments
    from striate.formats.torch.importing import network
    from striate.formats.torch.tracing import trace

    return network(trace(module, arguments(module, input), via), name or type(module).__name__.lower())


def require() -> None:
    """Raise MissingExtraError, with the command that installs torch, if it is missing."""
    if importlib.util.find_spec("torch") is None:
        raise MissingExtraError(
            "PyTorch is not installed",
            why="torch modules are read and written with PyTorch itself",
            fix=install_command("torch"),
        )


def _no_module(value: Any) -> UsageError:
    return UsageError(
        f"{type(value).__name__} is not a torch.nn.Module",
        why="from_torch imports a module with its parts",
        fix="pass a module such as torchvision.models.resnet18()",
    )


def usual_input(module: Any) -> tuple[int, ...]:
    """Guess the input (C, H, W) of a module: timm's declaration, else its first layer's channels at 224x224."""
    require()
    if "torch" not in sys.modules:  # whoever has a module has imported torch
        raise _no_module(module)
    size = (getattr(module, "default_cfg", None) or {}).get("input_size")
    if size:
        return tuple(size)
    for part in getattr(module, "modules", tuple)():
        if hasattr(part, "in_channels"):
            rank = len(getattr(part, "kernel_size", (1, 1)))
            return (part.in_channels, *(224,) * rank)
        if hasattr(part, "in_features"):
            return (part.in_features,)
    return 3, 224, 224


def fitting_input(module: Any, usual: Sequence[int]) -> tuple[int, ...] | None:
    """The first of the common input sizes that the module accepts; only shapes are computed."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode

    from striate.formats.torch.tracing import BATCH, evaluating, quiet

    for side in SIDES if len(usual) > 1 else ():
        shape = (usual[0], *(side,) * (len(usual) - 1))
        with evaluating(module), torch.no_grad(), quiet(), FakeTensorMode(allow_non_fake_inputs=True):
            try:
                module(torch.zeros(BATCH, *shape))
            except Exception:  # whatever a user's forward raises
                continue
        return shape
    return None
