"""What the commands print against the declared records: every key declared, every declared key there, types right."""

import json
import types
import typing
from pathlib import Path

import pytest

from cli.conftest import NET, pictures
from cli.run import run
from page_elements import elements
from striate.formats import toml
from striate.network import Builder
from striate.ops import Concat, Conv
from striate.views.drawing.kinds import KINDS, RESULTS
from striate.views.schemas import networks, scene
from striate.views.schemas.page import FACTS, SCHEMAS, unwrap

ANSWERS = {
    "striate.show/1": [
        ["show", "lenet5", "--json"],
        ["show", "7x7x1 -> conv 3x3 /3", "--json"],
        ["show", "9x9x3 -> conv 3x3 4 -> tconv 2x2 2 /2 -> conv 99x99 -> relu", "--json"],
        ["show", "1d 32x1 -> upsample 3 -> bn -> gap -> flatten -> fc 2", "--json"],
    ],
    "striate.scene/1": [
        ["draw", "lenet5", "--json"],
        ["draw", "7x7x1 -> conv 3x3 /3", "--cost", "--json"],
        ["draw", "resnet18", "--direction", "right", "--json"],
    ],
    "striate.node/1": [
        ["show", "lenet5", "--node", "conv1", "--json"],
        ["show", "lenet5", "--node", "fc1", "--json"],
        ["show", "4x4x2 -> bn -> tconv 2x2 2 /2", "--node", "tconv1", "--json"],
    ],
    "striate.cost/1": [["show", "lenet5", "--reconcile", "--json"]],
    "striate.sizes/1": [["sizes", "resnet18", "--json"], ["sizes", "1d 32x1 -> conv 3 /2", "--json"]],
    "striate.pixels/1": [["pixels", "7x7x1 -> conv 3x3 /3", "--json"], ["pixels", "resnet18", "--json"]],
    "striate.pixels-compare/1": [["pixels", "4x4x1 -> [conv 3x3]*2", "--compare", "--json"]],
    "striate.diff/1": [
        ["diff", "lenet5", "9x9x3 -> conv 3x3 -> relu", "--json"],
        ["diff", "7x7x1 -> conv 3x3 /3", "7x7x1 -> conv 3x3 /3 pad 1", "--json"],
    ],
    "striate.diff-scene/1": [["diff", "lenet5", "alexnet", "-o", "{new}.json"]],
    "striate.models/1": [["models", "--json"]],
    "striate.convert/1": [
        ["convert", "lenet5", "{new}.pth", "--json"],
        ["convert", "lenet5", "{new}.toml", "--json"],
    ],
    "striate.rules/1": [["explain", "--all", "--json"], ["explain", "g002", "--json"]],
    "striate.train/1": [
        ["train", "--data", "{images}", "--model", NET, "--fast-dev-run", "--json"],
        ["train", "--data", "{images}", "--model", NET, "--epochs", "1", "--out", "{new}", "--json"],
    ],
    "striate.find-lr/1": [["train", "--data", "{images}", "--model", NET, "--find-lr", "--json"]],
    "striate.eval/1": [["eval", "{trained}", "--json"]],
    "striate.predict/1": [["predict", "{trained}", "{images}/test", "--json"]],
    "striate.attribute/1": [
        ["attribute", "{trained}", "{photo}", "--json"],
        ["attribute", "{trained}", "{photo}", "--method", "integrated-gradients", "--class", "1", "--json"],
        ["attribute", "{trained}", "{photo}", "--method", "grad-cam", "--node", "conv1", "--json"],
        ["attribute", "{trained}", "{photo}", "--node", "conv1", "--unit", "0", "--json"],
        [
            "attribute",
            "{trained}",
            "{photo}",
            *("--method", "grad-cam", "--node", "fc1", "--unit", "2", "--layer", "relu1", "--json"),
        ],
    ],
    "striate.probe/1": [
        ["probe", "{trained}", "--node", "conv1", "--json"],
        ["probe", "9x9x3 -> conv 5x5 3 -> bn -> relu", "--node", "conv1", "--unit", "1", "--json"],
        ["probe", "{trained}", "--node", "maxpool1", "--photos", "{images}/test", "--at", "corner", "--json"],
    ],
    "striate.probe-border/1": [
        ["probe", "{trained}", "--node", "conv1", "--border", "--json"],
        ["probe", "9x9x1 -> conv 3x3 2 pad 1 -> relu", "--node", "conv1", "--border", "--json"],
    ],
    "striate.nearest/1": [
        ["nearest", "{trained}", "--node", "conv1", "--json"],
        ["nearest", "{trained}", "--node", "fc1", "--unit", "1", "--count", "2", "--json"],
        ["nearest", "8x8x1 -> conv 3x3 2 -> relu", "--node", "conv1", "--data", "{images}", "--json"],
    ],
    "striate.population/1": [
        ["probe", "{trained}", "--population", "--seeds", "1", "--json"],
        [
            "probe",
            "9x9x3 -> conv 3x3 2 -> bn -> relu",
            "--population",
            "--seeds",
            "2",
            "--node",
            "conv1",
            "--json",
        ],
    ],
    "striate.data/1": [["data", "check", "{spoilt}", "--fail-on", "never", "--json"]],
    "striate.bench/1": [
        ["bench", "8x8x1 -> conv 3x3 2 -> relu", "--rounds", "1", "--threads", "1", "--no-peers", "--json"]
    ],
    "striate.bench-train/1": [
        [
            "bench",
            "8x8x1 -> conv 3x3 2 -> relu",
            "--train",
            *("--rounds", "1", "--threads", "1", "--no-peers", "--json"),
        ]
    ],
    "striate.doctor/1": [["doctor", "--json"]],
}


def differences(value, hint, path=""):
    """Where a value and its declaration part."""
    plain = unwrap(hint)[0]
    options = (
        typing.get_args(plain) if typing.get_origin(plain) in (types.UnionType, typing.Union) else (plain,)
    )
    return min((list(_differences(value, option, path)) for option in options), key=len)


def _differences(value, plain, path):
    origin, inner = typing.get_origin(plain), typing.get_args(plain)
    if plain is typing.Any or (origin is typing.Literal and value in inner):
        return
    if typing.is_typeddict(plain) and isinstance(value, dict):
        hints = typing.get_type_hints(plain, include_extras=True)
        for key, item in value.items():
            if key in hints:
                yield from differences(item, hints[key], f"{path}.{key}")
            else:
                yield f"{path}.{key}: not declared"
        for key, hint in hints.items():
            if key not in value and not unwrap(hint)[3]:
                yield f"{path}.{key}: declared, absent"
    elif origin is list and isinstance(value, list):
        for number, item in enumerate(value):
            yield from differences(item, inner[0], f"{path}[{number}]")
    elif origin is dict and isinstance(value, dict):
        for key, item in value.items():
            yield from differences(item, inner[1], f"{path}.{key}")
    elif (
        typing.is_typeddict(plain)
        or origin
        or not isinstance(value, (int, float) if plain is float else plain)
        or (isinstance(value, bool) and plain is not bool)
    ):
        yield f"{path}: {type(value).__name__}, declared as {getattr(plain, '__name__', plain)}"


@pytest.mark.parametrize(("schema", "command"), [(s, c) for s, commands in ANSWERS.items() for c in commands])
def test_records_are_as_documented(schema, command, images, trained, tmp_path):
    if "{spoilt}" in command:
        spoilt = pictures(tmp_path / "spoilt", {"train": 12, "test": 6})
        next(spoilt.glob("test/rows/*")).write_bytes(b"no image")
    known = {
        "{images}": images,
        "{trained}": trained[0],
        "{photo}": next(images.glob("test/rows/*")),
        "{new}": tmp_path / "new",
        "{spoilt}": tmp_path / "spoilt",
    }
    for name, path in known.items():
        command = [word.replace(name, str(path)) for word in command]
    printed = run(*command)
    assert printed.code == 0, printed.err
    record = json.loads(Path(command[-1]).read_text("utf-8") if "-o" in command else printed.out)
    assert record["schema"] == schema
    assert differences(record, SCHEMAS[schema]) == []


DRAWN = {
    "blocks": ["7x7x1 -> conv 3x3 4 -> conv 9x9"],
    "graph": ["resnet18"],
    "layer": ["7x7x1 -> conv 3x3 /3", "--numbers"],
    "fc": ["lenet5"],
    "pixels": ["5x5x1 -> conv 3x3", "--compare"],
    "field": ["resnet18"],
    "filters": ["{trained}"],
    "maps": ["{trained}", "--image", "{image}"],
    "training": ["{trained}", "{trained}"],
    "confusion": ["{trained}"],
    "calibration": ["{trained}"],
}


@pytest.mark.parametrize("kind", [*KINDS, *RESULTS])
def test_facts_of_pictures_are_as_documented(kind, trained, images):
    known = {"{trained}": trained[0], "{image}": min(images.glob("test/*/*.png"))}
    words = [str(known.get(word, word)) for word in DRAWN[kind]]
    printed = run("draw", *words, "--kind", kind, "--json")
    assert printed.code == 0, printed.err
    record = json.loads(printed.out)
    assert record["schema"] == "striate.scene/1"
    assert differences(record, scene.ResultScene if kind in RESULTS else scene.Scene) == []
    assert differences(record["facts"], FACTS[kind]) == []


def test_records_of_several_inputs(tmp_path):
    build = Builder("pair", input={"left": (1, 8, 8), "right": (1, 8, 8)})
    left, right = (build(Conv(2, 3, stride=2), x) for x in build.inputs.values())
    path = tmp_path / "pair.toml"
    path.write_text(toml.format(build.build(build(Concat(), left, right))), "utf-8")
    for words, declared in (
        (["show"], networks.Show),
        (["sizes"], networks.SizesByInput),
        (["pixels"], networks.PixelsByInput),
        (["pixels", "--compare"], networks.ComparedByInput),
        (["pixels", "--compare", "--of", "right"], networks.ComparedByInput),
    ):
        printed = run(words[0], str(path), *words[1:], "--json")
        assert printed.code == 0, printed.err
        assert differences(json.loads(printed.out), declared) == []


def test_findings_are_as_documented():
    printed = run("check", "resnet18", "7x7x1 -> conv 3x3 /3", "--json")
    assert printed.code == 1
    finding = SCHEMAS["striate check"]
    assert differences(json.loads(printed.out), list[finding]) == []


def test_every_schema_is_tried():
    assert [*SCHEMAS] == [*ANSWERS, "striate.page/1", "striate check"]


@pytest.mark.parametrize("model", ["lenet5", "7x7x1 -> conv 3x3 /3", "1d 32x1 -> conv 3 /2", "{trained}"])
def test_the_record_inside_a_page(model, trained, tmp_path):
    assert run("report", model.format(trained=trained[0]), "-o", str(tmp_path / "page.html")).code == 0
    page = elements((tmp_path / "page.html").read_text("utf-8"))
    record, _ = page.all("script")
    assert differences(json.loads(record.text), SCHEMAS["striate.page/1"]) == []


def test_the_test_can_fail():
    declared = SCHEMAS["striate.doctor/1"]
    record = json.loads(run("doctor", "--json").out)
    assert ".threads.useful: declared, absent" in differences({**record, "threads": {}}, declared)
    assert differences({**record, "more": 1}, declared) == [".more: not declared"]
    assert differences({**record, "python": 3}, declared) == [".python: int, declared as str"]
    assert differences({**record, "packages": {}}, declared) == [".packages: dict, declared as list"]
    assert differences({**record, "cache": None}, declared) == [".cache: NoneType, declared as CodeCache"]


def test_the_contracts_example():
    """The keys and numbers of lenet5 that other programs rely on."""
    record = json.loads(run("show", "lenet5", "--json").out)
    first = record["nodes"][0]
    window = {"kernel": 5, "stride": 1, "dilation": 1, "pad": [0, 0], "output": 28, "remainder": 0, "lost": 0}
    window |= {"wasted_padding": 0, "overhang": 0}
    assert {key: first["window"]["h"][key] for key in window} == window
    assert first["receptive_field"]["w"] == {"size": 5, "jump": 1, "start": 0}
    expected = {"name": "conv1", "op": "conv", "inputs": ["input"], "output": [6, 28, 28], "params": 156}
    expected |= {"macs": 117600, "aligned": True, "activation_bytes": 18816}
    assert {key: first[key] for key in expected} == expected
    assert (record["input"], record["totals"]["params"], record["totals"]["macs"]) == (
        [1, 32, 32],
        61706,
        416520,
    )
    assert record["convention"].startswith("mac=1; conv and fc multiplications only")


def test_csv_has_a_row_for_each_node():
    import csv
    import io

    rows = list(csv.DictReader(io.StringIO(run("show", "resnet18", "--csv").out)))
    record = json.loads(run("show", "resnet18", "--json").out)
    assert [row["name"] for row in rows] == [node["name"] for node in record["nodes"]]
    assert sum(int(row["params"]) for row in rows) == record["totals"]["params"]
    assert sum(int(row["macs"]) for row in rows) == record["totals"]["macs"]
