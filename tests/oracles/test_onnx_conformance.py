"""ONNX's own backend suite, every case of every operator that is read, on both engines.

A case passes, or onnx_gaps.toml beside this file names it under the reason that the reader gives: a gap that starts to
pass, or that fails for another reason, is an error here.
"""

import tomllib
from pathlib import Path

import pytest

from oracles import onnx_backend
from oracles.onnx_graph import NAMES, load, shapes

pytestmark = pytest.mark.onnx

GAPS = {
    name: reason
    for reason, names in tomllib.loads((Path(__file__).parent / "onnx_gaps.toml").read_text("utf-8")).items()
    for name in names
}
LEAST = {"node": 350, "pytorch-converted": 78, "pytorch-operator": 22, "simple": 9}


def cases(kind: str) -> dict:
    return onnx_backend.node_cases() if kind == "node" else onnx_backend.file_cases(kind)


@pytest.mark.parametrize("kind", LEAST)
def test_every_case_passes_or_is_a_known_gap(kind, tmp_path):
    found = cases(kind)
    assert len(found) >= LEAST[kind], "fewer cases than the suite had: is the loader right?"
    wrong = []
    for name in sorted(found):
        for engine, mistake in onnx_backend.mistakes(kind, name, tmp_path, ("numpy", "compiled")).items():
            if mistake != GAPS.get(name, ""):
                wrong.append(
                    f"{name} on {engine}: {mistake or 'passes now'}; expected: {GAPS.get(name, 'no mistake')}"
                )
    assert not wrong, "\n".join(wrong)


def test_every_gap_is_a_case():
    assert set(GAPS) <= {name for kind in LEAST for name in cases(kind)}


@pytest.mark.parametrize("name", NAMES)
def test_every_value_of_the_nine_nets_has_the_shape_that_onnx_infers(name):
    from onnx.backend.test import __file__ as backend

    from striate.formats.onnx.proto import load as read
    from striate.formats.onnx.reading import Reader
    from striate.tensor import TensorSpec

    inferred = shapes(load(name))
    graph = read(Path(backend).parent / "data" / "light" / f"light_{name}.onnx")
    ((source, shape),) = graph.inputs.items()
    reader = Reader(graph, {source: TensorSpec.image(shape[1:], shape[0])})
    net, weights = reader.read()
    assert not reader.why and weights.keys() == net.parameters.keys()
    made = {value for call in reader.calls for value in call.outputs if value in reader.values}
    assert len(made) >= 20 and set(graph.outputs) <= made
    for value in made:
        assert net.specs[reader.values[value]].shape == inferred[value], value
