"""Small networks and data sets that the training tests share: three kinds of stripes, told apart in seconds."""

import numpy as np

from striate import parse, weights
from striate.train.data import ArrayData

NET = "8x8x1 -> conv 3x3 4 bias off -> bn -> relu -> maxpool 2 -> flatten -> dropout 0.1 -> fc 3"
PLAIN = "8x8x1 -> conv 3x3 4 -> relu -> maxpool 2 -> flatten -> fc 3"


def stripes(count=60, seed=0, noise=0.3):
    """Images (count, 1, 8, 8) of rows, columns or squares, under noise; classes in turn."""
    rng = np.random.default_rng(seed)
    y = np.arange(count) % 3
    grid = np.arange(8)
    rows, columns = np.meshgrid(grid % 2, grid % 2, indexing="ij")
    kinds = np.stack([rows, columns, rows ^ columns])
    x = kinds[y][:, None] * 0.7 + rng.random((count, 1, 8, 8)) * noise
    return ArrayData(x.astype(np.float32), y, ("rows", "columns", "squares"))


def start(notation=NET, seed=0):
    """A network and its fresh weights."""
    net = parse(notation)
    return net, weights.initialize(net, seed)
