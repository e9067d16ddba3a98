"""Which axes the kernels of a pattern can read, and what a view is: the same for inference and training."""

import pytest

from striate.engine.plan.computation import Alias, Copies, Correlation, LocalResponseNorm, Norm, Pool, Softmax
from striate.geometry import Window
from striate.statement import Const

WINDOWS = (Window(4, 3), Window(4, 3))
CONVOLUTION, DENSE = Correlation(1, 1, 3, 4, WINDOWS, True), Correlation(2, 1, 3, 4, None, True)


@pytest.mark.parametrize(
    ("pattern", "right", "wrong"),
    [
        (CONVOLUTION, ["nchw", "ncw"], ["nhwc", "nhcw", "nc", ""]),
        (DENSE, ["nhc", "nwc", "nhcw"], ["nchw", "nc", ""]),
        (Norm(3, 0, 1e-5, True), ["nhwc"], ["nchw", ""]),
        (Softmax(1, False), ["nc", "ncw", "nchw", "nchw", "ncdhw"], ["nhwc", "nwc", ""]),
        (Pool("max", WINDOWS), ["ncw", "nchw"], ["nhwc", "nhcw", ""]),
        (LocalResponseNorm(3, Const(1.0)), ["nchw"], ["nhwc", ""]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_axes_that_kernels_read(pattern, right, wrong):
    assert [roles for roles in right + wrong if pattern.fits([roles])] == right


def test_every_input_counts():
    assert Copies(()).fits(["nchw", "nchw"])
    assert not Copies(()).fits(["nchw", "nhwc"])


@pytest.mark.parametrize(
    ("alias", "roles", "flat", "view"),
    [
        (Alias("same"), "nhwc", False, "nhwc"),
        (Alias("same"), "nc", True, "nc"),
        (Alias("flat"), "nchw", False, "nc"),
        (Alias("flat"), "ncdhw", False, "nc"),
        (Alias("flat"), "nhwc", False, None),  # other numbers are neighbors
        (Alias("flat"), "nc", True, None),
        (Alias("permute", (0, 2, 3, 1)), "nchw", False, "nhwc"),
        (Alias("permute", (0, 3, 1, 2)), "nhwc", False, "nchw"),
        (Alias("permute", (0, 2, 1, 3)), "nchw", False, "nhcw"),
        (Alias("permute", (0, 1, 3, 2)), "nchw", False, None),  # rows and columns change places
        (Alias("permute", (0, 2, 1)), "nc", True, None),
        (Alias("permute", (0, 1, 2, 3, 5, 4)), "", False, None),  # more axes than kernels know
    ],
)
def test_views(alias, roles, flat, view):
    assert alias.view(roles, flat) == view
