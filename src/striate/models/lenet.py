"""LeNet-5: the network that read bank checks, in today's form and as printed in 1998.

Not declared of the 1998 form: the constants of its squashing function 1.7159 tanh(2x/3) (here tanh), and
the Euclidean radial basis units of its output, which compare F6 with hand-drawn 7x12 bitmaps of the digits
(here a matrix of the same 10 x 84 numbers).
"""

from __future__ import annotations

from striate.models._blocks import sequential
from striate.models.catalogue import Family, Image, model
from striate.network import Builder, Network
from striate.ops.activation import Relu, Tanh
from striate.ops.conv import Conv
from striate.ops.linear import Linear
from striate.ops.merge import Concat
from striate.ops.pool import AvgPool, MaxPool
from striate.ops.reshape import Flatten, Slice

LENET = Family(
    name="LeNet",
    year=1998,
    paper=(
        "Y. LeCun, L. Bottou, Y. Bengio, P. Haffner: Gradient-Based Learning Applied to Document "
        "Recognition, Proc. IEEE 86(11)"
    ),
    new=(
        "Convolution, subsampling and fully connected layers trained as one by back-propagation, and in "
        "daily use: it read bank checks."
    ),
    url="https://doi.org/10.1109/5.726791",
    source=(
        "the paper, section II.B: 156 + 12 + 1516 + 32 + 48120 + 10164 = 60000 trained parameters and "
        "340908 connections"
    ),
)

# Table I of the paper: which of the six maps of S2 each of the sixteen maps of C3 reads.
C3_READS = (
    *(tuple(sorted((first + i) % 6 for i in range(count))) for count in (3, 4) for first in range(6)),
    (0, 1, 3, 4),
    (1, 2, 4, 5),
    (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)


@model(
    "lenet5",
    family=LENET,
    input=(1, 32, 32),
    note="today's form: relu, max pooling, every map of conv2 reads all six maps, plain output",
)
def lenet5(input: Image, num_classes: int = 10) -> Network:
    """Two convolutions, two poolings, three fully connected layers."""
    b = Builder("lenet5", input=input)
    x = b.input
    for stage, filters in enumerate((6, 16), start=1):
        x = b(Conv(filters, kernel=5), x, name=f"conv{stage}")
        x = b(Relu(), x, name=f"relu{stage}")
        x = b(MaxPool(2), x, name=f"pool{stage}")
    x = b(Flatten(), x, name="flatten")
    for stage, features in enumerate((120, 84), start=1):
        x = b(Linear(features), x, name=f"fc{stage}")
        x = b(Relu(), x, name=f"relu{stage + 2}")
    return b.build(b(Linear(num_classes), x, name="fc3"))


@model(
    "lenet5_1998",
    family=LENET,
    input=(1, 32, 32),
    params=60_840,
    note=(
        "as printed: 60000 trained parameters and the 840 fixed numbers of the output; C3 reads 3, 4 or 6"
        " maps"
    ),
)
def lenet5_1998(input: Image, num_classes: int = 10) -> Network:
    """Layers under the paper's names: C convolution, S subsampling, F fully connected."""
    b = Builder("lenet5_1998", input=input)
    x = b(Tanh(), b(Conv(6, kernel=5), b.input, name="C1"), name="C1.tanh")
    # A subsampling map sums 2x2 inputs, then applies one trained factor and one trained bias.
    subsample = (AvgPool(2), Conv(None, kernel=1, groups="depthwise"), Tanh())
    x = sequential(b, x, "S2", subsample)
    maps = [b(Slice("C", start=i, stop=i + 1), x, name=f"S2.map{i}") for i in range(6)]
    with b.scope("C3"):
        read = [b(Concat(), *(maps[m] for m in reads), name=f"reads{k}") for k, reads in enumerate(C3_READS)]
        x = b(Concat(), *(b(Conv(1, kernel=5), r, name=str(k)) for k, r in enumerate(read)), name="maps")
        x = b(Tanh(), x, name="tanh")
    x = sequential(b, x, "S4", subsample)
    x = b(Tanh(), b(Conv(120, kernel=5), x, name="C5"), name="C5.tanh")
    x = b(Flatten(), x, name="flatten")
    x = b(Tanh(), b(Linear(84), x, name="F6"), name="F6.tanh")
    return b.build(b(Linear(num_classes, bias=False), x, name="output"))
