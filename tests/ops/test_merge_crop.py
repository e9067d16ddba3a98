"""A crop needs height and width after the channels, whatever order its inputs share."""

import pytest

from striate.diagnostics import OpError
from striate.network import Builder
from striate.ops import Flatten, Permute
from striate.ops.merge import Crop


@pytest.mark.parametrize("before", [Permute("HCW"), Flatten()])
def test_a_crop_of_other_axes_is_refused(before):
    build = Builder("crop", input=(2, 8, 8))
    x = build(before, build.input)
    with pytest.raises(OpError, match="needs height and width"):
        build(Crop(), x, x)
