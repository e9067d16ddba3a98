"""Pictures that a small network learns in a second, and a run that has learned them."""

import numpy as np
import pytest
from PIL import Image

from cli.run import run
from train.small import stripes

NET = "8x8x1 -> conv 3x3 4 -> relu -> maxpool 2 -> flatten -> fc 3"


def pictures(root, counts):
    """root/<part>/<class>/<number>.png of rows, columns and squares; counts: images per part."""
    for seed, (part, count) in enumerate(counts.items()):
        data = stripes(count, seed)
        for index in range(count):
            folder = root / part / data.classes[data.labels[index]]
            folder.mkdir(parents=True, exist_ok=True)
            pixels = (data.image(index)[0] * 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{index:03d}.png")
    return root


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    return pictures(tmp_path_factory.mktemp("pictures"), {"train": 60, "test": 30})


@pytest.fixture(scope="session")
def trained(images, tmp_path_factory):
    """(folder of the run, what was printed)."""
    folder = tmp_path_factory.mktemp("runs") / "stripes"
    done = run(
        "train", "--data", str(images), "--model", NET, "--out", str(folder), "--epochs", "6", "--lr", "0.02",
        "--batch-size", "16",
    )  # fmt: skip
    assert (done.code, done.err) == (0, "")
    return folder, done.out
