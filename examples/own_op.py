"""An op of your own, outside the package: one class declares it. Shapes, fields, checks and arithmetic follow.

StarRelu is s·relu(x)² + b with learned s and b (Yu et al., arXiv 2210.13452).
"""

import dataclasses
from typing import ClassVar

import numpy as np

import striate as st
from striate.engine.numpy_ import reference
from striate.op import Declaration, Op
from striate.statement import Affine, Domain, Statement, call, index, load
from striate.tensor import Parameter, TensorSpec


@dataclasses.dataclass(frozen=True)
class StarRelu(Op):
    """s·relu(x)² + b. Input and output: (N, C, H, W)."""

    word: ClassVar[str] = "starrelu"

    def declare(self, *inputs: TensorSpec) -> Declaration:
        (x,) = inputs
        here = dict(zip("nchw", x.shape, strict=True))  # loop variable -> its range
        positive = call("max", load("x0", *here), 0)
        value = positive * positive * load("scale", Affine(())) + load("bias", Affine(()))
        learned = (Parameter("scale", (1,), "scale"), Parameter("bias", (1,), "bias"))
        return Declaration(
            self, inputs, inputs, learned, (Statement("y0", index(*here), value, Domain(here)),)
        )


net = st.parse("8x8x1 -> conv 3x3 2 -> starrelu -> gap")
print({name: parameter.shape for name, parameter in net.parameters.items()})
print("field:", st.analyze(net).node("starrelu1").receptive_field["h"].size)
weights = {name: np.ones(parameter.shape) for name, parameter in net.parameters.items()}
print(reference.predict(net, np.ones((1, 1, 8, 8)), weights)["gap1"].ravel())  # (9 + 1)² + 1
