"""Curves of training: every number at its place, texts at the ends of curves, several runs, runs that are odd."""

import dataclasses
import json
import math

import pytest

import striate as st
from drawn import read
from laws.test_drawings import contrasts, texts
from results import HOSTILE, history
from striate.diagnostics import StriateError, UsageError
from striate.views.drawing import theme
from striate.views.drawing.kinds.training import HEIGHT

RUNS = {
    "one": [history()],
    "no validation data": [history(validation=False)],
    "one epoch": [history(1)],
    "two epochs": [history(2, best=False)],
    "a constant rate": [history(lr=0.1)],
    "stopped early": [history(7, stopped="early stop", planned=40)],
    "unfinished": [history(3, stopped="unfinished", planned=10)],
    "a thousand epochs": [history(1000)],
    "continued": [history(9, resumed=(4, 5))],
    "continued often": [history(40, resumed=tuple(range(1, 40, 2)))],
    "several continued": [history(9, f"runs/{k}", seed=k, resumed=(2 + k,)) for k in range(3)],
    "without a folder": [history(name="")],
    "several": [history(9, f"runs/run-{k}", seed=k) for k in range(3)],
    "many": [history(5 + k, f"runs/{k}", seed=k) for k in range(17)],
    "equal names": [history(4, "a/run"), history(4, "b/run", seed=1), history(4, "a/run", seed=2)],
    "long names": [history(4 + k, f"{'long ' * 30}{k}", seed=k) for k in range(9)],
    "losses that are not finite": [
        dataclasses.replace(
            history(8), rows=tuple({**row, "train_loss": math.nan} if row["epoch"] > 4 else row for row in history(8))
        )
    ],
    "hostile names": [history(4, name, seed=k) for k, name in enumerate(HOSTILE)],
    "of different kinds": [history(4, "a"), history(6, "b", validation=False), history(3, "")],
}  # fmt: skip


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("colors", ["light", "dark"])
def test_texts_can_be_read(name, colors):
    drawn = read(st.draw(RUNS[name], "training", theme=colors).svg)
    assert not [*texts(drawn)]
    assert not [*contrasts(drawn, {"light": theme.LIGHT, "dark": theme.DARK}[colors]["paper"])]


def curves(picture):
    """The polylines of curves: color to points, those of the longest first."""
    marks = picture.scene["drawing"]["marks"]
    return [
        m
        for m in marks
        if m["mark"] == "path" and m["stroke"].startswith("series") and m.get("thick", 1) > 1.5
    ]


def test_a_curve_goes_through_its_numbers():
    told = history(30)
    picture = st.draw(told)
    marks = picture.scene["drawing"]["marks"]
    frame = next(m for m in marks if m["mark"] == "rect" and m["height"] == HEIGHT)
    lines = [m for m in curves(picture) if m["points"][0][1] < frame["y"] + HEIGHT]  # of the loss
    solid, dashed = sorted(lines, key=lambda m: m.get("dash", False))
    labels = [
        m for m in marks if m["mark"] == "text" and m["anchor"] == "end" and m["y"] < frame["y"] + HEIGHT
    ]
    ticks = {m["text"]: m["y"] for m in labels}
    decade = ticks["0.1"] - ticks["1"]  # pixels, on an axis that is logarithmic
    for mark, values in ((solid, told["loss"]), (dashed, told["train_loss"])):
        places = [frame["x"] + k / 29 * frame["width"] for k in range(30)]
        assert [x for x, _ in mark["points"]] == pytest.approx(places, abs=0.11)
        falls = [math.log10(values[0] / value) * decade for value in values]
        assert [y - mark["points"][0][1] for _, y in mark["points"]] == pytest.approx(falls, abs=0.3)


def test_epochs_in_which_a_run_was_continued_are_marked():
    """A wedge between two epochs in every panel, in the color of the run, and words."""
    told = history(9, resumed=(4,))
    picture = st.draw(told)
    marks = picture.scene["drawing"]["marks"]
    frames = [m for m in marks if m["mark"] == "rect" and m["width"] > 500]
    wedges = [m for m in marks if m["mark"] == "path" and m.get("closed") and len(m["points"]) == 3]
    assert len(frames) == len(wedges) == 3
    for frame, wedge in zip(frames, wedges, strict=True):
        assert wedge["points"][2][0] == pytest.approx(frame["x"] + 2.5 / 8 * frame["width"], abs=0.11)
        assert wedge["points"][0][1] == pytest.approx(frame["y"], abs=0.11)
    assert picture.scene["facts"]["runs"][0]["resumed"] == [4]
    assert "continued in epoch 4" in picture.svg and "wedge" in picture.svg
    assert "wedge" not in st.draw(history(9)).svg
    two = st.draw([history(9, "a", resumed=(2,)), history(9, "b", seed=1, resumed=(3,))])
    colors = {m["fill"] for m in two.scene["drawing"]["marks"] if m["mark"] == "path" and m.get("closed")}
    assert len(colors) == 2


def test_the_end_of_a_curve_says_its_name_and_value():
    told = history(12)
    written = {text.text for text in read(st.draw(told, theme="light").svg).texts}
    for name, value in (("validation", told["loss"][-1]), ("training", told["train_loss"][-1])):
        assert f"{name} {value:.4g}" in written
    assert f"best: epoch {told.best_epoch}" in written
    several = [history(9, "runs/a"), history(5, "runs/b", seed=1)]
    written = {text.text for text in read(st.draw(several, theme="light").svg).texts}
    assert {f"{run.out.name}, validation {run['loss'][-1]:.4g}" for run in several} <= written


def test_best_epochs_have_rings_on_their_curves():
    told = history(12)
    picture = st.draw(told)
    rings = [m for m in picture.scene["drawing"]["marks"] if m["mark"] == "rect" and m.get("round") == 3.5]
    assert len(rings) == 2  # of loss and accuracy
    places = [point for curve in curves(picture) for point in curve["points"]]
    for ring in rings:
        middle = ring["x"] + 3.5, ring["y"] + 3.5
        assert any(math.dist(middle, place) < 0.2 for place in places)


def test_a_run_says_how_far_it_went():
    words = st.draw(history(7, stopped="early stop", planned=40)).scene["drawing"]["description"]
    assert "7 of 40 epochs, early stop" in words and "best epoch 5" in words


def test_the_facts_are_those_of_the_history():
    told = history(5)
    (run,) = st.draw(told).scene["facts"]["runs"]
    assert run["measures"]["validation_loss"] == told["loss"] and run["epochs"] == [1, 2, 3, 4, 5]
    assert (run["best_epoch"], run["best"]["lr"]) == (told.best_epoch, told.best["lr"])
    assert json.loads(json.dumps(st.draw(told).scene, allow_nan=False)) == st.draw(told).scene


def test_what_is_not_finite_is_a_gap():
    rows = [dict(row) for row in history(4)]
    rows[1]["train_loss"] = rows[2]["validation_loss"] = math.nan
    told = dataclasses.replace(history(4), rows=tuple(rows))
    picture = st.draw(told)
    assert picture.scene["facts"]["runs"][0]["measures"]["train_loss"][1] is None
    assert "nan" not in picture.svg


def test_what_is_not_finite_is_said():
    rows = [dict(row) for row in history(6)]
    for row in rows[4:]:
        row["train_loss"] = math.inf
    rows[1]["validation_loss"] = math.nan
    told = dataclasses.replace(history(6), rows=tuple(rows))
    drawn = read(st.draw(told, theme="light").svg)
    said = " ".join(text.text for text in drawn.texts)
    assert "training loss not finite from epoch 5" in said and "validation loss not finite in 1 epoch" in said
    assert f"training {rows[3]['train_loss']:.4g} (epoch 4)" in said  # not as if it were the last
    solid = next(c for c in curves(st.draw(told)) if not c.get("dash"))
    assert len(solid["points"]) == 4  # after the gap: one epoch stands alone before it
    for row in rows:
        row["train_loss"] = row["validation_loss"] = math.nan
    said = " ".join(
        text.text for text in read(st.draw(dataclasses.replace(told, rows=tuple(rows))).svg).texts
    )
    assert "accuracy after each epoch" in said and "loss and" not in said
    bare = [{"epoch": row["epoch"], "train_loss": math.nan, "lr": row["lr"]} for row in rows]
    with pytest.raises(UsageError, match="no finite loss"):
        dataclasses.replace(told, rows=tuple(bare), best_epoch=None).plot()


@pytest.mark.parametrize("count", [2, 5, 9])
def test_runs_with_long_names_are_told_apart(count):
    names = [
        f"runs/a long name of a run with learning rate 0.01 and weight decay, seed {k}" for k in range(count)
    ]
    runs = [history(9 + k, name, seed=k) for k, name in enumerate(names)]
    marks = st.draw(runs).scene["drawing"]["marks"]
    ends = [m["text"] for m in marks if m["mark"] == "text" and m["fill"].startswith("series")]
    assert {text.split(",")[0] for text in ends if "," in text} == {f"run {k + 1}" for k in range(count)}
    said = " ".join(m["text"] for m in marks if m["mark"] == "text")
    assert all(f"run {k + 1}, {name.removeprefix('runs/')}" in said for k, name in enumerate(names))
    assert ("training curves of more than 4 runs are left out" in said) == (count > 4)
    assert any("training" in text for text in ends) == (count <= 4)


def test_plot_is_the_same_picture():
    told = history()
    assert told.plot().svg == st.draw(told, "training").svg == st.draw([told], "training").svg


def test_pictures_are_the_same_every_time():
    assert st.draw(RUNS["several"], "training").svg == st.draw(RUNS["several"], "training").svg


def test_many_epochs_make_no_large_file():
    assert len(st.draw(history(20_000)).svg) < 300_000


def test_an_empty_history_is_refused():
    with pytest.raises(UsageError, match="no finished epoch"):
        history(0).plot()


@pytest.mark.parametrize(
    ("source", "kind", "fix"),
    [
        (st.load("lenet5"), "training", "fit"),
        (st.load("lenet5"), "confusion", "evaluate"),
        ([], "training", "at least one"),
        (history(), "blocks", "training"),
        (history(), "confusion", "evaluate"),
        (["a", "b"], "", "training"),
        (["a", "b"], "calibration", "one at a time"),
    ],
)
def test_what_a_kind_does_not_show_is_refused_with_what_it_does(source, kind, fix):
    with pytest.raises(StriateError) as error:
        st.draw(source, kind)
    assert fix in error.value.fix
