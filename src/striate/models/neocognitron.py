"""The Neocognitron: layers of S-cells (convolution) and C-cells (pooling), eighteen years before LeNet-5.

What can be declared are the cells, the planes that share their weights, and the connections, with the
sizes of the 1980 simulation: 16x16 -> S1 16x16x24 -> C1 10x10x24 -> S2 8x8x24 -> C2 6x6x24 -> S3 2x2x24 ->
C3 24 cells; every S-cell reads 5x5 cells of every plane before it, every C-cell 5x5 cells (in C3 2x2) of
its own plane.

What cannot, and is replaced:
- an S-cell divides its excitation by 1 + inhibition, the weighted root of the mean squares it reads
  (shunting inhibition); here relu;
- a C-cell takes a fixed weighted sum, strongest in the center, and saturates as x/(a + x); here the mean;
- learning without a teacher: the strongest S-cell of each column reinforces its plane; here the weights are
  parameters like any others;
- how the C layers thin out: the paper prints their sizes only; stride 2 beyond the border on all sides is
  what gives 16 -> 10 and 8 -> 6.
"""

from __future__ import annotations

from striate.models.catalogue import Family, Image, model
from striate.network import Builder, Network
from striate.ops.activation import Relu
from striate.ops.conv import Conv
from striate.ops.pool import AvgPool, GlobalAvgPool
from striate.ops.reshape import Flatten, Pad

NEOCOGNITRON = Family(
    name="Neocognitron",
    year=1980,
    paper=(
        "K. Fukushima: Neocognitron: A Self-organizing Neural Network Model for a Mechanism of Pattern "
        "Recognition Unaffected by Shift in Position, Biological Cybernetics 36"
    ),
    new=(
        "Hubel and Wiesel's simple and complex cells became planes of shared weights and pooling, stacked"
        " three deep."
    ),
    url="https://doi.org/10.1007/BF00344251",
    source="the paper prints the sizes of the layers, no totals",
)

PLANES = 24


@model(
    "neocognitron",
    family=NEOCOGNITRON,
    input=(1, 16, 16),
    note=(
        "sizes and connections of the 1980 simulation; cells and learning simplified: relu, mean, "
        "ordinary weights"
    ),
)
def neocognitron(input: Image, num_classes: int = PLANES) -> Network:
    """Three pairs of S and C layers; the last has one C-cell per plane, one for each learned pattern."""
    b = Builder("neocognitron", input=input)
    x = b.input
    for stage, (planes, border) in enumerate(((PLANES, 2), (PLANES, 1), (num_classes, 0)), start=1):
        x = b(Relu(), b(Conv(planes, kernel=5, padding=border), x, name=f"S{stage}"), name=f"S{stage}.relu")
        if stage < 3:
            x = b(Pad(((4, 3), (4, 3))), x, name=f"C{stage}.border")
            x = b(AvgPool(5, stride=2), x, name=f"C{stage}")
        else:
            x = b(GlobalAvgPool(), x, name=f"C{stage}")
    return b.build(b(Flatten(), x, name="flatten"))
