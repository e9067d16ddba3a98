"""torchvision as oracle for its own networks: every layer's output shape, every parameter, the cost by counting."""

import json
from pathlib import Path

import pytest

from exhaustive import EXHAUSTIVE
from striate.models import catalogue

pytestmark = pytest.mark.torch("torchvision")

FIXTURES = Path(__file__).parents[1] / "fixtures" / "models"
TWINS = [
    name
    for path in sorted(FIXTURES.glob("*.json"))
    for name, facts in json.loads(path.read_text("utf-8")).items()
    if facts["source"] == "torchvision"
]
TWINS_OF_FAMILIES = {min((other for other in TWINS if catalogue.get(other).family is family),
                         key=lambda name: catalogue.get(name).params)
                     for family in {catalogue.get(name).family for name in TWINS}}  # fmt: skip
"""One of each family runs at its published size, too; with STRIATE_EXHAUSTIVE all do."""


def small(entry: catalogue.Entry) -> tuple[int, int, int]:
    """Another input than the entry's own, odd and not square: nothing may fit by luck."""
    channels, height, width = entry.input
    return channels, height - 37, width - 20


@pytest.mark.parametrize("name", TWINS)
def test_every_layer_has_the_shape_torch_gives_it(name):
    import torchvision_twin

    entry = catalogue.get(name)
    module = torchvision_twin.twin(name)
    published = EXHAUSTIVE or name in TWINS_OF_FAMILIES
    for image in (entry.input, small(entry)) if published else (small(entry),):
        shapes, macs = torchvision_twin.run(module, image)
        net = catalogue.create(name, input=image)
        ours = {node.name: net.specs[node.outputs[0]].without_batch for node in net.nodes}
        assert {layer: ours.get(layer) for layer in shapes} == shapes
        assert sum(declaration.macs for declaration in net.declarations.values()) == macs
    lines = [f"{key} {'x'.join(map(str, p.shape))}" for key, p in net.parameters.items()]
    theirs = torchvision_twin.state_lines(module)
    assert sorted(lines) == sorted(theirs)
    if not any("layer_scale" in line for line in lines):  # torch lists a block's own parameters first
        assert lines == theirs


def test_the_fixtures_are_current():
    import importlib.util

    spec = importlib.util.spec_from_file_location("generate", FIXTURES / "generate.py")
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    for family, models in generate.facts().items():
        kept = json.loads(generate.fixture(family).read_text("utf-8"))
        assert {name: kept[name] for name in models} == models, family
