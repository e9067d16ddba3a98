"""Batches: every image once, the same on any number of threads, and continued from anywhere."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.diagnostics import FormatError, LimitError, SourceError, StriateError, UsageError
from striate.train.data import ArrayData, Transform, cached, splitmix, streaming
from striate.train.data.dataset import Dataset, Joined, Subset, View
from striate.train.data.image_transforms import ColorJitter, Flip, Normalize, PadCrop, RandomErasing
from train.data.makers import five_parts

AUGMENTED = Transform(
    (PadCrop(2), Flip(), ColorJitter(0.3, 0.3, 0.3, 0.1), Normalize((0.5,) * 3, (0.2,) * 3), RandomErasing())
)


def numbered(count: int, size=(6, 5), channels: int = 3) -> ArrayData:
    """Image i is random, with i in its first pixel."""
    x = np.random.default_rng(0).integers(0, 256, (count, channels, *size), dtype=np.uint8)
    x[:, 0, 0, 0] = np.arange(count)
    return ArrayData(x, np.arange(count) % 4)


class Streamed(Dataset):
    """As ArrayData, image by image; the ones in `broken` cannot be read, those in `gone` are missing."""

    streams = True

    def __init__(self, count: int, broken=(), gone=(), on_bad="skip") -> None:
        self.inner, self.broken, self.gone = numbered(count), set(broken), set(gone)
        super().__init__(self.inner.labels, self.inner.classes, self.inner.shape, "test set", on_bad=on_bad)

    def image(self, index):
        if index in self.gone:
            raise SourceError(f"there is no {index}.png", fix="put it back")
        if index in self.broken:
            raise FormatError(f"{index}.png cannot be decoded", why="cut off", fix="remove it")
        return self.inner.image(index)

    def name(self, index):
        return f"{index}.png"


def same(one, other):
    one, other = list(one), list(other)
    assert len(one) == len(other)
    for a, b in zip(one, other):
        assert a.index == b.index
        assert a.x.dtype == b.x.dtype == np.float32
        assert np.array_equal(a.x, b.x) and np.array_equal(a.y, b.y) and np.array_equal(a.ids, b.ids)


@given(
    st.integers(1, 40),
    st.integers(1, 12),
    st.booleans(),
    st.one_of(st.none(), st.tuples(st.integers(0, 9), st.integers(0, 9))),
)
def test_every_image_once(count, size, drop_last, rng):
    data = numbered(count)
    batches = list(data.batches(size, rng=rng, drop_last=drop_last))
    ids = [number for batch in batches for number in batch.ids.tolist()]
    assert len(batches) == data.steps(size, drop_last)
    assert len(set(ids)) == len(ids) == (count - count % size if drop_last else count)
    assert rng is not None or ids == list(range(len(ids)))
    for batch in batches:
        assert np.array_equal(batch.x[:, 0, 0, 0], batch.ids.astype(np.float32) / np.float32(255))
        assert np.array_equal(batch.y, batch.ids % 4)


@given(
    st.integers(1, 30),
    st.integers(1, 8),
    st.integers(0, 9),
    st.sampled_from([0, 1, 3]),
    st.sets(st.integers(0, 29)),
)
def test_threads_and_restart_change_nothing(count, size, start, workers, broken):
    if set(range(count)) <= broken:
        broken = set()
    data = Streamed(count, broken)
    whole = list(data.batches(size, rng=(7, 3), transform=AUGMENTED, workers=0))
    later = data.batches(size, rng=(7, 3), transform=AUGMENTED, workers=workers, start=start)
    if any(batch.index >= start for batch in whole) or not broken:
        same(later, (batch for batch in whole if batch.index >= start))


@given(st.integers(1, 20), st.data())
def test_a_batch_is_its_images_one_by_one(count, draw):
    """What happens to an image does not depend on the company it is in, nor on how it is stored."""
    data = numbered(count)
    batch = next(data.batches(count, rng=(1, 2), transform=AUGMENTED))
    place = draw.draw(st.integers(0, count - 1))
    rows = draw.draw(st.permutations(range(count)))
    for other in (
        Streamed(count),
        Subset(data, np.arange(count), ""),
        Joined([Subset(data, np.arange(count), "")], ""),
    ):
        same(other.batches(count, rng=(1, 2), transform=AUGMENTED), [batch])
    keys = splitmix.keys(splitmix.key_of((splitmix.key_of((1, 2)), 1)), batch.ids)
    alone = AUGMENTED(data.images(batch.ids[place : place + 1])[0], keys[place : place + 1])
    assert np.array_equal(alone[0], batch.x[place])
    shuffled = AUGMENTED(data.images(batch.ids[rows])[0], keys[rows])
    assert np.array_equal(shuffled, batch.x[rows])


def test_a_view_has_every_fact_of_its_base():
    """A fact that data sets have, and views forget, would be the default after a split."""
    facts = {
        name
        for name, value in vars(Dataset).items()
        if not name.startswith("_") and not callable(value) and not isinstance(value, property)
    }
    assert facts == {*View.FACTS}
    base = numbered(6)
    base.streams, base.deep, base.pictures, base.white = True, True, False, 65535
    base.whites, base.left_out = {"left": 255}, ("empty",)
    base.remarks, base.on_bad, base.part = ("a remark",), "refuse", "train"
    every = np.arange(6)
    for view in (
        View(base),
        Subset(base, every, "train"),
        Joined([base], "train"),
        cached.CachedDataset(base),
    ):
        for fact in (*facts, "classes", "shape", "kind", "part", "uniform", "remarks", "on_bad", "inputs"):
            assert getattr(view, fact) == getattr(base, fact), (type(view), fact)
        assert np.array_equal(view.labels, base.labels)
        for index in every.tolist():
            assert np.array_equal(view.image(index), base.image(index)) and view.name(index) == base.name(
                index
            )


def test_epochs_and_seeds_differ():
    data = numbered(20)
    orders = {tuple(next(data.batches(20, rng=rng)).ids.tolist()) for rng in ((0, 0), (0, 1), (1, 0), 5)}
    assert len(orders) == 4
    same(data.batches(6, rng=np.random.default_rng(3)), data.batches(6, rng=np.random.default_rng(3)))


def test_corrupt_images_are_counted_named_and_skipped():
    data = Streamed(10, broken={2, 3, 7})
    batches = list(data.batches(2, workers=2))
    assert [batch.index for batch in batches] == [0, 2, 3, 4]  # batch 1 was nothing but corrupt images
    assert sorted(number for batch in batches for number in batch.ids) == [0, 1, 4, 5, 6, 8, 9]
    assert sorted(data.bad) == [2, 3, 7] and data.bad[2].name == "2.png"
    assert data.notes()[0].startswith("3 of 10 images could not be read and were skipped: ")
    assert "7.png" in data.notes()[0] and "cut off" in data.notes()[0]
    list(data.batches(2))
    assert len(data.bad) == 3  # a second epoch does not count them again


def test_corrupt_images_can_be_refused():
    with pytest.raises(FormatError) as caught:
        list(Streamed(10, broken={5}, on_bad="refuse").batches(4))
    assert caught.value.where == "5.png"
    five_parts(caught.value)


def test_nothing_but_corrupt_images():
    with pytest.raises(FormatError, match="none of the 3 images") as caught:
        list(Streamed(3, broken={0, 1, 2}).batches(2))
    five_parts(caught.value)


def test_a_missing_file_is_never_skipped():
    with pytest.raises(SourceError, match="there is no 5"):
        list(Streamed(10, gone={5}).batches(4))


def test_leaving_early_ends_the_threads():
    import threading

    before = threading.active_count()
    batches = Streamed(100).batches(1, workers=4)
    next(batches)
    batches.close()
    assert threading.active_count() == before


@pytest.mark.parametrize(("size", "start"), [(0, 0), (-1, 0), (1, -1)])
def test_batches_without_meaning(size, start):
    with pytest.raises(UsageError) as caught:  # at once, not at the first batch
        numbered(3).batches(size, start=start)
    five_parts(caught.value)


def test_past_the_end():
    assert list(numbered(3).batches(2, start=2)) == []
    assert list(numbered(3).batches(2, start=99)) == []


@pytest.mark.parametrize(
    ("x", "shape", "first"),
    [
        (np.full((2, 4, 5), 255, np.uint8), (1, 4, 5), 1.0),
        (np.full((2, 4, 5, 3), 51, np.uint8), (3, 4, 5), 0.2),
        (np.full((2, 3, 4, 5), 51, np.uint8), (3, 4, 5), 0.2),
        (np.full((2, 7, 4, 5), 51, np.int64), (7, 4, 5), 0.2),
        (np.full((2, 4, 5), 65535, np.uint16), (1, 4, 5), 1.0),
        (np.full((2, 4, 5), True), (1, 4, 5), 1.0),
        (np.full((2, 4, 5), -3.5, np.float64), (1, 4, 5), -3.5),
        (np.full((2, 4, 5), 0.5, np.float16), (1, 4, 5), 0.5),
    ],
)
def test_arrays_of_any_layout(x, shape, first):
    data = ArrayData(x, [0, 1])
    assert data.shape == shape
    batch = next(data.batches(2))
    assert batch.x.dtype == np.float32 and batch.x.flags.c_contiguous
    assert batch.x[0, 0, 0, 0] == np.float32(first)


@pytest.mark.parametrize(
    ("x", "y", "error"),
    [
        (np.zeros((3, 2, 2)), [0, 1], FormatError),
        (np.zeros((2, 2)), [0, 1], FormatError),
        (np.zeros((2, 0, 4)), [0, 1], FormatError),
        (np.zeros((2, 2, 2)), [0, -1], FormatError),
        (np.zeros((2, 2, 2)), [0, 10**12], LimitError),
        (np.zeros((2, 2, 2)), [0.5, 1], FormatError),
        (np.zeros((2, 2, 2)), [None, 1], FormatError),
        (np.zeros((2, 2, 2)), [[0], [1, 2]], FormatError),
        (np.full((2, 2, 2), np.nan), [0, 1], FormatError),
        (np.full((2, 2, 2), np.inf), [0, 1], FormatError),
        (np.full((2, 2, 2), 1 << 20), [0, 1], FormatError),
        (np.full((2, 2, 2), -1), [0, 1], FormatError),
        (np.full((2, 2, 2), "a"), [0, 1], FormatError),
        (np.array([[[object()]]]), [0], FormatError),
    ],
)
def test_arrays_that_are_no_images(x, y, error):
    with pytest.raises(StriateError) as caught:
        ArrayData(x, y)
    assert type(caught.value) is error
    five_parts(caught.value)


def test_labels_of_any_form():
    x = np.zeros((3, 2, 2))
    assert ArrayData(x, np.eye(3)[[2, 0, 1]]).labels.tolist() == [2, 0, 1]
    assert ArrayData(x, [[2], [0], [1]]).labels.tolist() == [2, 0, 1]
    assert ArrayData(x, [2.0, 0.0, 1.0]).labels.dtype == np.int64
    named = ArrayData(x, ["dog", "cat", "dog"])
    assert named.classes == ("cat", "dog") and named.labels.tolist() == [1, 0, 1]
    assert named.counts() == {"cat": 1, "dog": 2}


def test_an_empty_set_has_no_batches():
    assert list(ArrayData(np.zeros((0, 2, 2)), []).batches(4)) == []


@given(st.integers(1, 30), st.integers(1, 3))
def test_statistics_are_those_of_the_pixels(count, channels):
    data = numbered(count, channels=channels)
    mean, std = data.statistics()
    x = data.x / 255
    assert mean == pytest.approx(x.mean((0, 2, 3)), abs=2e-6)
    assert std == pytest.approx(x.std((0, 2, 3)), abs=2e-6)


def test_a_constant_channel_has_deviation_one():
    assert ArrayData(np.full((4, 3, 3), 0.25), [0] * 4).statistics() == ((0.25,), (1.0,))


@pytest.mark.parametrize(("processors", "threads"), [(1, 1), (3, 3), (64, 4)])
def test_images_are_decoded_by_as_many_threads_as_may_run(monkeypatch, processors, threads):
    monkeypatch.setattr(streaming, "available", lambda: processors)
    assert streaming.default_workers() == threads
