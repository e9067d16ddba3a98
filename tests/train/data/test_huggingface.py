"""Hugging Face datasets by what they can do: the classes here do the same."""

import numpy as np
import pytest
from PIL import Image as Pillow

from striate.diagnostics import FormatError, StriateError, UsageError
from striate.train.data import open_data
from train.data.makers import encoded, five_parts, picture


class Image:
    """Named as the feature of `datasets`."""


class ClassLabel:
    def __init__(self, names):
        self.names = names


class Value:
    pass


class Rows:
    """What a `datasets.Dataset` can do."""

    def __init__(self, columns, **features):
        self.columns, self.features = columns, features

    def __len__(self):
        return len(next(iter(self.columns.values())))

    def __getitem__(self, key):
        if isinstance(key, str):
            return self.columns[key]
        return {name: values[key] for name, values in self.columns.items()}


def rows(count=6, form="pillow", **changes):
    pixels = [picture(number) for number in range(count)]
    images = {
        "pillow": [Pillow.fromarray(each) for each in pixels],
        "bytes": [{"bytes": encoded(each), "path": None} for each in pixels],
        "array": [each.transpose(2, 0, 1) for each in pixels],
        "channels last": [each.tolist() for each in pixels],
    }[form]
    if form == "channels last":
        images = [np.array(each, np.uint8) for each in images]
    columns = {"image": images, "label": [number % 2 for number in range(count)]} | changes
    return Rows(columns, image=Image(), label=ClassLabel(["cat", "dog"]))


@pytest.mark.parametrize("form", ["pillow", "bytes", "array", "channels last"])
def test_rows(form):
    data = open_data(rows(form=form), "all")
    assert len(data) == 6 and data.classes == ("cat", "dog") and data.shape == (3, 8, 8)
    assert np.array_equal(data.item(3).image, picture(3).transpose(2, 0, 1)) and data.item(3).label == 1
    assert "images in 'image', classes in 'label'" in data.source
    assert sum(len(batch.y) for batch in data.batches(4, rng=0, workers=3)) == 6


def test_paths(tmp_path):
    (tmp_path / "a.png").write_bytes(encoded(picture(0)))
    data = open_data(rows(1, image=[{"bytes": None, "path": str(tmp_path / "a.png")}]), "all")
    assert np.array_equal(data.item(0).image, picture(0).transpose(2, 0, 1))


def test_parts():
    splits = open_data({"train": rows(8), "test": rows(4), "unsupervised": rows(2)}, holdout=0)
    assert (len(splits.train), len(splits.test)) == (8, 4) and "parts not read: unsupervised" in splits.found
    assert len(open_data({"everything": rows(20)}, "all")) == 20
    with pytest.raises(FormatError, match="unknown parts") as caught:
        open_data({"one": rows(2), "two": rows(2)})
    five_parts(caught.value)


def test_columns_under_other_names():
    data = Rows({"img": rows().columns["image"], "fine_label": [0] * 6, "coarse_label": [0] * 6})
    data.features = {"img": Image(), "coarse_label": ClassLabel(["x"]), "fine_label": ClassLabel(["y"])}
    assert open_data(data, "all").classes == ("y",)
    data = Rows({"photo": rows().columns["image"], "species": ["b", "a"] * 3})
    data.features = {"photo": Image(), "species": Value()}
    with pytest.raises(FormatError, match="no column of labels") as caught:
        open_data(data)
    five_parts(caught.value)
    data = Rows({"photo": rows().columns["image"], "label": ["b", "a"] * 3})
    data.features = {"photo": Image(), "label": Value()}
    assert open_data(data, "all").classes == ("a", "b")


def test_a_stream_has_no_order():
    class Stream:
        features = {"image": Image(), "label": ClassLabel(["a"])}  # noqa: RUF012

        def __getitem__(self, key): ...

    with pytest.raises(FormatError, match="is a stream") as caught:
        open_data(Stream())
    five_parts(caught.value)


class Broken(Rows):
    def __getitem__(self, key):
        if key == 2:
            raise RuntimeError("the decoder gave up")
        return super().__getitem__(key)


def test_rows_that_cannot_be_read():
    good = rows()
    images = good.columns["image"]
    images[4] = {"bytes": b"no image", "path": None}
    images[5] = np.zeros((5, 8, 8), np.uint8)
    data = open_data(Broken(good.columns, **good.features), "all")
    assert sum(len(batch.y) for batch in data.batches(3)) == 3
    assert sorted(data.bad) == [2, 4, 5] and "the decoder gave up" in data.bad[2].why


@pytest.mark.parametrize("labels", [[0, 1, 2, 0, 1, 7], [None] * 6, [-1] * 6])
def test_labels_that_are_no_class(labels):
    with pytest.raises(StriateError) as caught:
        open_data(rows(label=labels))
    five_parts(caught.value)


@pytest.mark.parametrize("source", [None, 7, object(), [1, 2, 3], {"train": 3}, {}, {"a": (1, 2)}])
def test_objects_that_are_no_data(source):
    with pytest.raises(UsageError) as caught:
        open_data(source)
    five_parts(caught.value)
