"""Helper modules that PyTorch lacks, as text to paste into exported source."""

from __future__ import annotations

HELPERS = {
    "constant": '''def constant(module: nn.Module, name: str) -> None:
    """Turn a parameter into a buffer: part of the state, not trained."""
    held = getattr(module, name).detach()
    delattr(module, name)
    module.register_buffer(name, held)''',
    "ChannelNorm": '''class ChannelNorm(nn.LayerNorm):
    """Layer normalization over the channels of (N, C, ...)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)''',
    "Permute": '''class Permute(nn.Module):
    """Permute the axes."""

    def __init__(self, dims: tuple[int, ...]) -> None:
        super().__init__()
        self.dims = dims

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.permute(self.dims)''',
    "StochasticDepth": '''class StochasticDepth(nn.Module):
    """Drop the residual branch for random images in training."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or self.p == 0:
            return x
        kept = torch.rand(len(x), *[1] * (x.ndim - 1), device=x.device) >= self.p
        return x * kept.to(x.dtype) / (1 - self.p)''',
    "LayerScale": '''class LayerScale(nn.Module):
    """Multiply by one learned factor per channel."""

    def __init__(self, shape: tuple[int, ...], init: float) -> None:
        super().__init__()
        self.layer_scale = nn.Parameter(torch.full(shape, init))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.layer_scale''',
    "Affine": '''class Affine(nn.Module):
    """x * scale * weight + bias + shift, for the tensors whose shape is given."""

    def __init__(self, scale=1.0, shift=0.0, weight=None, bias=None, learned=True) -> None:
        super().__init__()
        self.scale, self.shift = scale, shift
        keep = self.register_parameter if learned else self.register_buffer
        for name, shape, start in (("weight", weight, 1.0), ("bias", bias, 0.0)):
            held = None if shape is None else torch.full(shape, start)
            keep(name, nn.Parameter(held) if learned and held is not None else held)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x * self.scale
        x = x if self.weight is None else x * self.weight
        x = x if self.bias is None else x + self.bias
        return x + self.shift''',
}
"""Small modules that are added to the source where needed."""
