"""docs/json.md against what the commands print: every key documented, every documented key there, types right."""

import json
import re
from pathlib import Path

import pytest

from cli.conftest import NET, pictures
from cli.run import run

PAGE = (Path(__file__).parents[2] / "docs" / "json.md").read_text(encoding="utf-8")
TYPES = {"text": str, "integer": int, "number": (int, float), "boolean": bool, "list": list, "object": dict}

ANSWERS = {
    "striate.show/1": [
        ["show", "lenet5", "--json"],
        ["show", "7x7x1 -> conv 3x3 /3", "--json"],
        ["show", "9x9x3 -> conv 3x3 4 -> tconv 2x2 2 /2 -> conv 99x99 -> relu", "--json"],
        ["show", "1d 32x1 -> upsample 3 -> bn -> gap -> flatten -> fc 2", "--json"],
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


class Tree:
    """The documented keys below one key."""

    def __init__(self):
        self.kind = "object"
        self.keys: dict[str, Tree] = {}

    def child(self, key: str) -> "Tree | None":
        placeholder = next((known for name, known in self.keys.items() if name.isupper()), None)
        return self.keys.get(key, placeholder)


def documented(section: str) -> Tree:
    body = re.search(rf"^## {re.escape(section)}$(.*?)(?=^## |\Z)", PAGE, re.M | re.S)[1]
    root = Tree()
    for path, kind in re.findall(r"^\| `([^`]+)` \| ([^|]+?) \|", body, re.M):
        place = root
        for step in re.findall(r"\[\]|[^.\[\]]+", path):
            place = place.keys.setdefault(step, Tree())
            if step == "[]":
                place.kind = "object"
        place.kind = kind
    return root


def differences(value, tree, path=""):
    """Where a value and its documentation part."""
    kinds = tree.kind.removesuffix(", optional")
    if value is None:
        if "null" not in kinds:
            yield f"{path}: null, documented as {kinds}"
        return
    if isinstance(value, list) and "[]" in tree.keys:
        for number, item in enumerate(value):
            yield from differences(item, tree.keys["[]"], f"{path}[{number}]")
        return
    expected = TYPES[kinds.split()[0]]
    if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
        yield f"{path}: {type(value).__name__}, documented as {kinds}"
    if isinstance(value, dict) and tree.keys:
        for key, item in value.items():
            known = tree.child(key)
            if known is None:
                yield f"{path}.{key}: not documented"
            else:
                yield from differences(item, known, f"{path}.{key}")
        for key, known in tree.keys.items():
            required = not known.kind.endswith("optional") and not key.isupper()
            if required and key not in value:
                yield f"{path}.{key}: documented, absent"


@pytest.mark.parametrize(("schema", "command"), [(s, c) for s, commands in ANSWERS.items() for c in commands])
def test_records_are_as_documented(schema, command, images, trained, tmp_path):
    if "{spoilt}" in command:
        spoilt = pictures(tmp_path / "spoilt", {"train": 12, "test": 6})
        next(spoilt.glob("test/rows/*")).write_bytes(b"no image")
    known = {
        "{images}": images,
        "{trained}": trained[0],
        "{new}": tmp_path / "new",
        "{spoilt}": tmp_path / "spoilt",
    }
    for name, path in known.items():
        command = [word.replace(name, str(path)) for word in command]
    printed = run(*command)
    assert printed.code == 0, printed.err
    record = json.loads(printed.out)
    assert record["schema"] == schema
    tree = documented(schema)
    if schema == "striate.node/1":
        tree.keys = documented("striate.show/1").keys["nodes"].keys["[]"].keys | tree.keys
    assert list(differences(record, tree)) == []


def test_findings_are_as_documented():
    printed = run("check", "resnet18", "7x7x1 -> conv 3x3 /3", "--json")
    assert printed.code == 1
    assert list(differences(json.loads(printed.out), documented("striate check"))) == []


def test_every_schema_is_documented_and_tried():
    assert re.findall(r"^## (striate\.\S+)$", PAGE, re.M) == list(ANSWERS)


def test_the_test_can_fail():
    tree = documented("striate.doctor/1")
    record = json.loads(run("doctor", "--json").out)
    assert "threads.useful: documented, absent" in "".join(differences({**record, "threads": {}}, tree))
    assert list(differences({**record, "more": 1}, tree)) == [".more: not documented"]
    assert list(differences({**record, "python": 3}, tree)) == [".python: int, documented as text"]


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
