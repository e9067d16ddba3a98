"""CIFAR-10 and CIFAR-100, binary and python, in the published layout."""

import pickle

import numpy as np
import pytest

from striate.diagnostics import FormatError, LimitError, SourceError, StriateError
from striate.train.data import cifar as reader
from striate.train.data import open_data
from train.data.makers import Runs, cifar_batch, cifar_records, five_parts


def binary_10(root, per_batch=20, batches=2, test=10):
    root.mkdir(exist_ok=True)
    for number in range(1, batches + 1):
        (root / f"data_batch_{number}.bin").write_bytes(cifar_records(per_batch, seed=number))
    (root / "test_batch.bin").write_bytes(cifar_records(test, seed=99))
    (root / "batches.meta.txt").write_text("\n".join(reader.NAMES_10) + "\n\n")
    (root / "readme.html").write_text("CIFAR")
    return root


def test_binary_10(tmp_path):
    splits = open_data(binary_10(tmp_path), holdout=0)
    assert (len(splits.train), len(splits.test), splits.validation) == (40, 10, None)
    assert splits.shape == (3, 32, 32) and splits.classes == reader.NAMES_10
    assert splits.found.startswith(f"CIFAR-10 binary {tmp_path}: images 32x32x3 in 10 classes")
    records = np.frombuffer(cifar_records(20, seed=2), np.uint8).reshape(-1, 3073)
    item = splits.train.item(23)  # the fourth image of the second batch
    assert np.array_equal(item.image.ravel(), records[3, 1:]) and item.label == records[3, 0]


def test_binary_100(tmp_path):
    (tmp_path / "train.bin").write_bytes(cifar_records(120, 100))
    (tmp_path / "test.bin").write_bytes(cifar_records(7, 100))
    (tmp_path / "fine_label_names.txt").write_text("\n".join(f"name{n}" for n in range(100)))
    splits = open_data(tmp_path, holdout=0)
    assert len(splits.classes) == 100 and splits.classes[3] == "name3"
    assert splits.train.labels[:5].tolist() == [0, 1, 2, 3, 4] and "fine labels" in splits.train.source


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("classes", [10, 100])
def test_python(tmp_path, classes, protocol):
    names = ["data_batch_1", "data_batch_2", "test_batch"] if classes == 10 else ["train", "test"]
    for seed, name in enumerate(names):
        (tmp_path / name).write_bytes(cifar_batch(12, classes, seed, protocol))
    labels = [f"name{n}" for n in range(classes)]
    meta = {b"label_names" if classes == 10 else b"fine_label_names": labels}
    (tmp_path / ("batches.meta" if classes == 10 else "meta")).write_bytes(pickle.dumps(meta, protocol))
    splits = open_data(tmp_path, holdout=0)
    assert len(splits.train) == 12 * (len(names) - 1) and len(splits.test) == 12
    assert splits.classes[1] == "name1" and splits.shape == (3, 32, 32)
    raw = pickle.loads((tmp_path / names[0]).read_bytes())[b"data"]
    assert np.array_equal(splits.train.item(5).image.ravel(), raw[5])


def test_one_file_alone(tmp_path):
    (tmp_path / "data_batch_1.bin").write_bytes(cifar_records(30))
    assert len(open_data(tmp_path / "data_batch_1.bin", "train", holdout=0)) == 30
    (tmp_path / "mine.bin").write_bytes(cifar_records(30))
    assert len(open_data(tmp_path / "mine.bin", "all")) == 30


def test_the_folder_its_archive_unpacks_into(tmp_path):
    binary_10(tmp_path / "cifar-10-batches-bin")
    assert len(open_data(tmp_path, "test")) == 10


def test_both_forms_side_by_side(tmp_path):
    binary_10(tmp_path)
    (tmp_path / "data_batch_1").write_bytes(cifar_batch(5))
    with pytest.raises(FormatError, match="several formats") as caught:
        open_data(tmp_path)
    five_parts(caught.value)


BAD_BINARY = {
    "empty": (b"", "not a complete CIFAR-10 file"),
    "truncated": (cifar_records(5)[:-7], "not a complete CIFAR-10 file"),
    "one byte over": (cifar_records(5) + b"\0", "not a complete CIFAR-10 file"),
    "wrong content": (b"\xff" * 3073 * 2, "not a CIFAR-10 file"),
}


@pytest.mark.parametrize("name", BAD_BINARY)
def test_binary_files_that_do_not_hold_together(tmp_path, name):
    data, message = BAD_BINARY[name]
    binary_10(tmp_path)
    (tmp_path / "data_batch_2.bin").write_bytes(data)
    with pytest.raises(FormatError, match=message) as caught:
        open_data(tmp_path)
    assert "data_batch_2.bin" in five_parts(caught.value)


def batch(**changes):
    content = pickle.loads(cifar_batch(4, names_as_bytes=False)) | changes
    return pickle.dumps({key: value for key, value in content.items() if value is not None})


BAD_PYTHON = {
    "empty": (b"", "not a complete pickle"),
    "truncated": (cifar_batch(4)[:-100], "not a complete pickle"),
    "wrong magic": (b"(hello there", "not a complete pickle"),
    "no data": (batch(data=None), "not a CIFAR batch"),
    "no labels": (batch(labels=None), "not a CIFAR batch"),
    "too few labels": (batch(labels=[1]), "not a CIFAR batch"),
    "labels that are none": (batch(labels=["a"] * 4), "not a CIFAR batch"),
    "a label that is not a class": (batch(labels=[0, 1, 2, 10]), "not a CIFAR batch"),
    "a negative label": (batch(labels=[0, 1, 2, -1]), "not a CIFAR batch"),
    "other pixels": (batch(data=np.zeros((4, 3072))), "not a CIFAR batch"),
    "other sizes": (batch(data=np.zeros((4, 784), np.uint8)), "not a CIFAR batch"),
    "a list": (pickle.dumps([1, 2]), "not a CIFAR batch"),
}


@pytest.mark.parametrize("name", BAD_PYTHON)
def test_python_batches_that_do_not_hold_together(tmp_path, name):
    data, message = BAD_PYTHON[name]
    (tmp_path / "data_batch_1").write_bytes(data)
    with pytest.raises(FormatError, match=message) as caught:
        open_data(tmp_path)
    assert "data_batch_1" in five_parts(caught.value)


def test_a_hostile_batch_runs_nothing(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "data_batch_1").write_bytes(
        pickle.dumps({"labels": [0], "data": Runs(tmp_path / "ran")})
    )
    for source in (tmp_path / "data", tmp_path / "data" / "data_batch_1"):
        with pytest.raises(FormatError, match="more than data") as caught:
            open_data(source)
        five_parts(caught.value)
    assert not (tmp_path / "ran").exists()


def test_a_hostile_list_of_names_runs_nothing(tmp_path):
    (tmp_path / "data_batch_1").write_bytes(cifar_batch(4))
    (tmp_path / "batches.meta").write_bytes(pickle.dumps(Runs(tmp_path / "ran")))
    with pytest.raises(FormatError):
        open_data(tmp_path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["data_batch_1.bin", "data_batch_1"])
def test_a_file_too_large_to_be_meant(tmp_path, name, monkeypatch):
    monkeypatch.setattr(reader, "MAX_FILE", 1000)
    (tmp_path / name).write_bytes(cifar_records(2) if name.endswith("bin") else cifar_batch(2))
    with pytest.raises(LimitError) as caught:
        open_data(tmp_path)
    five_parts(caught.value)


def test_both_kinds_in_one_folder(tmp_path):
    (tmp_path / "data_batch_1").write_bytes(cifar_batch(4))
    (tmp_path / "train").write_bytes(cifar_batch(4, 100))
    with pytest.raises(StriateError, match="mixes"):
        open_data(tmp_path)


def test_an_unreadable_file(tmp_path):
    (tmp_path / "train.bin").mkdir()
    with pytest.raises(SourceError) as caught:
        open_data(tmp_path / "train.bin")
    five_parts(caught.value)


def test_a_network_trains_through_the_binary_reader(tmp_path):
    """Ten classes told apart by the brightness of two channels: random weights guess one in ten."""
    import striate

    def colored(count, seed):
        rng = np.random.default_rng(seed)
        labels = np.arange(count) % 10
        x = rng.integers(0, 60, (count, 3, 32, 32))
        x[:, 0] += (labels % 5 * 45)[:, None, None]
        x[:, 1] += (labels // 5 * 150)[:, None, None]
        return np.concatenate([labels[:, None], x.reshape(count, -1)], 1).astype(np.uint8).tobytes()

    (tmp_path / "data_batch_1.bin").write_bytes(colored(300, 1))
    (tmp_path / "test_batch.bin").write_bytes(colored(100, 2))
    splits = open_data(tmp_path)
    model = striate.Model(
        striate.parse("32x32x3 -> conv 8x8 8 /8 -> relu -> gap -> flatten -> fc 24 -> relu -> fc 10")
    )
    model.fit(splits.train, splits.validation, epochs=12, batch_size=30, lr=0.02, flip=0.5)
    assert model.evaluate(splits.test).accuracy > 0.9
