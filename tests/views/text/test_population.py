"""A population as text, from a record made by hand: what is printed does not hang on the last digit of a network."""

import pytest

from striate.terminal import Terminal
from striate.views.text.page import Page
from striate.views.text.population import draw

EDGES = {"cv": (0, 1, 8), "osi": (0, 1, 8), "orientation_deg": (0, 180, 8), "frequency_cpp": (0, 0.5, 10),
         "f1_f0": (0, 2, 8)}  # fmt: skip


def group(networks, types, **medians):
    responding = types[0] + types[1]
    measures = {}
    for name, (low, high, bins) in EDGES.items():
        median = medians.get(name)
        counts = [0] * bins
        if median is not None:
            at = min(int((median - low) / (high - low) * bins), bins - 1)
            counts[at] += responding - responding // 3
            counts[max(at - 1, 0)] += responding // 3
        elif name == "orientation_deg" and responding:
            counts = [responding // bins + (k < responding % bins) for k in range(bins)]
        measures[name] = {
            "defined": sum(counts), "median": median, "quartiles": None if median is None else [median, median],
            "edges": [low + (high - low) * k / bins for k in range(bins + 1)], "counts": counts,
        }  # fmt: skip
    return {"networks": networks, "units": sum(types), "responding": responding,
            "types": dict(zip(("simple", "complex", "none"), types)), "measures": measures}  # fmt: skip


def node(name, inside, given, difference):
    return {
        "node": name, "value": name.replace("conv", "relu"), "position": [5, 5], "field": {"h": [3, 9], "w": [3, 9]},
        "inside": inside, "surround": False, "differences": {"untrained": difference, "shuffled": None},
        "groups": {
            "given": given,
            "untrained": group(3, (20, 2, 2), cv=0.74, osi=0.5, frequency_cpp=0.2, f1_f0=1.5),
            "shuffled": group(3, (0, 0, 24)),
        },
        "samples": [],
    }  # fmt: skip


def population():
    difference = {"value": 0.163, "low": 0.08, "high": 0.25}
    return {
        "schema": "striate.population/1", "network": "net", "weights": "as given", "seeds": 3,
        "differences": {"untrained": difference, "shuffled": None}, "frequencies_cpp": [0.1, 0.2],
        "orientations_deg": [0.0, 90.0], "phases_deg": [0.0, 180.0], "colors": ["luminance"], "contrast": 1.0,
        "shown": 25354, "statement": "The network is more orientation selective than its untrained controls (median of "
        "1 - CV +0.163, 95% interval +0.080 to +0.250), and not more than the same network with shuffled weights "
        "(which do not respond).",
        "nodes": [
            node("conv1", True, group(1, (7, 1, 0), cv=0.52, osi=0.8, frequency_cpp=0.18, f1_f0=1.57), difference),
            node("layer2.conv2", False, group(1, (0, 0, 8)), None),
        ],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "unicode", "width"), [("wide", True, 80), ("ascii", False, 80), ("narrow", True, 40)]
)
def test_printed(name, unicode, width, golden):
    page = Page(Terminal(width=width, unicode=unicode))
    draw(page, population())
    assert max(map(len, str(page).splitlines())) <= width
    golden(f"text/population-{name}.txt", str(page))


def test_a_bin_without_a_unit_is_empty():
    from striate.views.text.population import histogram

    assert histogram([0, 1, 100, 0]) == " ▁█ " and histogram([0, 0]) == "  "
    assert histogram([1, 8], False).isascii()
