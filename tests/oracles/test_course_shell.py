"""The course's examples, from the command line: what a teacher types and what must stand on the screen."""

import json
import re

import pytest

from cli.run import run


def node(text: str, name: str = "conv1", *more: str) -> dict:
    record = json.loads(run("show", text, "--json", *more).out)
    return next(entry for entry in record["nodes"] if entry["name"] == name)


@pytest.mark.parametrize(("stride", "size"), [("", 5), (" /2", 3), (" /3", 2)])
def test_seven_by_seven(stride, size):
    assert node(f"7x7x1 -> conv 3x3{stride}")["output"] == [1, size, size]


def test_stride_three_does_not_fit():
    found = run("check", "7x7x1 -> conv 3x3 /3")
    assert found.code == 1
    assert found.err == ""
    assert found.out.splitlines()[:4] == [
        "G002 conv1: stride 3 does not fit",
        "  where   conv1 = conv 3x3 /3 after input 7x7x1",
        "  why     (7 + 0 - 3)/3 + 1 = 2.33; PyTorch would floor to 2 and never read row 6 and column 6 "
        "(13 of 49 pixels)",
        "  fix     stride 1 (-> 5x5) or 2 (-> 3x3) · pad 1 (-> 3x3) · input 6x6 or 9x9",
    ]


def test_show_still_shows_the_floored_result_flagged():
    shown = run("show", "7x7x1 -> conv 3x3 /3")
    assert shown.code == 0
    assert "2x2x1" in shown.out
    assert "! G002 stride 3 does not fit: (7 + 0 - 3)/3 + 1 = 2.33 -> 2!" in shown.out


def test_unread_pixels():
    record = json.loads(run("pixels", "7x7x1 -> conv 3x3 /3", "--json").out)
    assert (record["unread"], record["pixels"]) == (13, 49)
    assert record["counts"] == [[1] * 6 + [0]] * 6 + [[0] * 7]


def test_the_filter_extends_the_full_depth():
    text = "32x32x3 -> conv 5x5 6"
    assert node(text)["output"] == [6, 28, 28]
    assert node(text)["params"] == 456
    detail = run("show", text, "--node", "conv1").out
    assert "6 filters of 5x5x3 = 75 numbers, through the full depth of the input (3 channels)" in " ".join(
        detail.split()
    )
    assert "6·(5·5·3) + 6 = 456" in detail
    assert "P002" in run("check", text).out


def test_a_fully_connected_layer_beside_the_convolution():
    detail = json.loads(run("show", "32x32x3 -> conv 5x5 6", "--node", "conv1", "--json").out)
    inputs, outputs = 32 * 32 * 3, 28 * 28 * 6
    assert detail["fully_connected"]["params"] == inputs * outputs + outputs
    assert detail["fully_connected"]["macs"] == inputs * outputs
    assert detail["macs"] == 28 * 28 * 6 * 75
    text = run("show", "32x32x3 -> conv 5x5 6", "--node", "conv1").out
    assert re.search(r"convolution +456 +352,800", text)
    assert re.search(r"fully connected +14,455,392 +14,450,688", text)


@pytest.mark.parametrize(("kernel", "padding"), [(3, 1), (5, 2), (7, 3)])
def test_half_the_filter_keeps_the_size(kernel, padding):
    shown = node(f"7x7x1 -> conv {kernel}x{kernel} pad same")
    assert shown["output"] == [1, 7, 7]
    assert shown["window"]["h"]["pad"] == [padding, padding]


@pytest.mark.parametrize(
    ("text", "grid"),
    [
        ("3x3x1 -> conv 2x2", ["1 2 1", "2 4 2", "1 2 1"]),
        ("5x5x1 -> conv 3x3", ["1 2 3 2 1", "2 4 6 4 2", "3 6 9 6 3", "2 4 6 4 2", "1 2 3 2 1"]),
    ],
)
def test_count_grids(text, grid):
    lines = [line.strip() for line in run("pixels", text).out.splitlines()]
    assert lines[2 : 2 + len(grid)] == grid
    assert json.loads(run("pixels", text, "--json").out)["counts"] == [
        list(map(int, row.split())) for row in grid
    ]


def test_how_far_padding_makes_all_pixels_equal():
    def use(padding: str) -> dict:
        return json.loads(run("pixels", f"7x7x1 -> conv 3x3 {padding}", "--json").out)

    same = use("pad 1")
    assert (same["corner"], same["centre"], same["uniform"]) == (4, 9, False)
    assert use("pad full")["uniform"]
    assert use("pad 1 mode circular")["uniform"]


def test_modes_side_by_side():
    modes = json.loads(run("pixels", "7x7x1 -> conv 3x3", "--compare", "--json").out)["modes"]
    equal = {mode["mode"] for mode in modes if mode["uniform"]}
    assert [mode["mode"] for mode in modes] == ["valid", "zero same", "full", "circular", "reflect"]
    assert equal == {"full", "circular"}


@pytest.mark.parametrize(("model", "residue"), [("resnet18", 1), ("vgg11", 0), ("alexnet", 31)])
def test_fitting_sizes(model, residue):
    record = json.loads(run("sizes", model, "--json").out)
    for axis in ("h", "w"):
        assert (record[axis]["modulus"], record[axis]["residues"]) == (32, [residue])
    assert all(size % 32 == residue for size in record["nearest"])


def test_nothing_behind_a_layer_without_output_is_claimed():
    shown = run("show", "4x4x1 -> a: conv 3x3 -> b: conv 5x5 -> c: relu")
    assert shown.code == 0
    assert "2x2x1" in shown.out
    assert "G001 b" in shown.out
    assert "(2 + 0 - 5)/1 + 1 = -2" in shown.out
    assert "not analyzed: c" in shown.out
    assert run("check", "4x4x1 -> a: conv 3x3 -> b: conv 5x5 -> c: relu").code == 1
    failed = run("show", "4x4x1 -> a: conv 3x3 -> b: conv 5x5", "--node", "b")
    assert (failed.code, failed.out) == (2, "")


@pytest.mark.parametrize(
    ("text", "axes", "output"),
    [
        ("1d 100x2 -> conv 5 8 /3", {"l"}, [8, 32]),
        ("8x9x10x2 -> conv 3 4", {"d", "h", "w"}, [4, 6, 7, 8]),
        ("8x8x2 -> tconv 2x2 4 /2", {"h", "w"}, [4, 16, 16]),
    ],
)
def test_other_dimensions_and_directions(text, axes, output):
    name = re.search(r"-> (\w+)", text)[1] + "1"
    shown = node(text, name)
    assert set(shown["window"]) == axes
    assert shown["output"] == output
    for command in (
        ["show", text],
        ["show", text, "--node", name],
        ["pixels", text],
        ["sizes", text],
        ["check", text],
    ):
        found = run(*command)
        assert found.code in (0, 1), found.err
        assert found.err == ""


def test_the_course_keeps_its_promises():
    tour = run("tour", "--course")
    assert tour.code == 0
    for said in ("2.33", "13 of 49", "456", "14,455,392", "5x5x3", "3 6 9 6 3", "4 of 9", "N = 1 mod 32"):
        assert said in tour.out, said
    assert max(map(len, tour.out.splitlines())) <= 120  # messages keep their lines in a pipe


def test_conventions_are_the_published_numbers():
    shown = json.loads(run("show", "resnet18", "--mac-convention", "fvcore", "--json").out)
    reconciled = json.loads(run("show", "resnet18", "--reconcile", "--json").out)
    assert shown["totals"]["macs"] == reconciled["totals"]["fvcore"] != reconciled["totals"]["striate"]


def test_counts_of_any_length():
    """16 ways through each of 4,000 layers: more digits than Python writes without being asked."""
    text = "4x4x1 -> [conv 9x9 pad 4]*4000"
    record = json.loads(run("pixels", text, "--json").out, parse_int=str)
    assert len(record["most"]) == len(record["counts"][0][0]) > 4300
    printed = run("pixels", text)
    assert (printed.code, printed.err) == (0, "")
    assert re.search(r"used \d\.\d\de4\d{3} times", printed.out)


def test_folding_leaves_nothing_unsaid():
    """Every node is in the folded table or stands in a block that equals the one named; the sums agree."""
    from striate.cli.options import show_record
    from striate.formats import load
    from striate.views.text.folding import Blocks, block_of, fold_blocks

    for name in ("resnet50", "regnet_y_400mf", "efficientnet_b0", "densenet121", "lenet5"):
        record = show_record(load(name))
        items = list(fold_blocks(record))
        shown = [item for item in items if not isinstance(item, Blocks)]
        blocks = [item for item in items if isinstance(item, Blocks)]
        hidden = {block for item in blocks for block in item.names}
        assert [n for n in record["nodes"] if block_of(n["name"]) not in hidden] == shown
        for key in ("params", "macs"):
            assert sum(n[key] for n in shown) + sum(getattr(b, key) for b in blocks) == record["totals"][key]
        for item in blocks:
            ends = (item.like, item.names[-1])
            first, last = ([n for n in record["nodes"] if block_of(n["name"]) == block] for block in ends)
            assert [n["text"] for n in first] == [n["text"] for n in last]
            assert [n["sizes"] for n in first] == [n["sizes"] for n in last]
    assert any(isinstance(item, Blocks) for item in fold_blocks(show_record(load("resnet50"))))
