"""Every entry of the catalogue: complete, buildable, and as its source prints it."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

import striate.models
from striate.analysis import analyze, sizes
from striate.diagnostics import NotationError, StriateError, UnknownNameError
from striate.models import catalogue
from striate.network import Network

FIXTURES = Path(__file__).parents[1] / "fixtures" / "models"
ENTRIES = catalogue.entries()
by_entry = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)


def facts(entry: catalogue.Entry) -> dict:
    """What the family's fixture says about an entry."""
    path = FIXTURES / f"{entry.family.name.lower().replace(' ', '_')}.json"
    return json.loads(path.read_text("utf-8")).get(entry.name, {}) if path.exists() else {}


def trainable(net: Network, under: str = "") -> int:
    """Learned numbers of the nodes whose name starts with `under`."""
    return sum(p.elements for name, p in net.parameters.items() if p.trainable and name.startswith(under))


def macs(net: Network) -> int:
    return sum(declaration.macs for declaration in net.inference.declarations.values())


@by_entry
def test_builds_with_the_published_parameters_and_cost(entry):
    known = facts(entry)
    assert known, f"tests/fixtures/models says nothing about {entry.name} of {entry.family.name}"
    assert entry.params in (None, known["params"])
    assert trainable(catalogue.create(entry.name, **entry.params_with)) == known["params"]
    if entry.gmacs is not None:
        assert round(macs(catalogue.create(entry.name, **entry.gmacs_with)) / 1e9, 3) == entry.gmacs
    assert entry.gmacs == known.get("gmacs")
    assert known["source"]


@pytest.mark.parametrize("entry", [e for e in ENTRIES if "state" in facts(e)], ids=lambda entry: entry.name)
def test_parameter_names_and_shapes(entry):
    known = facts(entry)
    net = catalogue.create(entry.name, **entry.params_with)
    lines = sorted(f"{name} {'x'.join(map(str, p.shape))}" for name, p in net.parameters.items())
    assert (len(lines), lines[-1]) == (known["state"]["count"], known["state"]["last"])
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == known["state"]["sha256"]


@by_entry
def test_sizes_that_the_source_prints(entry):
    known = facts(entry)
    net = catalogue.create(entry.name)
    for node, shape in known.get("outputs", {}).items():
        assert list(net.specs[node].without_batch) == shape, node
    for prefix, count in known.get("params_of", {}).items():
        assert trainable(net, f"{prefix}.") == count, prefix
    if "macs" in known:
        assert macs(net) == known["macs"]
    if "receptive_field" in known:
        fields = {node.name: node.receptive_field for node in analyze(net).nodes}
        for node, size in known["receptive_field"].items():
            assert fields[node]["h"].size == fields[node]["w"].size == size, node


@by_entry
def test_says_who_when_and_what_was_new(entry):
    family = entry.family
    assert 1980 <= family.year <= 2030
    assert family.name and family.source
    assert family.url.startswith("https://")
    assert ":" in family.paper or "," in family.paper, "authors, title, venue"
    assert family.new.endswith(".") and family.new[0] == family.new[0].upper(), "one sentence"


@by_entry
def test_classes_and_input_can_be_chosen(entry):
    c, h, w = entry.input
    net = catalogue.create(entry.name, input=(c + 1, h, w), num_classes=7)
    assert net.input.without_batch == (c + 1, h, w)
    assert net.specs[net.outputs[0]].channels == 7
    assert net.name == entry.name


def test_small_pictures_and_few_classes():
    net = catalogue.create("resnet18", input=(3, 64, 64), num_classes=10)
    assert net.specs["layer4.1.relu"].without_batch == (512, 2, 2)
    assert trainable(net) == 11_181_642  # 11689512 - 990 * 513


def test_the_contract_of_lenet5():
    net = catalogue.create("lenet5")
    assert net.input.without_batch == (1, 32, 32)
    first = net.nodes[0]
    assert (first.name, net.specs["conv1"].without_batch) == ("conv1", (6, 28, 28))
    assert (trainable(net, "conv1."), net.inference.declarations["conv1"].macs) == (156, 117_600)
    assert (trainable(net), macs(net)) == (61_706, 416_520)


def sizes_of(name: str) -> tuple[int, tuple[int, ...]]:
    height = sizes(catalogue.create(name)).axes["h"]
    return height.modulus, height.residues


def test_sizes_that_fit():
    assert sizes_of("cifar_resnet20") == (4, (1,))  # the shortcuts take every second pixel, too
    assert sizes_of("unet") == (16, (12,))  # 572 = 35 * 16 + 12
    assert sizes_of("unet_padded") == (16, (0,))
    assert sizes_of("alexnet_2012") == (32, (3,))  # 227, not 224


def test_reads_as_a_timeline():
    years = [entry.family.year for entry in ENTRIES]
    assert years == sorted(years)
    assert ENTRIES[0].name == "neocognitron"
    assert len({entry.family.name for entry in ENTRIES}) == len({entry.family for entry in ENTRIES})


def test_globs():
    assert {entry.name for entry in catalogue.entries("vgg*_bn")} == {f"vgg{n}_bn" for n in (11, 13, 16, 19)}
    assert catalogue.entries("no such*") == ()


@pytest.mark.parametrize(
    "wrong, nearest", [("resnet81", "resnet18"), ("vgg-16", "vgg16"), ("lenet", "lenet5")]
)
def test_an_unknown_name_gets_the_nearest(wrong, nearest):
    with pytest.raises(UnknownNameError) as caught:
        catalogue.create(wrong)
    assert nearest in caught.value.fix


def test_an_unknown_option_gets_the_nearest():
    with pytest.raises(UnknownNameError, match="no option 'auxx'") as caught:
        catalogue.create("googlenet", auxx=True)
    assert "aux" in caught.value.fix


@pytest.mark.parametrize("wrong", [(3, 224), (1, 3, 224, 224), (3, 0, 224), (-3, 224, 224)])
def test_an_input_has_three_positive_sizes(wrong):
    with pytest.raises(NotationError, match="three sizes"):
        catalogue.create("resnet18", input=wrong)


def test_a_network_has_classes():
    with pytest.raises(StriateError, match="features of fc must be a whole number of 1 or more"):
        catalogue.create("resnet18", num_classes=0)


def test_too_small_an_input_is_reported_by_the_network():
    net = catalogue.create("vgg16", input=(3, 16, 16))
    assert [problem.node for problem in net.inference.problems] == ["features.30"]


def test_one_name_imports_one_family():
    code = (
        "import sys; from striate.models import catalogue; catalogue.create('resnet18');"
        "print(*sorted(m for m in sys.modules if m.startswith('striate.models.')))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    families = [m.rpartition(".")[2] for m in run.stdout.split()]
    assert [name for name in families if not name.startswith("_")] == ["catalogue", "resnet"]


def test_a_new_file_is_a_new_model(tmp_path, monkeypatch):
    (tmp_path / "tinynet.py").write_text(
        "from striate.models.catalogue import Family, model\n"
        "from striate.network import Builder\n"
        "from striate.ops.conv import Conv\n"
        "TINY = Family('Tiny', 2030, 'A. Nobody: Tiny, nowhere', 'Nothing.')\n"
        "@model('tinynet1', family=TINY, input=(3, 8, 8))\n"
        "def tinynet1(input, num_classes=2):\n"
        "    b = Builder('tinynet1', input=input)\n"
        "    return b.build(b(Conv(num_classes, kernel=3), b.input))\n"
    )
    monkeypatch.setattr(striate.models, "__path__", [*striate.models.__path__, str(tmp_path)])
    monkeypatch.setattr(catalogue, "_entries", dict(catalogue._entries))
    assert catalogue.create("tinynet1").name == "tinynet1"
    with pytest.raises(ValueError, match="two models are called"):
        catalogue.model("tinynet1", family=catalogue.get("tinynet1").family)(lambda input: None)
