"""Statistics of a group of channels are context: what a unit of the map reads locally is its own pixel."""

import pytest

from striate.analysis import receptive_fields
from striate.formats import parse


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_a_group_norm_keeps_the_field(groups):
    network = parse(f"8x8x4 -> conv 3x3 4 pad 1 -> gn {groups}")
    fields = receptive_fields(network)
    assert {axis: known.field.size for axis, known in fields["gn1"].items()} == {"H": 3, "W": 3}
    reading = network.declarations["gn1"].readings[0]["H"]
    assert reading.axis == "H" and reading.map is None and reading.context
