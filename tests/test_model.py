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
    with pytest.raises(SourceError, match="cannot be made"):
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
    from striate.model import default_scheme

    assert default_scheme(striate.create("resnet18", input=(3, 32, 32))) == "resnet"
    assert default_scheme(NET) == "kaiming"


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
