"""What each cost tool counts, as data: one table per convention, op word -> amounts.

Every number was read from the tool's source and is held to the tool itself by the oracle tests, op by op and
model by model. A tool counts what it can see, so a convention has up to two tables: `modules` for an op that
PyTorch code holds as `nn.Module` (the usual spelling, and what is assumed), `functions` for the same op called
as `torch.nn.functional.*`. An op missing from a table counts 0. All counts are per image.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True, slots=True)
class Count:
    """A sum of amounts of one node; each field says how many times that quantity of the node is counted.

    products: multiplications of the declaration · taps: output elements times the numbers in one filter ·
    bias: output elements, if there is a bias · inputs, outputs: elements of the first input, of all outputs ·
    rows: lines that softmax normalizes · halo: input elements and the channels that an LRN window pads.
    """

    products: int = 0
    taps: int = 0
    bias: int = 0
    inputs: int = 0
    outputs: int = 0
    rows: int = 0
    halo: int = 0
    note: str = ""

    def terms(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in QUANTITIES if getattr(self, name)}


QUANTITIES = {  # quantity -> the words for it, after the number
    "products": "per multiplication",
    "taps": "per output element and filter element",
    "bias": "per output element for the bias",
    "inputs": "per input element",
    "outputs": "per output element",
    "rows": "per normalized vector",
    "halo": "per channel-padded input element",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Case:
    """Counts that depend on an op's field, or on `spatial`, the number of spatial axes. All others count 0."""

    field: str
    counts: Mapping[Any, Count | Case]


Table = Mapping[str, Count | Case]


@dataclasses.dataclass(frozen=True, slots=True)
class Convention:
    """One way to count. `functions` None: the tool traces the run, so the spelling does not matter to it."""

    name: str
    sentence: str
    source: str
    modules: Table
    functions: Table | None = None


def _each(words: str, count: Count | Case) -> dict[str, Count | Case]:
    return dict.fromkeys(words.split(), count)


def _affine(plain: int, scaled: int) -> Case:
    """`plain` per input element, `scaled` with the learned scale and shift."""
    return Case("affine", {False: Count(inputs=plain), True: Count(inputs=scaled)})


_NORMS = "bn ln gn in"
_PRODUCTS = _each("conv tconv fc", Count(products=1))

STRIATE = Convention(
    "striate",
    "mac=1; conv and fc multiplications only; bias, norm, pool and activation not counted",
    "declared statements",
    _PRODUCTS | _each("opaque", Count(products=1)),
)

TORCHVISION = Convention(
    "torchvision",
    "mac=1; convolution, addmm, mm and bmm multiplications only (the GFLOPS of its weights' metadata)",
    "torchvision 0.29.2, test/common_extended_utils.py",
    _PRODUCTS,
)

FVCORE = Convention(
    "fvcore",
    "mac=1; conv and fc multiplications, and estimates for norms, 2-D adaptive average pooling and upsampling",
    "fvcore 0.1.5.post20221221, FlopCountAnalysis in eval mode",
    {
        **_PRODUCTS,
        **_each(_NORMS, _affine(4, 5)),
        "bn": _affine(1, 2),
        **_each("gap adaptiveavgpool", Case("spatial", {2: Count(inputs=1, note="2-D only")})),
        "upsample": Case(
            "spatial", {2: Case("method", {"nearest": Count(outputs=1), "bilinear": Count(outputs=4)})}
        ),
    },
)

_DOUBLE_NORM = "its norm formula is 2 per element, doubled again when affine"
THOP = Convention(
    "thop",
    "mac=1; conv and fc multiplications, and norms, average pooling, softmax, prelu, upsampling; modules only",
    "thop 0.1.1.post2209072238, profile",
    {
        **_each("conv fc", Count(products=1)),
        "tconv": Count(taps=1, note="counts a full filter for every output"),
        **_each(
            "bn ln in",
            Case("affine", {False: Count(inputs=2), True: Count(inputs=4, note=_DOUBLE_NORM)}),
        ),
        "avgpool": Count(outputs=1, note="ignores the kernel size"),
        **_each("gap adaptiveavgpool", Count(inputs=1, outputs=1)),
        "prelu": Count(inputs=1),
        "softmax": Count(inputs=3, rows=-1),
        "upsample": Case(
            "method",
            {
                "nearest": Count(outputs=1),
                "bilinear": Case("spatial", {1: Count(outputs=5), 2: Count(outputs=11)}),
            },
        ),
    },
    {},
)

_TWICE = "counted twice: as a module, and as the function that the module calls"
_POOLS = "maxpool avgpool gap gmp adaptiveavgpool adaptivemaxpool"
_INSIDE_LP = Count(inputs=1, outputs=2, note="the pooling, relu and product inside")
_INSIDE_LRN = Count(inputs=3, halo=1, note="the products, sum and pooling inside")
PTFLOPS = Convention(
    "ptflops",
    "mac=1; conv and fc multiplications and biases, norms, and pooling and activations (most of them twice)",
    "ptflops 0.7.5, pytorch backend, count_functional on (its defaults)",
    {
        **_each("conv tconv fc", Count(products=1, bias=1)),
        **_each("bn gn in", _affine(1, 2)),
        "ln": Count(inputs=1),
        **_each(_POOLS, Count(inputs=2, note=_TWICE)),
        "lppool": _INSIDE_LP,
        "lrn": _INSIDE_LRN,
        **_each("relu prelu elu gelu", Count(inputs=2, note=_TWICE)),
        **_each("relu6 leakyrelu silu softmax", Count(inputs=1)),
        "upsample": Count(outputs=2, note=_TWICE),
    },
    {
        **_each(_POOLS, Count(inputs=1)),
        "lppool": _INSIDE_LP,
        "lrn": _INSIDE_LRN,
        **_each("relu prelu elu gelu relu6 silu softmax", Count(inputs=1)),
        "upsample": Count(outputs=1),
    },
)

CONVENTIONS = {c.name: c for c in (STRIATE, TORCHVISION, FVCORE, THOP, PTFLOPS)}
