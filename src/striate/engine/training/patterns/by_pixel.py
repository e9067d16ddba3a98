"""What patterns over the channels of each pixel share in training: they also read maps whose channels are last."""

from __future__ import annotations

from striate.engine.plan.computation import Norm, Softmax
from striate.engine.training.taped_node import AnyNode, Tensor


def reads_channels(x: Tensor, body: Norm | Softmax) -> bool:
    """Whether a pattern goes over the channels, along which blocks lie, of a tensor that kernels can read."""
    return (x.owns_memory or x.permuted is not None) and body.fits([x.roles])


def output_like_input(node: AnyNode) -> Tensor:
    """The tensor that is computed: the output, in the memory order of the input."""
    (x,), (y,) = node.inputs, node.outputs
    if x.plain is x:
        return y
    tensor = Tensor(y.name, x.plain.shape, x.plain.roles, maker=y.maker)
    if x.permuted is not None:
        y.permuted = tensor
    else:
        y.flat = tensor
    y.roles = x.roles
    return tensor
