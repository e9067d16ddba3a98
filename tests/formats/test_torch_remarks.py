"""What `from_torch` says of a module that the network does not hold whole: parameters left out, gradients stopped."""

from __future__ import annotations

import warnings

import pytest

import striate as st

torch = pytest.importorskip("torch")
nn = torch.nn


class Computed(nn.Module):
    def __init__(self):
        super().__init__()
        self.c = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 8, 3))
        self.unused = nn.Linear(3, 4)

    def forward(self, x):
        return self.c(x)


class Detached(nn.Module):
    def __init__(self):
        super().__init__()
        self.c = nn.Conv2d(3, 8, 3)

    def forward(self, x):
        y = self.c(x.detach())
        return y.detach() + y


class Whole(nn.Module):
    def __init__(self):
        super().__init__()
        self.c, self.norm = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)
        self.m = nn.MultiheadAttention(16, 4, batch_first=True)
        self.again = self.c

    def forward(self, x):
        z = (self.norm(self.c(x.detach())) + self.again(x)).flatten(2)[:, :, :16]
        return self.m(z, z, z)[0]


def test_parameters_that_the_network_lacks_are_named():
    """8 gains of the weight norm, and 16 numbers of a layer that forward does not read."""
    module = Computed()
    with pytest.warns(UserWarning, match="24 learned numbers .*original0, unused.weight, unused.bias"):
        net = st.from_torch(module, input=(3, 8, 8))
    assert st.analyze(net).totals.params == sum(p.numel() for p in module.parameters()) - 24


def test_gradients_that_a_module_stops_are_told():
    with pytest.warns(UserWarning, match="detaches a value"):
        st.from_torch(Detached(), input=(3, 8, 8))


def test_a_module_that_is_held_whole_is_read_quietly():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        st.from_torch(Whole(), input=(3, 8, 8))


@pytest.mark.parametrize(
    ("given", "fix"),
    [
        ((1, 3, 8, 8), "leave out the batch axis: input=(3, 8, 8)"),
        (torch.zeros(1, 3, 8, 8), "write input=(3, 8, 8), its shape without the batch axis"),
        ("8x8x3", "give a shape such as (3, 224, 224)"),
    ],
)
def test_an_input_that_is_not_the_shape_of_an_image(given, fix):
    with pytest.raises(st.StriateError) as caught:
        st.from_torch(nn.Conv2d(3, 4, 3), given)
    assert caught.value.fix == fix
    assert "'8', 'x'" not in str(caught.value)
