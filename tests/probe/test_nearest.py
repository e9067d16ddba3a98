"""Nearest images: what one pass finds equals a sort of all responses, on generated networks and data."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

import striate as st
from striate.analysis.fields import exact_field
from striate.diagnostics import OpError, StriateError, UnknownNameError, UsageError
from striate.probe.electrode import part_up_to
from striate.probe.nearest import _Ranking
from striate.train.data import Transform

NETS = (
    ("7x7x1 -> conv 3x3 3 pad 1 -> relu -> maxpool 2 -> flatten -> fc 4", "conv1"),
    ("7x8x2 -> conv 3x2 4 /2 -> bn -> relu -> conv 2x2 3", "conv1"),
    ("7x8x2 -> conv 3x2 4 /2 -> bn -> relu -> conv 2x2 3", "conv2"),
    ("6x6x3 -> conv 3x3 5 -> relu -> conv 3x3 2 pad 2 -> relu -> gap -> flatten -> fc 3", "relu2"),
    ("6x6x3 -> conv 3x3 5 -> relu -> gap -> flatten -> fc 6 -> relu -> fc 3 -> softmax", "fc1"),
    ("6x6x3 -> conv 3x3 5 -> relu -> gap -> flatten -> fc 6 -> relu -> fc 3 -> softmax", "fc2"),
    ("6x6x3 -> conv 3x3 5 -> relu -> gap -> flatten -> fc 6 -> relu -> fc 3 -> softmax", "gap1"),
)


def whole_model(text, seed):
    """A model whose arithmetic is exact, so that equal images have equal responses in every batch."""
    rng = np.random.default_rng(seed)
    model = st.Model(text, seed=0, precision="strict")
    for name, array in model.weights.items():
        if name.endswith("running_var"):
            array[:] = 1 - 1e-5
        else:
            array[:] = rng.integers(-2, 3, array.shape)
    return model


def whole_images(model, count, seed, different):
    """`count` images of small whole numbers, of which some occur again and again."""
    rng = np.random.default_rng(seed)
    pool = rng.integers(0, 3, (different, *model.net.input.without_batch)).astype(np.float32)
    return pool[rng.integers(0, different, count)]


def responses(model, value, images):
    """(N, K) largest values of the maps, and their places (N, K), -1 where none stands out; one image at a time."""
    part = part_up_to(model.net, value)
    weights = {name: model.weights[name] for name in part.parameters}
    program = model.engine.compile(part, weights, precision="strict")
    found, places = [], []
    for image in images:
        flat = program.values(image[None], [value])[value].reshape(part.specs[value].channels, -1)
        found.append(flat.max(1))
        places.append([-1 if row.size > 1 and row.min() == row.max() else int(row.argmax()) for row in flat])
    return np.array(found), np.array(places)


@given(
    net=some.sampled_from(NETS), seed=some.integers(0, 99), count=some.integers(1, 40),
    different=some.integers(1, 40), kept=some.integers(1, 12), batch=some.integers(1, 45),
)  # fmt: skip
def test_one_pass_equals_a_sort_of_all_responses(net, seed, count, different, kept, batch):
    text, node = net
    model = whole_model(text, seed)
    images = whole_images(model, count, seed, different)
    labels = np.arange(count) % 3
    found = st.nearest(model, node, (images, labels), count=kept, batch_size=batch)
    values, places = responses(model, found.value, images)
    assert found.images == count and len(found) == values.shape[1]
    width = (model.net.specs[found.value].spatial or (1, 1))[-1]
    for unit in found.units:
        for sign, near, ties in ((-1, unit.most, unit.most_ties), (1, unit.least, unit.least_ties)):
            order = sorted(range(count), key=lambda k: (sign * values[k, unit.unit], k))[:kept]
            assert [image.index for image in near] == order
            np.testing.assert_allclose(
                [image.response for image in near], values[order, unit.unit], rtol=1e-6
            )
            assert ties == (values[:, unit.unit] == values[order[0], unit.unit]).sum()
            for image in near:
                place = places[image.index, unit.unit]
                spatial = bool(model.net.specs[found.value].spatial)
                expected = divmod(int(place), width) if spatial and place >= 0 else None
                assert image.position == expected
                assert image.label == str(labels[image.index])
                if expected:
                    seen = exact_field(part_up_to(model.net, found.value), found.value, expected)
                    ends = {axis.lower(): (rows[0], rows[-1]) for axis, rows in seen.items() if rows}
                    assert image.field == (ends if len(ends) == 2 else None)


def test_only_the_images_that_are_listed_are_kept():
    rng = np.random.default_rng(0)
    ranking = _Ranking(3, 5, 1)
    for start in range(0, 4000, 100):
        ranking.add(rng.random((100, 5)), np.zeros((100, 5), int), np.arange(start, start + 100))
        kept = [value for value in vars(ranking).values() if isinstance(value, np.ndarray)]
        assert max(array.size for array in kept) == 15


def test_the_unit_responds_to_what_was_cut_out():
    """The cut part alone makes the same response: the field and the place belong together."""
    model = whole_model("12x12x1 -> conv 3x3 4 -> relu -> conv 3x3 /2 3 -> relu", 1)
    images = whole_images(model, 20, 1, 20)
    found = st.nearest(model, "conv2", images, count=4)
    for unit in found.units:
        for image in unit.most:
            if image.field is None:
                continue
            (top, bottom), (left, right) = image.field["h"], image.field["w"]
            alone = np.zeros_like(images[:1])
            alone[:, :, top : bottom + 1, left : right + 1] = found.pixels(image)[
                :, top : bottom + 1, left : right + 1
            ]
            values = model.engine.compile(model.net, model.weights.current()).values(alone, ["relu2"])[
                "relu2"
            ]
            assert values[0, unit.unit][image.position] == pytest.approx(image.response, rel=1e-5)


def test_images_without_labels_and_a_model_without_weights():
    images = np.random.default_rng(0).random((6, 1, 8, 8), np.float32)
    found = st.nearest("8x8x1 -> conv 3x3 2 -> relu", "conv1", images, count=2)
    assert found.weights == "untrained, seed 0" and found[0].most[0].label is None
    assert st.nearest(st.Model("8x8x1 -> conv 3x3 2"), "conv1", images).weights == "as given"


def test_image_files_in_a_list_equal_their_pixels(tmp_path):
    from PIL import Image

    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (6, 8, 8), np.uint8)
    files = [tmp_path / f"{k}.png" for k in range(6)]
    for file, image in zip(files, x, strict=True):
        Image.fromarray(image).save(file)
    model = st.Model("8x8x1 -> conv 3x3 2 -> relu", seed=0)
    model.transform = {"steps": [{"step": "normalize", "mean": [0.5], "std": [0.5]}]}
    given = st.nearest(model, "conv1", x[:, None])
    listed = st.nearest(model, "conv1", files)
    folder = st.nearest(model, "conv1", tmp_path)
    for one in (listed, folder):
        assert [[i.index for i in u.most] for u in one.units] == [
            [i.index for i in u.most] for u in given.units
        ]
        assert one[1].most[0].response == pytest.approx(given[1].most[0].response)
        assert one[0].most[0].label is None and "class" not in one.data
    assert st.nearest(model, "conv1", files[2]).images == 1
    (tmp_path / "cat").mkdir()
    files[0].rename(tmp_path / "cat" / "0.png")  # class folders win: images next to them are other files
    assert st.nearest(model, "conv1", tmp_path)[0].most[0].label == "cat"


def test_a_run_knows_the_images_that_it_has_learned_from(tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "data.npz", x=rng.integers(0, 256, (60, 8, 8), np.uint8), y=np.arange(60) % 3)
    path = str(tmp_path / "data.npz")
    model = st.Model("8x8x1 -> conv 3x3 2 -> relu -> flatten -> fc 3", seed=0)
    model.fit(path, epochs=1, verbose=0, out=tmp_path / "run", seed=4)
    parts = st.open_data(path, seed=4)
    found = st.nearest(tmp_path / "run", "conv1", count=3)
    assert found.images == len(parts.train) and found.weights == "as given"
    assert found[0].most[0].name in {parts.train.name(k) for k in range(len(parts.train))}
    every = st.nearest(tmp_path / "run", "conv1", split="all")
    assert every.images == 60 and st.nearest(model, "conv1").images == len(parts.train)
    assert st.nearest(tmp_path / "run", "conv1", path, split="test").images == len(parts.test)
    transform = Transform.from_dict(model.transform)
    image = found[0].most[0]
    np.testing.assert_allclose(found.pixels(image)[0], parts.train.image(image.index)[0] / 255, atol=1e-6)
    x = transform(parts.train.image(image.index)[None])
    value = model.engine.compile(model.net, model.weights.current()).values(x, ["relu1"])["relu1"]
    assert value[0, 0].max() == pytest.approx(image.response, rel=1e-5)


def test_a_unit_that_responds_to_nothing_says_so():
    model = st.Model("6x6x1 -> conv 3x3 2 -> relu", seed=0)
    model.weights["conv1.weight"][1] = 0
    model.weights["conv1.bias"][1] = -1
    found = st.nearest(model, "conv1", np.random.default_rng(0).random((8, 1, 6, 6), np.float32), count=3)
    silent = found[1]
    assert silent.notes == ("responds alike to every image: 0",)
    assert [image.index for image in silent.most] == [0, 1, 2] == [image.index for image in silent.least]
    assert all(image.position is None and image.field is None for image in silent.most)


def test_what_many_images_share_is_said():
    model = st.Model("4x4x1 -> conv 4x4 1 -> relu", seed=0)
    model.weights["conv1.weight"][:], model.weights["conv1.bias"][:] = 1, -20
    images = np.zeros((30, 1, 4, 4), np.float32)
    images[7] = 2
    (unit,) = st.nearest(model, "conv1", images, count=3).units
    assert (unit.most_ties, unit.least_ties, unit.most[0].index) == (1, 29, 7)
    assert unit.notes == ("29 images share the smallest response; the first ones are listed",)


def test_a_notebook_shows_the_sheet(tmp_path):
    images = np.random.default_rng(0).random((12, 3, 8, 8), np.float32)
    found = st.nearest("8x8x3 -> conv 3x3 4 -> relu -> gap -> flatten -> fc 2", "conv1", images)
    assert "<svg" in found._repr_html_() and "unit 3" in found.plot().svg
    found.save(tmp_path / "unit.svg", unit=2)
    assert "responds least" in (tmp_path / "unit.svg").read_text("utf-8")
    vector = st.nearest("8x8x3 -> conv 3x3 4 -> relu -> gap -> flatten -> fc 2", "fc1", images)
    assert "<svg" in vector.plot(1).svg


NET = "8x8x1 -> conv 3x3 4 -> relu -> flatten -> fc 2"
IMAGES = np.zeros((4, 1, 8, 8), np.float32)


@pytest.mark.parametrize(
    ("words", "error", "said"),
    [
        ((NET, "conv9", IMAGES), UnknownNameError, "conv9"),
        ((NET, "conv1"), UsageError, "no data"),
        (("8x8x1 -> conv 3x3 2 -> conv 9x9", "conv2", IMAGES), StriateError, "conv2"),
        (("1d 8x1 -> conv 3 2", "conv1", IMAGES), UsageError, "takes no image"),
    ],
)
def test_what_cannot_be_found_is_refused_with_a_fix(words, error, said):
    with pytest.raises(error) as caught:
        st.nearest(*words)
    assert said in str(caught.value) and caught.value.fix
    assert "--" not in str(caught.value)


def test_units_and_numbers_are_checked():
    found = st.nearest(NET, "conv1", IMAGES)
    with pytest.raises(UnknownNameError, match="0 to 3"):
        found[4]
    with pytest.raises(UnknownNameError):
        found.plot(7)
    with pytest.raises(UsageError):
        st.nearest(NET, "conv1", IMAGES, count=0)
    model = st.Model(NET, seed=0)
    model.weights["conv1.weight"][0] = np.inf
    with pytest.raises(OpError, match="not finite"):
        st.nearest(model, "conv1", IMAGES + 1)
