"""Images kept in memory: the same batches bit for bit, each image read once, nothing kept that is too much."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from striate.diagnostics import FormatError
from striate.train.data import ArrayData, Transform, cached
from striate.train.data.cached import CachedDataset
from striate.train.data.dataset import Dataset, Subset
from striate.train.data.image_transforms import Fit, Flip, Normalize, PadCrop, Resize
from train.data.test_dataset import AUGMENTED, Streamed, numbered, same

SIZED = Transform((Fit((7, 9)), PadCrop(2), Flip(), Normalize((0.5,) * 3, (0.2,) * 3)))


class Counted(Streamed):
    """sizes: of the images, in turn."""

    def __init__(self, count: int, sizes=((6, 5),), **more) -> None:
        super().__init__(count, **more)
        self.read = [0] * count
        self.sizes = sizes
        self.uniform = len(sizes) == 1

    def image(self, index):
        self.read[index] += 1
        height, width = self.sizes[index % len(self.sizes)]
        return np.resize(super().image(index), (3, height, width))


@given(
    st.integers(1, 30),
    st.integers(1, 8),
    st.sampled_from([0, 1, 3]),
    st.sampled_from([AUGMENTED, SIZED, Transform((Resize((3, 4)), *AUGMENTED.steps))]),
    st.sets(st.integers(0, 29)),
    st.sampled_from([((6, 5),), ((6, 5), (9, 4), (7, 9))]),
)
def test_every_epoch_is_the_same_as_without(count, size, workers, transform, broken, sizes):
    assume(len(sizes) == 1 or transform is not AUGMENTED)
    plain, data = (Counted(count, sizes, broken=broken & set(range(count))) for _ in range(2))
    kept = cached.with_cache(data, transform)
    assert isinstance(kept, CachedDataset)
    assert kept.shape == transform.steps[0].output(data.shape)
    for epoch in range(3):
        asked = {"rng": (3, epoch), "transform": transform, "workers": workers}
        if len(data.bad) == count or broken >= set(range(count)):
            with pytest.raises(FormatError):
                list(kept.batches(size, **asked))
        else:
            same(kept.batches(size, **asked), plain.batches(size, **asked))
    assert kept.bad == data.bad and kept.notes() == data.notes() and kept.source == data.source
    assert all(times == 1 for index, times in enumerate(data.read) if index not in broken)


def test_of_part_of_the_images_only_these_are_read():
    data = Counted(8)
    kept = cached.with_cache(Subset(data, np.array([6, 1, 3]), "part"), SIZED)
    next(iter(kept.batches(2, transform=SIZED, workers=0)))
    assert data.read == [0, 1, 0, 0, 0, 0, 1, 0]
    assert kept.name(2) == "3.png"
    assert np.array_equal(kept.image(1), kept.images(np.array([1]))[0][0])


def test_an_image_of_another_size_is_refused_where_nothing_resizes():
    data = Counted(4, ((6, 5), (6, 4)))
    data.uniform = True  # as the headers that were looked at said
    kept = cached.with_cache(data, AUGMENTED)
    with pytest.raises(FormatError, match="differ in size"):
        list(kept.batches(2, transform=AUGMENTED, workers=0))


def test_what_stays_as_it_is():
    data: Dataset = numbered(5)
    assert cached.with_cache(data, AUGMENTED) is data  # in memory, and nothing to resize
    late = Transform((*AUGMENTED.steps, Resize((3, 3))))
    assert cached.with_cache(data, late) is data
    several = Counted(5, ((6, 5), (4, 4)))
    assert cached.with_cache(several, AUGMENTED) is several
    with mock.patch.object(cached, "CACHE_MAX_BYTES", 5 * 3 * 7 * 9 - 1):
        assert not isinstance(cached.with_cache(Counted(5), SIZED), CachedDataset)


def test_fractions_stay_fractions():
    data = ArrayData(np.random.default_rng(0).random((3, 1, 4, 4), np.float32), np.arange(3))
    found, _ = cached.with_cache(data, Transform((Fit((8, 8)),))).images(np.array([2, 0]))
    assert found.dtype == np.float32
    assert np.array_equal(found, Fit((8, 8))(data.x[[2, 0]], np.empty((2, 0))))
