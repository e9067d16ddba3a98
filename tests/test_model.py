"""A network and its weights: predicted with, saved, loaded, trained and judged."""

import json
import subprocess
import sys

import numpy as np
import pytest

import striate
from striate.diagnostics import FormatError, OpError, SourceError, StriateError

NET = striate.parse("8x8x1 -> conv 3x3 4 -> bn -> relu -> flatten -> fc 3", name="tiny")


def images(count, seed=0):
    """Three kinds of 8x8 images that differ by which third is bright, and their kinds."""
    rng = np.random.default_rng(seed)
    y = np.arange(count) % 3
    x = rng.normal(0, 0.1, (count, 1, 8, 8)).astype(np.float32)
    for n, kind in enumerate(y):
        x[n, 0, :, 3 * kind : 3 * kind + 2] += 1
    return x, y


def test_predictions_do_not_depend_on_how_they_are_batched():
    model = striate.Model(NET, seed=1)
    x, _ = images(7)
    whole = model.predict(x)
    assert whole.shape == (7, 3)
    np.testing.assert_allclose(model.predict(x, batch=2), whole, rtol=1e-6)
    np.testing.assert_allclose(model.compile(batch=7)(x), whole, rtol=1e-6)
    assert model.predict(x[:0]).shape == (0, 3)


def test_any_number_of_images_needs_few_plans():
    model = striate.Model(NET, seed=1)
    x, _ = images(70)
    whole = model.predict(x, batch=70)
    for count in range(71):
        np.testing.assert_allclose(model.predict(x[:count], batch=16), whole[:count], rtol=1e-5, atol=1e-6)
    if model.engine.name == "compiled":
        assert {size for size, _ in model._program._ready} <= {70, 16, 8, 4, 2, 1}


def test_a_saved_model_is_the_same_model_and_a_network_on_the_command_line(tmp_path):
    model = striate.Model(NET, seed=1)
    model.classes = ("left", "middle", "right")
    model.save(tmp_path / "m")
    again = striate.Model.load(tmp_path / "m")
    assert (again.net, again.classes) == (model.net, model.classes)
    assert all((again.weights[name] == model.weights[name]).all() for name in model.weights)
    assert striate.load(tmp_path / "m") == NET
    answer = subprocess.run(
        [sys.executable, "-m", "striate", "show", str(tmp_path / "m"), "--json"],
        capture_output=True,
        check=True,
    )
    assert json.loads(answer.stdout)["name"] == "tiny"


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ("", FormatError), ("[]", FormatError), ("{}", FormatError), ('{"network": 3}', FormatError),
        ('{"network": {"name": "x"}}', FormatError), ("[" * 100_000, FormatError), ("\x00", FormatError),
    ],
)  # fmt: skip
def test_a_damaged_folder_is_refused(tmp_path, content, kind):
    (tmp_path / "config.json").write_text(content)
    for read in (striate.Model.load, striate.load):
        with pytest.raises(kind):
            read(tmp_path)


def test_folders_without_a_model(tmp_path):
    for read in (striate.Model.load, striate.load):
        with pytest.raises(SourceError, match=r"config\.json"):
            read(tmp_path)
    striate.Model(NET).save(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(SourceError):
        striate.Model.load(tmp_path)
    with pytest.raises(SourceError, match="cannot be created"):
        striate.Model(NET).save(tmp_path / "config.json" / "below")


def test_it_learns_and_is_judged_as_it_was_trained():
    model = striate.Model(NET, seed=0)
    before = model.weights["conv1.weight"].copy()
    history = model.fit(images(96), images(24, 1), epochs=6, batch_size=16, lr=0.02)
    assert len(history) == 6
    assert (model.weights["conv1.weight"] != before).any()
    assert len(model.classes) == 3
    judged = model.evaluate(images(30, 2))
    assert judged.images == 30
    assert judged.accuracy > 0.9


def test_weights_of_another_network_are_refused():
    with pytest.raises(FormatError, match="missing"):
        striate.Model(NET, weights={})
    with pytest.raises(OpError, match="batches of shape"):
        striate.Model(NET).predict(np.zeros((1, 8, 8)))
    with pytest.raises(StriateError, match="no engine 'nunpy'"):
        striate.Model(NET, engine="nunpy")


def test_a_catalogue_network_starts_as_its_family_does():
    from striate.formats.with_weights import initializer_of

    assert initializer_of(striate.create("resnet18", input=(3, 32, 32))) == "resnet"
    assert initializer_of(NET) == "kaiming"


def test_the_card_tells_strangers_names_as_text(tmp_path):
    model = striate.Model(striate.parse("8x8x1 -> flatten -> fc 2", name="tiny"), seed=0)
    model.classes = ("<script>", "a|b\n# no heading")
    model.save(tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert text.startswith("---\nlibrary_name: striate\n")
    assert "\\<script\\>, a\\|b \\# no heading" in text
    assert "| parameters | 130 |" in text
    assert not [line for line in text.splitlines() if line.startswith("# no")]


def test_a_run_tells_how_well_it_did(tmp_path):
    model = striate.Model(NET, seed=0)
    model.fit(images(48), images(24, 1), epochs=1, out=tmp_path / "run")
    text = (tmp_path / "run" / "README.md").read_text()
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert f"| accuracy | {report['validation']['accuracy']:.2%} |" in text
    assert "metrics:\n- accuracy\n" in text


@pytest.fixture(params=["auto", "numpy"])
def model(request):
    return striate.Model(NET, seed=1, engine=request.param)


def silence(array):
    array[...] = 0


def turn(array):
    array[...] = array[::-1].copy()


CHANGES = {
    "in place": lambda w: silence(w["fc1.weight"]),
    "through a view": lambda w: silence(w["fc1.weight"][1:]),
    "times": lambda w: w.update({"fc1.weight": w["fc1.weight"] * 2}),
    "augmented": lambda w: w.__setitem__("fc1.weight", w["fc1.weight"].__imul__(2)),
    "assigned": lambda w: w.__setitem__("fc1.weight", np.ones((3, 144))),
    "the same numbers elsewhere": lambda w: turn(w["fc1.weight"]),
    "while looking through all": lambda w: [silence(a) for a in w.values()],
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_prediction_never_uses_old_weights(model, change):
    x, _ = images(3)
    old, program = model.predict(x), model.compile(batch=3)
    for _ in range(2):
        change(model.weights)
        fresh = striate.Model(NET, weights=dict(model.weights), engine=model.engine.name).predict(x)
        np.testing.assert_array_equal(model.predict(x), fresh)
        assert not np.array_equal(fresh, old) or change is CHANGES["the same numbers elsewhere"]
    for count in (3, 2):  # a compiled program keeps what it was made with, for batches of any size
        np.testing.assert_allclose(program(x[:count]), old[:count], rtol=1e-5)


def test_a_reference_to_weights_stays_one(model):
    x, _ = images(3)
    kept = model.weights["fc1.bias"]
    row = model.weights["fc1.weight"][1]
    for value in (1.0, 2.0, np.nan):
        model.predict(x)
        row[...], kept[1] = 0, value
        np.testing.assert_array_equal(model.predict(x)[:, 1], np.full(3, value, np.float32))
    assert model.weights["fc1.bias"] is kept
    model.weights["fc1.bias"] += 1
    assert model.weights["fc1.bias"] is kept
    model.weights["fc1.bias"] = np.zeros(3)
    kept[...] = 7  # assigned over: no longer a weight
    assert not model.weights["fc1.bias"].any()
    given = np.ones(3, np.float32)
    model.weights["fc1.bias"] = given
    given[...] = 5  # assignment copies
    assert (model.weights["fc1.bias"] == 1).all()


def test_weights_that_nobody_holds_cost_nothing(model):
    x, _ = images(3)
    model.predict(x)
    before = model.weights.derived(lambda _: None)
    assert {name: array.shape for name, array in model.weights.items()}["fc1.bias"] == (3,)
    model.predict(x)
    assert model.weights.derived(lambda _: None) is before
    assert not model.weights._copies


def test_all_weights_assigned_and_copied_models():
    import copy
    import pickle

    x, _ = images(3)
    model, other = striate.Model(NET, seed=1), striate.Model(NET, seed=2)
    before = model.predict(x)
    for made in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(made.predict(x), before)
        silence(made.weights["fc1.weight"])
    np.testing.assert_array_equal(model.predict(x), before)
    model.weights = other.weights
    np.testing.assert_array_equal(model.predict(x), other.predict(x))
    silence(model.weights["fc1.weight"])
    assert other.weights["fc1.weight"].any()


def test_weights_that_do_not_fit_are_refused():
    model = striate.Model(NET, seed=1)
    for name, value in (("fc1.bias", np.zeros(4)), ("fc2.bias", np.zeros(3))):
        with pytest.raises(FormatError):
            model.weights[name] = value
    with pytest.raises(FormatError, match="cannot be removed"):
        del model.weights["fc1.bias"]
    model.weights["fc1.bias"].shape = (3, 1)
    with pytest.raises(FormatError, match="shape"):
        model.predict(images(3)[0])


def test_weights_learned_are_used_at_once_and_saved(tmp_path):
    model = striate.Model(NET, seed=0)
    x, _ = images(9, 3)
    before = model.predict(x)
    model.fit(images(48), images(24, 1), epochs=1, batch_size=16, lr=0.02)
    after = model.predict(x)
    assert not np.array_equal(before, after)
    silence(model.weights["fc1.bias"])
    model.save(tmp_path)
    assert not striate.Model.load(tmp_path).weights["fc1.bias"].any()


def test_strict_precision():
    net = striate.parse("64x64x64 -> conv 3x3 64 pad 1")
    x = np.random.default_rng(0).standard_normal((1, 64, 64, 64), np.float32)
    wanted = striate.Model(net, seed=0, engine="numpy").predict(x.astype(np.float64))
    error = [
        np.abs(striate.Model(net, seed=0, precision=word).predict(x) - wanted).max()
        for word in ("fast", "strict")
    ]
    assert error[1] < 2e-5
    np.testing.assert_array_equal(
        striate.Model(net, seed=0).compile(precision="strict")(x),
        striate.Model(net, seed=0, precision="strict").predict(x),
    )
    with pytest.raises(StriateError, match="no precision 'stric'"):
        striate.Model(net, precision="stric")
    with pytest.raises(StriateError, match="no precision"):
        striate.Model(net, engine="numpy").compile(precision="sloppy")


def test_the_old_spelling_of_the_initializer_is_understood():
    net = striate.parse("8x8x1 -> conv 3x3 4 -> flatten -> fc 10")
    new, old = striate.Model(net, initializer="torch"), striate.Model(net, scheme="torch")
    np.testing.assert_array_equal(new.weights["conv1.weight"], old.weights["conv1.weight"])
    assert (new.weights["conv1.weight"] != striate.Model(net).weights["conv1.weight"]).any()
