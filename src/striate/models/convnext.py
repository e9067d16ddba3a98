"""ConvNeXt, tiny to large: a convolutional network with the habits of a vision transformer.

Names as in torchvision. Inside a block the channels come last, so that the two pointwise steps are fully
connected layers with (out, in) weights.
"""

from __future__ import annotations

from functools import partial

from striate.models._blocks import sequential
from striate.models.catalogue import Family, Image, model
from striate.network import Builder, Network, Ref
from striate.ops.activation import Gelu
from striate.ops.conv import Conv
from striate.ops.linear import Linear
from striate.ops.merge import Add
from striate.ops.norm import LayerNorm
from striate.ops.pool import GlobalAvgPool
from striate.ops.regularize import LayerScale, StochasticDepth
from striate.ops.reshape import Flatten, Permute

CONVNEXT = Family(
    name="ConvNeXt",
    year=2022,
    paper="Z. Liu et al.: A ConvNet for the 2020s, CVPR 2022",
    new="A ResNet modernized step by step (patches, 7x7 depthwise, few norms) matches vision transformers.",
    url="https://arxiv.org/abs/2201.03545",
    source="torchvision 0.29.2, ConvNeXt_*_Weights meta",
    initializer="convnext",
)

NORM = LayerNorm(eps=1e-6, axes="channels")

SIZES = {
    "convnext_tiny": ((96, 192, 384, 768), (3, 3, 9, 3), 0.1, 28_589_128, 4.456),
    "convnext_small": ((96, 192, 384, 768), (3, 3, 27, 3), 0.4, 50_223_688, 8.684),
    "convnext_base": ((128, 256, 512, 1024), (3, 3, 27, 3), 0.5, 88_591_464, 15.355),
    "convnext_large": ((192, 384, 768, 1536), (3, 3, 27, 3), 0.5, 197_767_336, 34.361),
}
"""Section 3: channels, blocks, stochastic depth of the last block; published parameters and GMACs."""


def convnext(
    name: str,
    widths: tuple[int, ...],
    depths: tuple[int, ...],
    drop: float,
    input: Image,
    num_classes: int = 1000,
) -> Network:
    """ConvNeXt with `depths[i]` blocks of `widths[i]` channels in stage i."""
    b = Builder(name, input=input)
    x, block = b.input, 0
    for stage, (width, depth) in enumerate(zip(widths, depths)):
        shrink = (NORM, Conv(width, kernel=2, stride=2)) if stage else (Conv(width, kernel=4, stride=4), NORM)
        x = sequential(b, x, f"features.{2 * stage}", shrink)
        for i in range(depth):
            x = _block(b, x, f"features.{2 * stage + 1}.{i}", drop * block / (sum(depths) - 1))
            block += 1
    x = b(GlobalAvgPool(), x, name="avgpool")
    return b.build(sequential(b, x, "classifier", (NORM, Flatten(), Linear(num_classes))))


def _block(b: Builder, x: Ref, name: str, drop: float) -> Ref:
    """Figure 4, right: 7x7 depthwise, norm, four times as wide, GELU, back; scaled, added to the input."""
    channels = x.spec.channels
    ops = (
        Conv(channels, kernel=7, padding=3, groups=channels),
        Permute("HWC"),
        NORM,
        Linear(4 * channels),
        Gelu(),
        Linear(channels),
        Permute("CHW"),
    )
    y = sequential(b, x, f"{name}.block", ops)
    y = b(LayerScale(1e-6), y, name=name)  # its parameter is {name}.layer_scale
    return b(Add(), b(StochasticDepth(drop), y, name=f"{name}.stochastic_depth"), x, name=f"{name}.add")


for _name, (_widths, _depths, _drop, _params, _gmacs) in SIZES.items():
    model(_name, family=CONVNEXT, params=_params, gmacs=_gmacs)(
        partial(convnext, _name, _widths, _depths, _drop)
    )
