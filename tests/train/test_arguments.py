"""What `fit` takes as data: arrays, lists and tensors work; loaders and generators are told how they become arrays."""

import importlib.util

import numpy as np
import pytest

from striate.diagnostics import FormatError, UsageError
from striate.model import Model

TEXT = "8x8x1 -> conv 3x3 4 -> relu -> gap -> flatten -> fc 2"
X, Y = np.random.default_rng(0).random((24, 1, 8, 8), np.float32), np.arange(24) % 2
torch = pytest.importorskip("torch") if importlib.util.find_spec("torch") else None


def fitted(*data):
    model = Model(TEXT, seed=0)
    model.fit(*data, epochs=1, verbose=0)
    return model(X)


@pytest.mark.parametrize(
    "data",
    [
        (list(X), Y), (list(X), list(Y)), (X.tolist(), Y.tolist()), (X, Y.tolist()), ([X, Y],), ((X, Y),),
        (X, Y[:, None]), (X.astype(np.float64), Y),
    ],
)  # fmt: skip
def test_arrays_in_any_clothes_are_the_same_data(data):
    np.testing.assert_array_equal(fitted(*data), fitted(X, Y))


def test_a_pair_of_lists_is_not_images():
    """(x, y) as a list stays data, and what follows it validation data."""
    np.testing.assert_array_equal(fitted([X, Y], [X[:4], Y[:4]]), fitted((X, Y), (X[:4], Y[:4])))


def pieces():
    return [(X[at : at + 8], Y[at : at + 8]) for at in range(0, 24, 8)]


SOURCES = {
    "generator of batches": lambda: (piece for piece in pieces()),
    "list of batches": pieces,
    "list of pairs": lambda: list(zip(X, Y, strict=True)),
}
if torch is not None:
    data = torch.utils.data
    SOURCES |= {
        "data set of PyTorch": lambda: data.TensorDataset(torch.tensor(X), torch.tensor(Y)),
        "loader of PyTorch": lambda: data.DataLoader(data.TensorDataset(torch.tensor(X), torch.tensor(Y)), 8),
    }

    def test_tensors_are_arrays():
        np.testing.assert_array_equal(fitted(torch.tensor(X), torch.tensor(Y)), fitted(X, Y))


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("call", ["fit", "evaluate"])
def test_the_fix_makes_the_same_arrays(name, call):
    source = SOURCES[name]()
    with pytest.raises(UsageError, match="cannot be read") as caught:
        getattr(Model(TEXT), call)(source)
    known = {"np": np, "data": source}
    exec(caught.value.fix.partition(", then")[0], known)
    np.testing.assert_array_equal(known["x"], X)
    np.testing.assert_array_equal(known["y"], Y)


def test_other_containers_say_where_the_arrays_are():
    with pytest.raises(UsageError, match="type dict cannot be read") as caught:
        fitted({"x": X, "y": Y})
    assert '(data["x"], data["y"])' in caught.value.fix
    with pytest.raises(UsageError, match="type int cannot be read"):
        fitted(3)
    with pytest.raises(FormatError) as unshaped:
        fitted(X.reshape(24, 64), Y)  # as a data frame holds images
    assert "reshape(-1, 1, 8, 8)" in unshaped.value.fix
    with pytest.raises(FormatError) as loader:
        Model(TEXT).predict(iter(pieces()))
    assert "np.concatenate" in loader.value.fix


def test_inputs_may_be_called_x_and_y():
    """Two inputs of a network by name are images, whatever they are called."""
    from striate.network import Builder
    from striate.ops import Add, Conv, Flatten, GlobalAvgPool, Linear

    build = Builder(input={"x": (1, 8, 8), "y": (1, 8, 8)})
    both = build(Add(), *(build(Conv(2), ref) for ref in build.inputs.values()))
    model = Model(build.build(build(Linear(2), build(Flatten(), build(GlobalAvgPool(), both)))))
    assert len(model.fit({"x": X, "y": X}, Y, epochs=1, verbose=0)) == 1
