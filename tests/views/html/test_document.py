"""The page of a network: one file that asks for nothing, read strictly, whose numbers are those of the records."""

import base64
import functools
import hashlib
import itertools
import json
import os
import re
import subprocess
import sys

import pytest

import striate
from exhaustive import EXHAUSTIVE
from laws.pictured import HOSTILE, SHAPED, many, named
from page_elements import elements, references
from striate.analysis import pixels
from striate.checks import check
from striate.diagnostics import printable
from striate.network import Builder
from striate.ops import Conv, Relu
from striate.views.html.document import FILTERS, document
from striate.views.html.figure import MAX_PICTURE_BYTES
from striate.views.html.network_part import network_part
from striate.views.json_records import show_record, sizes_by_input
from striate.views.pixel_record import pixels_record

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
FAILING = "12x12x3 -> conv 3x3 4 -> relu -> deep: conv 13x13 -> relu -> gap -> flatten -> fc 3"
STRIDE_3 = "7x7x1 -> conv 3x3 /3"
NETWORKS = {
    **{name: lambda name=name: striate.create(name) for name in ("lenet5", "resnet18", "googlenet")},
    **{
        text: lambda text=text: striate.parse(text)
        for text in (FAILING, STRIDE_3, "5x5x1 -> conv 3x3 pad full")
    },
    **SHAPED,
}
every = pytest.mark.parametrize("name", NETWORKS)


def page(net):
    return document(network_part(net, check(net).findings))


@functools.cache
def written(name):
    """A network and its page, which many tests read."""
    net = NETWORKS[name]()
    return net, page(net)


def text_of(script):
    """The text of a script as it stands there."""
    return "".join(child for child in script.children if isinstance(child, str))


def digits(text):
    return text.replace(",", "")


@every
def test_it_is_well_formed_and_asks_for_nothing(name):
    _, text = written(name)
    root = elements(text)
    policies = [e.attributes["content"] for e in root.all("meta") if "http-equiv" in e.attributes]
    record, script = root.all("script")
    assert (
        record.attributes["type"] == "application/json"
        and json.loads(text_of(record))["show"]["nodes"] is not None
    )
    digest = base64.b64encode(hashlib.sha256(text_of(script).encode()).digest()).decode()
    assert policies == [f"{POLICY}; script-src 'sha256-{digest}'"]
    assert not root.all("iframe", "object", "embed", "link", "base", "form")
    assert not [name for e in root for name in e.attributes if name.startswith("on")]
    keys = [e.attributes["id"] for e in root if "id" in e.attributes]
    assert len(keys) == len(set(keys))
    keys += re.findall(r'\bid:"([\w-]+)"', text_of(script))  # what the views define and their style refers to
    for reference in references(root):
        assert reference.startswith("data:image/png;base64,") or reference.removeprefix("#") in keys
    rest = text.replace(text_of(script), "").replace(text_of(record), "")
    assert set(re.findall(r"https?://[^\"'\s<]*", rest)) <= {"http://www.w3.org/2000/svg"}


@every
def test_readers_of_every_kind_find_their_way(name):
    net, text = written(name)
    root = elements(text)
    assert root.all("html")[0].attributes["lang"] == "en"
    assert root.all("title")[0].text == " ".join(printable(net.name).split())
    levels = [int(e.tag[1]) for e in root.all("h1", "h2", "h3", "h4")]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    for table in root.all("table"):
        assert len(table.all("caption")) == 1 and table.all("caption")[0].text
        assert all(head.attributes["scope"] in ("col", "row") for head in table.all("th"))
        assert len({len(row) for row in table.rows()}) <= 2  # a layer that fails has one wide cell
    for picture in root.all("svg"):
        assert picture.attributes["role"] == "img" and picture.all("title", "desc")[1].text
    for place in root.all("div"):
        if place.attributes.get("class") == "scroll":
            assert place.attributes["tabindex"] == "0" and place.attributes["aria-label"]


@every
def test_the_costs_are_those_of_show(name):
    net, text = written(name)
    record = show_record(net)
    *rows, total = elements(text).at("cost").all("table")[0].rows()
    reached = rows[: len(record["nodes"])]
    for row, node in zip(reached, record["nodes"], strict=True):
        assert row[:3] == [folded(node["name"]), folded(node["text"]), ", ".join(node["sizes"])]
        for cell, what in ((row[3], "params"), (row[4], "macs")):
            assert digits(cell) == ("unknown" if what in node["unknown"] else str(node[what]))
    assert str(record["totals"]["params"]) in digits(total[3])
    assert str(record["totals"]["macs"]) in digits(total[4])
    for row, problem in zip(rows[len(reached) :], record["problems"], strict=True):
        assert row[0] == folded(problem["node"]) and folded(problem["why"]) in row[1]


def folded(text):
    return " ".join(printable(text, keep="\n").split())


@every
def test_the_receptive_fields_are_those_of_show(name):
    net, text = written(name)
    record = show_record(net)
    section = elements(text).at("fields")
    for key in record["inputs"]:
        seen = [
            (node, field)
            for node in record["nodes"]
            if (field := node.get("receptive_fields", {key: node["receptive_field"]}).get(key))
        ]
        if not seen:
            continue
        table = section.table(f"Receptive fields on {folded(key)}, in its pixels")
        for row, (node, field) in zip(table.rows(), seen, strict=True):
            assert row[0] == folded(node["name"])
            assert {str(axis["size"]) for axis in field.values()} == set(row[1].split("x"))
            assert {str(axis["start"]) for axis in field.values()} == set(row[3].split(", "))
            assert (row[4] == "aligned") == node["aligned"]


@every
def test_every_finding_is_there_with_its_fixes(name):
    net, text = written(name)
    section = elements(text).at("findings")
    items = [item.text for item in section.all("li") if "finding" in item.attributes.get("class", "")]
    found = check(net).findings
    assert len(items) == len(found)
    for finding in found:
        parts = [
            finding.node or "",
            finding.message,
            finding.where,
            finding.why,
            *(f.text for f in finding.fixes),
        ]
        assert any(all(folded(part) in item for part in parts) for item in items), finding
    assert {f.code for f in found} == {badge.text for badge in section.all("span")}


@pytest.mark.parametrize("name", ["lenet5", "resnet18", FAILING, STRIDE_3, "siamese", "signal", "volume"])
def test_the_sizes_are_those_of_sizes(name):
    net, text = written(name)
    near = max(n for spec in net.inputs.values() for n in spec.without_batch[1:])
    record = sizes_by_input(net, near)
    section = elements(text).at("sizes")
    for key, one in record.get("inputs", {next(iter(net.inputs)): record}).items():
        rows = section.table(f"Sizes of {key}:").rows()
        axes = [one[axis] for axis in "ldhw" if axis in one]
        assert len(rows) == len(axes)
        for row, axis in zip(rows, axes):
            told = [axis["rule"], ", ".join(map(str, axis["nearest"])), str(axis["size"])]
            assert row[1:] == [*told, "yes" if axis["fits"] else "no"]


@pytest.mark.parametrize("name", ["lenet5", STRIDE_3, "5x5x1 -> conv 3x3 pad full", "signal", "volume"])
def test_pixel_use_is_that_of_pixels(name):
    net, text = written(name)
    record = pixels_record(net, pixels(net))
    (row,) = elements(text).at("pixel-use").all("table")[0].rows()
    assert [digits(cell) for cell in row[1:6]] == [
        str(record[key]) for key in ("pixels", "unread", "corner", "centre", "most")
    ]
    for cell, key in ((row[6], "corner_to_centre"), (row[7], "border_to_centre")):
        assert float(cell) == pytest.approx(record[key], rel=1e-5)


@pytest.mark.parametrize("name", ["vector", "siamese"])
def test_a_part_that_there_is_not_says_why(name):
    _, text = written(name)
    said = [e.text for e in elements(text).all("p") if e.attributes.get("class") == "missing"]
    if name == "vector":
        assert len(said) == 3 and all("height and width" in why for why in said)
    else:
        assert not said


@pytest.mark.parametrize("name", [FAILING, "failing", "failing merge"])
def test_a_network_that_fails_is_told_up_to_there(name):
    net, text = written(name)
    root = elements(text)
    record = show_record(net)
    assert record["problems"]
    for problem in record["problems"]:
        alert = next(e for e in root.at("summary").all("div") if e.attributes.get("class") == "alert")
        assert folded(problem["why"]) in alert.text and problem["node"] in alert.text
    for node in record["unreached"]:
        assert node in root.at("cost").text
    assert "?" in root.at("drawing").text


def test_layers_with_errors_are_drawn():
    pictures = elements(page(striate.parse(STRIDE_3))).at("findings").all("svg")
    assert len(pictures) == 1 and "2.33" in pictures[0].text
    several = "21x21x1 -> conv 3x3 /4 -> conv 3x3 /4" + " -> conv 1x1" * 3
    assert len(elements(page(striate.parse(several))).at("findings").all("svg")) <= 3


def test_names_are_text_whatever_they_hold():
    text = page(named())
    root = elements(text)
    assert text.count("<script") == len(root.all("script")) == 2 and "\x1b" not in text
    cells = {row[0] for row in root.at("cost").all("table")[0].rows()}
    assert {folded(name) for name in HOSTILE} <= cells
    # Text of any direction is set apart from what stands around it.
    for cell in root.at("cost").all("table")[0].all("th")[6:-1]:
        assert [child.tag for child in cell.children if not isinstance(child, str)] == ["bdi"]


def test_two_processes_write_the_same_bytes(tmp_path):
    for seed in ("1", "2"):
        words = ["report", "googlenet", "-o", str(tmp_path / seed)]
        words[-1] += ".html"
        env = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-m", "striate", *words], check=True, env=env)
    assert (tmp_path / "1.html").read_bytes() == (tmp_path / "2.html").read_bytes()


@pytest.mark.parametrize("name", ["lenet5", "resnet18", "resnet50"])
def test_pages_are_small(name):
    assert len(page(striate.create(name)).encode()) < 1_000_000


def test_a_thousand_nodes_stay_readable():
    """The page grows with its tables, not with its pictures, and its places scroll inside it."""
    net = many(1000)
    text = page(net)
    assert len(text.encode()) < 4_000_000
    assert len(elements(text).at("cost").all("table")[0].rows()) == len(net.nodes) + 1


def modules(count):
    """Modules of three nodes, no two alike, so that none is folded."""
    b = Builder("modules", input=(4, 32, 32))
    x = b.input
    for k in range(count):
        x = b(Conv(4 + k % 7, kernel=1 + 2 * (k % 3), padding=k % 3), x, name=f"m{k}.conv")
        x = b(Conv(5 + k % 5 + k // 5, kernel=1), b(Relu(), x, name=f"m{k}.relu"), name=f"m{k}.out")
    return b.build(x)


def test_a_picture_that_is_too_large_says_how_it_is_drawn():
    net = modules(1000)
    text = document(network_part(net, check(net).findings, "striate draw 'my net.toml'"))
    written = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)  # without what the live page reads
    assert len(written.encode()) < 3_000_000
    root = elements(text)
    for section, kinds in (("drawing", ["blocks"]), ("fields", ["field"])):
        assert not root.at(section).all("svg")
        told = [part.text for part in root.at(section).all("p") if part.attributes.get("class") == "missing"]
        commands = [f"striate draw 'my net.toml' --kind {kind} -o {kind}.svg" for kind in kinds]
        assert all(said.endswith(command) for said, command in zip(told, commands, strict=True))
        assert all(re.search(r"this picture has \d\.\d MB", said) for said in told)
    assert all(len(picture) <= MAX_PICTURE_BYTES for picture in re.findall(r"<svg.*?</svg>", text, re.DOTALL))
    assert len(root.at("cost").all("table")[0].rows()) == len(net.nodes) + 1


def test_a_page_grows_with_its_network():
    one, two = (len(page(modules(count))) for count in ((500, 1000) if EXHAUSTIVE else (200, 400)))
    assert two < 2.2 * one


def test_a_measure_that_is_no_number_is_written_as_it_is():
    assert [FILTERS["measure"](value) for value in (2.0, 3, 0.25, float("nan"), float("-inf"))] == [
        "2", "3", "0.25", "nan", "-inf",
    ]  # fmt: skip
