"""Units whose tuning is known in closed form, as networks with weights."""

import numpy as np

import striate as st
from striate.network import Builder
from striate.ops import Conv, MaxPool, Multiply, Relu

SOBEL = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], np.float32)
LADDER = (0.06, 0.08, 0.1, 0.13, 0.1785, 0.23, 0.3, 0.4)
"""Frequencies for units of different fields that are compared with each other."""


def plane(size):
    """x to the right and y upward from the center of a square."""
    rows, columns = np.mgrid[:size, :size] - (size - 1) / 2
    return columns, -rows


def gabor(size=13, orientation=37.0, frequency=0.16, sigma=2.0, aspect=0.7, phase=0.0):
    """A Gabor function without mean whose bars stand at `orientation` degrees, (size, size)."""
    x, y = plane(size)
    direction = np.deg2rad(orientation - 90)
    u, v = x * np.cos(direction) + y * np.sin(direction), y * np.cos(direction) - x * np.sin(direction)
    wave = np.exp(-(u**2 + (aspect * v) ** 2) / (2 * sigma**2)) * np.cos(2 * np.pi * frequency * u - phase)
    return (wave - wave.mean()).astype(np.float32)


def center_surround(size=15):
    x, y = plane(size)
    center, surround = (np.exp(-(x**2 + y**2) / (2 * s**2)) for s in (1.2, 2.4))
    return (center / center.sum() - surround / surround.sum()).astype(np.float32)


def transfer(weights, orientation, frequency):
    """Fourier magnitude of filters (…, H, W) at a grating: radians, cycles per pixel."""
    height, width = weights.shape[-2:]
    rows, columns = np.mgrid[:height, :width].astype(float)
    direction = orientation - np.pi / 2
    cycles = frequency * (columns * np.cos(direction) - rows * np.sin(direction))
    return np.abs((weights * np.exp(-2j * np.pi * cycles)).sum((-2, -1)))


def amplitude(weights):
    """The largest modulation of a filter's response to a grating of the protocol, at full contrast."""
    size = weights.shape[-1]
    frequencies = np.geomspace(1 / max(size, 12), 0.45, 8)
    return 0.5 * max(transfer(weights, np.pi * k / 24, f) for k in range(24) for f in frequencies)


def linear(weights, bias=0.0, side=32, padding=0, channels=1):
    """conv1 -> relu1 with filters (K, C, F, F), or one filter (F, F)."""
    weights = weights.reshape(-1, channels, *weights.shape[-2:])
    size = weights.shape[-1]
    text = f"{side}x{side}x{channels} -> conv {size}x{size} {len(weights)} pad {padding} -> relu"
    return st.Model(text, weights={"conv1.weight": weights, "conv1.bias": np.full(len(weights), bias)})


def pooled(weights, pool, side=40):
    """conv1 -> relu1 -> maxpool1 over pool x pool positions of one filter."""
    build = Builder("pooled", input=(1, side, side))
    size = weights.shape[-1]
    x = build(Relu(), build(Conv(1, size), build.input))
    if pool > 1:
        x = build(MaxPool(pool, stride=1), x)
    return st.Model(build.build(x), weights={"conv1.weight": weights[None, None], "conv1.bias": np.zeros(1)})


def surrounded(weight):
    """conv1 (four phases) -> relu -> conv2: one phase in the center, minus a ring of all phases around it."""
    filters = np.stack([gabor(9, sigma=1.5, phase=k * np.pi / 2) for k in range(4)])
    x, y = plane(13)
    ring = (np.hypot(x, y) > 4) & (np.hypot(x, y) <= 6)
    second = np.tile(-weight * ring / (4 * ring.sum() / np.pi), (1, 4, 1, 1))
    second[0, 0, 6, 6] = 1.0
    weights = {"conv1.weight": filters[:, None], "conv1.bias": np.zeros(4)}
    weights |= {"conv2.weight": second, "conv2.bias": np.zeros(1)}
    return st.Model("32x32x1 -> conv 9x9 4 -> relu -> conv 13x13 1 -> relu", weights=weights)


def energy(size=13, **how):
    """conv1 (even and odd filter) -> square -> conv2 (their sum): a complex cell without preferred phase."""
    build = Builder("energy", input=(1, 32, 32))
    pair = build(Conv(2, size), build.input)
    out = build(Conv(1, 1), build(Multiply(), pair, pair))
    filters = np.stack([gabor(size, phase=phase, **how) for phase in (0, np.pi / 2)])
    weights = {"conv1.weight": filters[:, None], "conv1.bias": np.zeros(2)}
    return st.Model(
        build.build(out),
        weights={**weights, "conv2.weight": np.ones((1, 2, 1, 1)), "conv2.bias": np.zeros(1)},
    )
