"""Kind `layer`: what is drawn stands where Window says, at one scale, and counts what geometry counts."""

import re
from xml.etree import ElementTree

import pytest

import striate as st
from striate.diagnostics import OpError
from striate.geometry import Window
from striate.ops import AvgPool, MaxPool

CELL = 26


def scene(text, **options):
    return st.draw(text, "layer", **options).scene


def marks(text, **options):
    return scene(text, **options)["drawing"]["marks"]


def rects(found, **wanted):
    return [m for m in found if m["mark"] == "rect" and all(m[key] == value for key, value in wanted.items())]


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_the_figure_of_the_course_is_drawn_to_the_letter(stride, golden):
    golden(
        f"pictures/layer-7x7-3x3-stride-{stride}.svg", st.draw(f"7x7x1 -> conv 3x3 /{stride}", "layer").svg
    )


def test_the_course_says_what_stands_in_the_picture():
    told = {
        stride: " ".join(m["text"] for m in marks(f"7x7x1 -> conv 3x3 /{stride}") if m["mark"] == "text")
        for stride in (1, 2, 3)
    }
    assert "(7 + 0 - 3)/1 + 1 = 5" in told[1] and "fits" in told[1]
    assert "(7 + 0 - 3)/2 + 1 = 3" in told[2] and "fits" in told[2]
    assert "(7 + 0 - 3)/3 + 1 = 2.33 -> 2!" in told[3] and "leaves a remainder" in told[3]
    assert "13 of 49 positions are never read" in told[3] and "row and column 6 never read" in told[3]
    assert "the next would reach 2 past the end" in told[3]


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "pad", "dilation"),
    [(7, 3, 1, 0, 1), (7, 3, 2, 0, 1), (7, 3, 3, 0, 1), (8, 5, 2, 1, 1), (9, 3, 2, 2, 2), (9, 1, 3, 0, 1)],
)
def test_bars_and_marked_bands_stand_where_the_window_says(size, kernel, stride, pad, dilation):
    window = Window(size, kernel, stride, dilation, pad, pad)
    text = f"{size}x{size}x1 -> conv {kernel}x{kernel} /{stride} pad {pad} dil {dilation}"
    record = scene(text)
    found = record["drawing"]["marks"]
    plane = rects(found, fill="padding")[0]
    cell = min(CELL, 340 // max(window.padded, window.output * stride - 2 * pad + window.extent))
    assert plane["width"] == plane["height"] == window.padded * cell
    bars = [m for m in rects(found, height=5, stroke="paper") if m["y"] > plane["y"] + plane["height"]]
    starts = sorted(round((m["x"] - plane["x"]) / cell, 6) - pad for m in bars)
    every = [window.raw(i, 0) for i in range(window.output)]
    assert starts == (every if len(every) <= 7 else [*every[:6], every[-1]])
    assert {m["width"] for m in bars} == {window.extent * cell}
    bands = rects(found, fill="error-fill", stroke="")
    lost = {
        round((m["x"] - plane["x"]) / cell) - pad + k
        for m in bands
        if m["height"] == size * cell
        for k in range(round(m["width"] / cell))
    }
    assert lost == set(window.unread)
    read = size - len(window.unread)
    hidden = f"{size * size - read * read} of {size * size} positions are never read"
    assert any(hidden in m["text"] for m in found if m["mark"] == "text") == bool(window.unread)


@pytest.mark.parametrize(
    "text",
    [
        "7x7x3 -> conv 3x3 5 pad 1",
        "5x12x1 -> maxpool 2",
        "4x4x2 -> tconv 3x3 3 /2 pad 1",
        "1d 30x2 -> conv 5 4",
    ],
)
def test_cells_of_input_filter_and_output_are_equal(text):
    found = marks(text)
    planes = rects(found, fill="padding")
    assert len(planes) == 3
    layer = scene(text)["facts"]["layer"]
    sizes = [[axis[key] for axis in layer["axes"]] for key in ("input", "kernel", "output")]
    slid = 2 if layer["axes"][0]["transposed"] else 0
    sizes[slid] = [a["over"] + sum(a["pad"]) for a in layer["axes"]]
    assert len({round(p["width"] / size[-1], 6) for p, size in zip(planes, sizes)}) == 1
    if len(layer["axes"]) == 2:
        assert len({round(p["height"] / size[0], 6) for p, size in zip(planes, sizes)}) == 1


@pytest.mark.parametrize(
    ("text", "state", "says"),
    [
        ("2x2x3 -> conv 3x3 4", "impossible", "the first would reach 1 past the end"),
        ("8x8x3 -> conv 3x3 4 in 5", "impossible", "a filter has 5 channels, the input 3"),
        ("7x7x2 -> maxpool 2 ceil", "remainder", "the last window extends 1 past the end"),
        ("8x8x8 -> conv 3x3 4 groups 2", "fits", "2 groups: each filter reads 4 of 8 channels"),
        ("8x8x8 -> dwconv 3x3", "fits", "depthwise: each filter reads 1 of 8 channels"),
        ("8x8x3 -> conv 3x3 4", "fits", "full depth: a filter has 3 channels like the input"),
        ("224x224x3 -> conv 3x3 4", "fits", "drawn by scale"),
        ("1d 16000x1 -> conv 80 32 /4", "fits", "length: (16000 + 0 - 80)/4 + 1 = 3981"),
        ("8x16x16x3 -> conv 3x3x3 4", "fits", "one slice is drawn"),
        ("4x4x3 -> tconv 3x3 6 /2", "fits", "spreads its filter over 6 output channels"),
        (
            "4x4x2 -> tconv 3x3 6 /2 pad 9",
            "impossible",
            "each of 2 channels spreads its filter over 6 output",
        ),
        ("4x4x2 -> tconv 3x3 6 /2 pad 9", "impossible", "(4 - 1)·2 + 3 - 18 + 0 = -9"),
        ("1d 5x1 -> tconv 3 pad 9", "impossible", "length: (5 - 1)·1 + 3 - 18 + 0 = -11"),
    ],
)
def test_states_and_what_is_special_are_told(text, state, says):
    record = scene(text)
    assert record["facts"]["layer"]["state"] == state
    assert says in " ".join(m["text"] for m in record["drawing"]["marks"] if m["mark"] == "text")


@pytest.mark.parametrize(
    ("text", "taps"),
    [
        ("4x4x2 -> tconv 3x4 6 /2 pad 9", (3, 4)),
        ("1d 5x1 -> tconv 3 pad 9", (1, 3)),
        ("7x7x1 -> conv 9x8", (9, 8)),
    ],
)
def test_a_layer_without_an_output_has_its_input_and_its_filter_to_scale(text, taps):
    found = marks(text)
    layer = scene(text)["facts"]["layer"]
    (outline,) = rects(found, fill="", stroke="window")
    sizes = [*[1] * (3 - len(layer["input"])), *layer["input"][1:]]
    (plane, *_) = rects(found, fill="", stroke="ink")
    assert outline["width"] / taps[1] == pytest.approx(outline["height"] / taps[0], abs=0.1)
    cell = outline["width"] / taps[1]
    assert (plane["width"], plane["height"]) == (
        pytest.approx(sizes[1] * cell, abs=0.2),
        pytest.approx(sizes[0] * cell, abs=0.2),
    )
    assert "?" in [m["text"] for m in found if m["mark"] == "text"]


def test_bars_stand_below_a_window_that_is_too_large():
    found = marks("7x7x1 -> conv 9x9")
    (window, *bars) = [r for r in rects(found, fill="", stroke="error") if r.get("dash")]
    assert all(bar["y"] >= window["y"] + window["height"] or bar["x"] < window["x"] for bar in bars)


def test_the_layer_is_the_first_with_a_window_or_the_named_one():
    net = "16x16x1 -> relu -> conv 3x3 2 -> maxpool 2"
    assert scene(net)["facts"]["layer"]["name"] == "conv1"
    assert scene(net, node="maxpool1")["facts"]["layer"]["name"] == "maxpool1"
    with pytest.raises(OpError) as error:
        scene(net, node="relu1")
    assert "conv1, maxpool1" in error.value.fix
    with pytest.raises(OpError):
        scene("4x4x1 -> relu")


@pytest.mark.parametrize(
    "text",
    [
        "5x6x1 -> conv 3x3 bias off",
        "6x6x1 -> conv 3x2 bias off /2x1 pad 1 mode reflect",
        "7x7x1 -> conv 3x3 bias off dil 2 pad 1",
        "5x5x1 -> maxpool 3 /2 pad 1",
        "5x5x1 -> avgpool 2 ceil pad 1",
        "5x5x1 -> avgpool 3 /2 pad 1 countpad off",
        "3x4x1 -> tconv 3x3 1 /2 pad 1 bias off",
        "1d 9x1 -> conv 3 1 /2 bias off",
    ],
)
def test_numbers_are_what_the_engine_computes(text):
    numpy = pytest.importorskip("numpy")
    example = st.draw(text, "layer", numbers=True).scene["facts"]["example"]
    model = st.Model(text)
    weights = numpy.asarray(example["filter"], "float32")
    if weights.size:
        name = next(iter(model.weights))
        model.weights[name] = weights.reshape(model.weights[name].shape)
    given = numpy.asarray(example["input"], "float32")
    x = given[None, None] if " 1d " not in f" {text}" else given[None]
    made = numpy.asarray(model.predict(x)).squeeze()
    assert numpy.allclose(made, numpy.asarray(example["output"]).squeeze(), atol=1e-5)


def test_no_numbers_where_cells_are_too_small():
    with pytest.raises(OpError, match="longer than 16"):
        scene("32x32x1 -> conv 3x3", numbers=True)


# -- motion -------------------------------------------------------------------------------------------------------


def test_the_window_slides_through_every_position_and_the_last_holds():
    record = scene("7x7x1 -> conv 3x3 /2", animate=True, speed=4)
    drawing = record["drawing"]
    assert drawing["motion"] == {"steps": 9, "speed": 4, "hold": 2.0}
    plane = rects(drawing["marks"], fill="padding")[0]
    windows = [m for m in rects(drawing["marks"], stroke="window", width=3 * CELL) if m.get("steps")]
    places = [tuple(round((m[a] - plane[a]) / CELL, 6) for a in "yx") for m in windows]
    assert places == [(y, x) for y in (0, 2, 4) for x in (0, 2, 4)]
    assert [m["steps"] for m in windows] == [[k, k] for k in range(9)]


def test_a_moving_picture_loops_without_script_and_respects_who_wants_none():
    text = st.draw("5x5x1 -> conv 3x3", "layer", animate=True, numbers=True).svg
    assert text == st.draw("5x5x1 -> conv 3x3", "layer", animate=True, numbers=True).svg
    root = ElementTree.fromstring(text)
    assert "<script" not in text and "<animate" not in text
    (style,) = [e.text for e in root.iter("{http://www.w3.org/2000/svg}style") if "@keyframes" in e.text]
    rules = style[style.index("@media (prefers-reduced-motion:no-preference)") :]
    assert "animation:" not in style.replace(rules, "")
    assert rules.count("6.5s step-end infinite") == len(set(re.findall(r"@keyframes (\S+?){", style))) > 9
    groups = [e for e in root.iter("{http://www.w3.org/2000/svg}g") if e.get("class", "").startswith("s9-")]
    still = [e.get("opacity") for e in groups if e.get("class").endswith("-8")]
    assert set(still) == {None}, "without motion the last step is seen"
    assert {e.get("opacity") for e in groups if not e.get("class").endswith("-8")} == {"0"}


def test_a_form_that_cannot_move_holds_the_last_step(tmp_path):
    picture = st.draw("7x7x1 -> conv 3x3", "layer", animate=True)
    picture.save(tmp_path / "a.tex")
    assert (
        "row 4, column 4" in (tmp_path / "a.tex").read_text()
        and "row 0" not in (tmp_path / "a.tex").read_text()
    )


def test_the_output_of_a_large_layer_is_full_in_the_end():
    """Positions between those that the animation shows are filled with the next one."""
    for text in ("34x50x1 -> conv 3x3 2", "1d 200x1 -> conv 5", "7x7x1 -> conv 3x3"):
        marks = st.draw(text, "layer", animate=True).scene["drawing"]["marks"]
        filled = [m for m in marks if m["mark"] == "rect" and m["fill"] == "conv" and m.get("steps")]
        last = max(m["steps"][1] for m in filled)
        assert all(m["steps"] == [k, last] for k, m in enumerate(filled))
        left, top = min(m["x"] for m in filled), min(m["y"] for m in filled)
        right = max(m["x"] + m["width"] for m in filled)
        bottom = max(m["y"] + m["height"] for m in filled)
        area = sum(m["width"] * m["height"] for m in filled)
        assert area == pytest.approx((right - left) * (bottom - top), rel=0.02)  # without gap or overlap


def test_a_large_layer_moves_in_few_steps_from_the_first_position_to_the_last():
    record = scene("224x224x3 -> conv 3x3 4", animate=True)
    assert record["drawing"]["motion"]["steps"] == 14 * 14
    said = [m["text"] for m in record["drawing"]["marks"] if m["mark"] == "text" and m.get("steps")]
    assert said[0] == "row 0, column 0" and said[-1] == "row 221, column 221"


def test_only_layers_move_and_speed_is_checked():
    with pytest.raises(OpError, match="does not move"):
        st.draw("lenet5", animate=True)
    with pytest.raises(OpError, match="speed is 0"):
        st.draw("lenet5", "layer", animate=True, speed=0)


@pytest.mark.parametrize(
    "op", [AvgPool(2, padding=1, dilation=5, count_include_pad=False), MaxPool(2, padding=1, dilation=5)]
)
def test_a_window_on_padding_alone_has_no_number(op):
    build = st.Builder("corners", input=(1, 4, 4))
    picture = st.draw(build.build(build(op, build.input)), "layer", numbers=True)
    assert picture.scene["facts"]["example"]["output"] == [[None]]
    assert "-" in [mark.get("text") for mark in picture.scene["drawing"]["marks"]]
