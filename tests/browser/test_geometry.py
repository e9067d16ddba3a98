"""The geometry of one layer in the live page is Python's: thousands of generated axes and layers in one process."""

import random
from fractions import Fraction

import numpy as np
import pytest

import striate as st
from browser.node_module import compute
from striate.geometry import Window, padding_for
from striate.views.drawing import example

pytestmark = pytest.mark.node

MODES = ("zeros", "circular", "reflect", "replicate")


def draw_window(random):
    """Any window; about a third have no position, some a stride longer than their reach."""
    return Window(
        input=random.choice((1, 2, 3, 5, 7, 8, 11, 16, 31)),
        kernel=random.randint(1, 7), stride=random.randint(1, 8), dilation=random.choice((1, 1, 1, 2, 3)),
        before=random.choice((0, 0, 1, 2, 5)), after=random.choice((0, 0, 1, 2, 4)), mode=random.choice(MODES),
    )  # fmt: skip


def axis(window):
    return {
        "input": window.input, "kernel": window.kernel, "stride": window.stride, "before": window.before,
        "after": window.after, "dilation": window.dilation, "mode": window.mode,
    }  # fmt: skip


def written(window):
    """The formula as the page writes it, from the declared parts and Python's own value."""
    pads = f"2·{window.before}" if window.before == window.after else f"{window.before} + {window.after}"
    reach = f"{window.kernel}" if window.dilation == 1 else f"{window.dilation}·({window.kernel} − 1) − 1"
    value = window.formula.rpartition(" = ")[2].replace("-", "−")
    return f"({window.input} + {pads} − {reach})/{window.stride} + 1 = {value}"


def test_one_axis():
    source = random.Random(7)
    windows = [draw_window(source) for _ in range(6000)]
    answers = compute(
        """return cases.map((axis) => {
            const size = page.geometry.outputs(axis)
            const every = (count, make) => Array.from({length: count}, (_, k) => make(k))
            return {
                span: page.geometry.span(axis), room: page.geometry.room(axis), size,
                remainder: page.geometry.remainder(axis), ...page.geometry.unreached(axis),
                counts: page.geometry.counts(axis), formula: page.geometry.formula(axis),
                reads: every(size, (i) => page.geometry.reads(axis, i)),
                readers: every(axis.input, (x) => page.geometry.readers(axis, x).map((one) => [one.output, one.tap])),
                padding: ["valid", "same", "full"].map((policy) => page.geometry.padding(policy, axis))
                    .map(({before, after}) => [before, after]),
            }
        })""",
        [axis(window) for window in windows],
    )
    assert sum(not window.output for window in windows) > 500
    assert sum(window.remainder > 0 for window in windows) > 1000
    for window, answer in zip(windows, answers, strict=True):
        w = window
        readers = [
            [[i, u] for i in range(w.output) for u in range(w.kernel) if w.position(i, u) == x]
            for x in range(w.input)
        ]
        assert answer == {
            "span": w.extent, "room": w.slack, "size": w.output, "remainder": w.remainder,
            "lost": w.lost, "padding": answer["padding"], "counts": list(w.coverage()), "formula": written(w),
            "reads": [list(w.reads(i)) for i in range(w.output)], "readers": readers,
        }, w  # fmt: skip
        policies = [
            padding_for(p, w.input, w.kernel, w.stride, w.dilation) for p in ("valid", "same", "full")
        ]
        assert answer["padding"] == [list(pads) for pads in policies], w


def test_padding_that_no_window_reads():
    source = random.Random(8)
    windows = [draw_window(source) for _ in range(2000)]
    answers = compute(
        "return cases.map((axis) => page.geometry.unreached(axis).padding)", [*map(axis, windows)]
    )
    assert answers == [window.wasted_padding for window in windows]


def test_sizes_are_rounded_as_python_rounds():
    """Every fraction of every stride: only odd eighths lie exactly between two decimals."""
    windows = [Window(n, 40, stride) for stride in range(1, 65) for n in range(1, 140)]
    assert any(Fraction(window.exact).denominator == 8 for window in windows)
    answers = compute("return cases.map(page.geometry.formula)", [*map(axis, windows)])
    assert answers == [written(window) for window in windows]


def test_the_formula_of_the_contract():
    cases = [Window(7, 3, 3), Window(7, 3, 1, 2), Window(5, 7), Window(8, 3, 2, 1, 0, 1)]
    assert compute("return cases.map(page.geometry.formula)", [*map(axis, cases)]) == [
        "(7 + 2·0 − 3)/3 + 1 = 2.33",
        "(7 + 2·0 − 2·(3 − 1) − 1)/1 + 1 = 3",
        "(5 + 2·0 − 7)/1 + 1 = −1",
        "(8 + 0 + 1 − 3)/2 + 1 = 4",
    ]


# -- layers of the route ------------------------------------------------------------------------------------------


def draw_layer(random):
    """Parameters of a route, some with axes of their own."""
    both = {
        "n": random.randint(1, 12), "f": random.randint(1, 5), "s": random.randint(1, 5),
        "p": random.randint(0, 3), "d": random.choice((1, 1, 2)), "c": random.randint(1, 3), "k": random.randint(1, 4),
        "mode": random.choice(MODES),
    }  # fmt: skip
    if random.random() < 0.5:
        for name in random.sample(("nh", "nw", "fh", "fw", "sh", "sw"), 3):
            both[name] = random.randint(1, 9 if name[0] == "n" else 4)
        for name in random.sample(("pt", "pb", "pl", "pr"), 2):
            both[name] = random.randint(0, 3)
    return {name: str(value) for name, value in both.items()}


def windows_of(route):
    def one(side, before, after):
        def get(*names):
            return int(next(route[name] for name in names if name in route))

        return Window(
            get(f"n{side}", "n"), get(f"f{side}", "f"), get(f"s{side}", "s"), get("d"),
            get(before, "p"), get(after, "p"), mode=route["mode"],
        )  # fmt: skip

    return one("h", "pt", "pb"), one("w", "pl", "pr")


@pytest.fixture(scope="module")
def layers():
    """Generated routes, and what the page makes of each."""
    source = random.Random(9)
    routes = [draw_layer(source) for _ in range(1500)]
    answers = compute(
        """return cases.map((route) => {
            const {layer, refused} = page.bench.parse(route)
            const [high, wide] = [page.geometry.outputs(layer.rows), page.geometry.outputs(layer.columns)]
            const strings = (all) => Object.fromEntries(
                Object.entries(all).flatMap(([name, value]) => value === undefined ? [] : [[name, String(value)]]))
            const list = (length, make) => Array.from({length}, (_, k) => make(k))
            const map = (make) => list(high, (i) => list(wide, (j) => make(i, j)))
            const last = layer.filters - 1
            return {
                refused, layer, state: page.bench.state(layer), unread: page.bench.unread(layer).pixels,
                written: page.bench.parse(strings(page.bench.write(layer))).layer,
                notation: page.bench.notation(layer), pytorch: page.bench.pytorch(layer), cost: page.bench.cost(layer),
                fixes: page.bench.fixes(layer).map(({text, layer}) => ({...layer, text})),
                input: list(layer.channels, (c) => list(layer.rows.input, (i) =>
                    list(layer.columns.input, (j) => page.example.inputNumber(i, j, c)))),
                weights: list(layer.channels, (c) => list(layer.rows.kernel, (u) =>
                    list(layer.columns.kernel, (v) => page.example.weight(u, v, c, last)))),
                bias: page.example.bias(last), last, whole: page.example.plane(layer, last),
                partials: list(layer.channels, (c) => page.example.plane(layer, last, c)),
                value: map((i, j) => page.example.output(layer, last, i, j)),
                sums: map((i, j) => list(layer.channels, (c) => page.example.products(layer, last, c, i, j)
                    .map((one) => one.input * one.weight).reduce((a, b) => a + b, 0))),
            }
        })""",
        routes,
    )
    return list(zip(routes, answers, strict=True))


def test_state_and_pixels_never_read(layers):
    states = {"fits": 0, "remainder": 0, "impossible": 0}
    for route, answer in layers:
        rows, columns = windows_of(route)
        assert not answer["refused"]
        assert answer["layer"]["rows"] == axis(rows) and answer["layer"]["columns"] == axis(columns), route
        both = (rows, columns)
        state = (
            "impossible" if not all(w.output for w in both)
            else "remainder" if any(w.remainder for w in both) else "fits"
        )  # fmt: skip
        assert answer["state"] == state, route
        read = np.outer(rows.coverage(), columns.coverage())
        assert answer["unread"] == (read == 0).sum(), route
        assert answer["written"] == answer["layer"]
        states[state] += 1
    assert min(states.values()) > 100, states


def test_every_fix_fits(layers):
    fixed = 0
    for route, answer in layers:
        assert bool(answer["fixes"]) <= (answer["state"] != "fits")
        for fix in answer["fixes"]:
            for one in (fix["rows"], fix["columns"]):
                window = Window(**one)
                assert window.output and not window.remainder, (route, fix["text"])
            sizes = f"{Window(**fix['rows']).output}x{Window(**fix['columns']).output}"
            assert fix["text"].endswith(f"(→ {sizes})")
            fixed += 1
    assert fixed > 1000


def test_fixes_of_the_course_are_those_of_the_rule():
    (found,) = [f for f in st.check("7x7x1 -> conv 3x3 /3").findings if f.code == "G002"]
    (answer,) = compute(
        "return cases.map((route) => page.bench.fixes(page.bench.parse(route).layer).map((fix) => fix.text))",
        [{"n": "7", "f": "3", "s": "3"}],
    )
    assert answer == [
        "stride 1 (→ 5x5)", "stride 2 (→ 3x3)", "pad 1 (→ 3x3)", "input 6x6 (→ 2x2)", "input 9x9 (→ 3x3)",
    ]  # fmt: skip
    told = [fix.text.replace("->", "→").split(" (")[0] for fix in found.fixes]
    assert [text.split(" (")[0] for text in answer] == told


def test_numbers_are_pythons_and_sums_are_numpys(layers):
    summed = 0
    for route, answer in layers:
        x, w = np.array(answer["input"], "float32"), np.array(answer["weights"], "float32")
        channels, high, wide = x.shape
        last = answer["last"]
        assert answer["input"] == [
            [[example.input_number(i, j, c) for j in range(wide)] for i in range(high)]
            for c in range(channels)
        ]
        assert answer["weights"] == [
            [[example.weight(u, v, c, last) for v in range(w.shape[2])] for u in range(w.shape[1])]
            for c in range(channels)
        ]
        assert answer["bias"] == example.bias(last)
        rows, columns = windows_of(route)
        if answer["state"] == "impossible":
            continue
        by_channel = [convolve(x[c], w[c], rows, columns) for c in range(channels)]
        whole = sum(by_channel) + example.bias(last)
        assert np.array_equal(answer["partials"], by_channel), route
        assert np.array_equal(answer["whole"], whole) and np.array_equal(answer["value"], whole), route
        assert np.array_equal(np.moveaxis(np.array(answer["sums"]), 2, 0), by_channel), route
        summed += 1
    assert summed > 500


def convolve(x, w, rows, columns):
    """One channel's part, by padding and slicing."""

    def places(window):
        raw = np.arange(-window.before, window.input + window.after)
        n = window.input
        if window.mode == "circular":
            return raw % n
        if window.mode == "replicate":
            return raw.clip(0, n - 1)
        if window.mode == "reflect":
            return np.abs((raw + n - 1) % max(2 * n - 2, 1) - n + 1) if n > 1 else raw * 0
        return np.where((raw >= 0) & (raw < n), raw, n)

    padded = np.pad(x, ((0, 1), (0, 1)))[np.ix_(places(rows), places(columns))]
    result = np.zeros((rows.output, columns.output), int)
    for u in range(rows.kernel):
        for v in range(columns.kernel):
            part = padded[u * rows.dilation :, v * columns.dilation :][:: rows.stride, :: columns.stride]
            result += (w[u, v] * part[: rows.output, : columns.output]).astype(int)
    return result


def test_notation_is_read_as_the_same_layer(layers):
    checked = 0
    for route, answer in layers[:300]:
        rows, columns = windows_of(route)
        net = st.parse(answer["notation"])
        declared = net.inference.declarations.get(net.nodes[-1].name)
        if declared is None:
            assert answer["state"] == "impossible", answer["notation"]
            continue
        got = [*declared.windows.values()]
        assert [axis(window) for window in got] == [axis(rows), axis(columns)], answer["notation"]
        facts = st.analyze(net).totals
        assert answer["cost"]["conv"] == {"params": facts.params, "macs": facts.macs}
        checked += 1
    assert checked > 100


@pytest.mark.torch
def test_the_line_of_pytorch_gives_the_same_size(layers):
    import torch

    checked = 0
    for route, answer in layers[:300]:
        rows, columns = windows_of(route)
        if answer["state"] == "impossible":
            continue
        bound = {"reflect": lambda n: n - 1, "circular": lambda n: n}.get(route["mode"], lambda n: n + 99)
        if any(max(w.before, w.after) > bound(w.input) for w in (rows, columns)):
            continue  # PyTorch refuses
        module = eval(answer["pytorch"], {"nn": torch.nn})
        x = torch.tensor(answer["input"], dtype=torch.float32)[None]
        assert tuple(module(x).shape) == (1, int(route["k"]), rows.output, columns.output), answer["pytorch"]
        checked += 1
    assert checked > 100
