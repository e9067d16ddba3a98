"""What the tests of the layer view read from it."""

import re

import numpy as np

from striate.views.drawing import example

TINY = {"width": 320, "height": 700}


def formula(page):
    return page.locator("[data-formula]").inner_text()


def query(page):
    return dict(re.findall(r"[?&](\w+)=([^&]*)", page.evaluate("location.hash")))


def live(page):
    return page.locator("[data-live]").inner_text()


def cell(page, grid, row, column, size, plane=0):
    """Coordinates of a cell in a grid's plane."""
    box = page.locator(f"[data-grid={grid}] rect.hit").nth(plane).bounding_box()
    high, wide = size
    return box["x"] + (column + 0.5) * box["width"] / wide, box["y"] + (row + 0.5) * box["height"] / high


def output(route, filter, i, j):
    """The number by numpy: the window's products over the full depth."""
    n, f, s, p, d, c = (route.get(name, usual) for name, usual in zip("nfspdc", (7, 3, 1, 0, 1, 1)))
    x = np.array([[[example.input_number(y, z, k) for z in range(n)] for y in range(n)] for k in range(c)])
    w = np.array([[[example.weight(u, v, k, filter) for v in range(f)] for u in range(f)] for k in range(c)])
    reach = d * (f - 1) + 1
    part = np.pad(x, ((0, 0), (p, p), (p, p)))[:, i * s : i * s + reach : d, j * s : j * s + reach : d]
    return int((part * w).sum()) + example.bias(filter)
