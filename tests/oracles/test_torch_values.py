"""Ways to write a layer that public networks use: imported, run on both engines and exported, against torch."""

import copy

import numpy as np
import pytest

import striate as st

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.onnx("onnxruntime")]


class Written(nn.Module):
    """A forward pass as a function of the input and of parts."""

    def __init__(self, forward, *parts, **buffers):
        super().__init__()
        self.written, self.parts = forward, nn.ModuleList(parts)
        for name, value in buffers.items():
            self.register_buffer(name, value)

    def forward(self, x):
        return self.written(x, *self.parts, *(getattr(self, name) for name in self._buffers))


def compare(module, shape, folder, engines=("compiled", "numpy")):
    import onnxruntime as ort

    x = np.random.default_rng(5).standard_normal((3, *shape)).astype(np.float32)
    with torch.no_grad():
        wanted = copy.deepcopy(module).double().eval()(torch.from_numpy(x.astype(np.float64)))
    wanted = [y.numpy() for y in (wanted if isinstance(wanted, tuple) else (wanted,))]
    net = st.from_torch(module, input=shape)
    assert not [node.op for node in net.nodes if node.op.word == "opaque"]
    st.Model(net).export(str(folder / "m.onnx"))
    session = ort.InferenceSession(str(folder / "m.onnx"), providers=["CPUExecutionProvider"])
    answers = {engine: st.Model(net, engine=engine).predict(x) for engine in engines}
    for way, found in (
        answers | {"exported": tuple(session.run(None, {session.get_inputs()[0].name: x}))}
    ).items():
        found = found if isinstance(found, tuple) else (found,)
        assert [y.shape for y in found] == [y.shape for y in wanted], way
        for y, right in zip(found, wanted):
            np.testing.assert_allclose(y, right, rtol=2e-4, atol=2e-4, err_msg=way)
    return net


def conv(filters=8):
    torch.manual_seed(0)
    return nn.Conv2d(3, filters, 3, padding=1)


REPEATED = {
    "leaves": lambda x, c: (f := c(x)).mean((2, 3), keepdim=True).expand_as(f),
    "leaves with others": lambda x, c: (f := c(x), f.mean((2, 3), keepdim=True).expand(-1, -1, *f.shape[2:])),
    "along the channels": lambda x, c: ((f := c(x)) - (g := f.amax(1, keepdim=True).expand(-1, 8, -1, -1)), g),
    "reduced again": lambda x, c: (f := c(x)).mean(1, keepdim=True).expand_as(f).max(1)[0],
    "scaled by channel": lambda x, c: (
        (f := c(x)).mean((2, 3), keepdim=True).expand_as(f) * torch.arange(8).reshape(1, -1, 1, 1)
    ),
    "bounded": lambda x, c: torch.maximum((f := c(x)).mean((2, 3), keepdim=True).expand_as(f), torch.tensor(0.1)),
    "the same twice": lambda x, c: (f := c(x), f),
}  # fmt: skip


@pytest.mark.parametrize("name", REPEATED)
def test_what_is_repeated_keeps_its_size(name, tmp_path):
    compare(Written(REPEATED[name], conv()), (3, 6, 8), tmp_path)


MASKS = {
    "where, a tensor": lambda x, m: torch.where(m, x, torch.tensor(float("-inf"), dtype=x.dtype)).amax(
        (2, 3)
    ),
    "where, a number": lambda x, m: torch.where(m, x, float("-inf")).amax((2, 3)),
    "masked_fill": lambda x, m: x.masked_fill(~m, float("-inf")).amax((2, 3)),
    "zeros_like": lambda x, m: torch.where(m, x, torch.zeros_like(x)),
    "both constant": lambda x, m: x + torch.where(m, torch.ones_like(x), torch.full_like(x, -2.0)),
}


@pytest.mark.parametrize("name", MASKS)
def test_masks_choose_and_do_not_multiply(name, tmp_path):
    mask = torch.rand(1, 1, 6, 6, generator=torch.Generator().manual_seed(1)) > 0.4
    compare(Written(MASKS[name], m=mask), (3, 6, 6), tmp_path)


def _scaled(x, c):
    x = c(x)
    x[:, :4] *= 0.5
    return x


def _every_second(x, c):
    x = c(x)
    x[:, 1::2] = x[:, ::2]
    return x


def _block(x, c):
    x = c(x)
    x[:, :, 2:4, 1:] = 0
    x[..., -1] = 3.0
    return x


def _entry(x, c):
    x = c(x)
    x[:, 2] = x[:, 0] + 1
    return x


def _into_zeros(x, c):
    y = torch.zeros_like(x)
    y[:, :1] = x[:, 1:2]
    return y + c(x)[:, :3]


def _in_place_of_a_view(x, c):
    x = c(x)
    x[:, :4].relu_()
    return x


ASSIGNED = (_scaled, _every_second, _block, _entry, _into_zeros, _in_place_of_a_view)


@pytest.mark.parametrize("forward", ASSIGNED, ids=lambda f: f.__name__)
def test_slices_are_assigned(forward, tmp_path):
    compare(Written(forward, conv()), (3, 6, 7), tmp_path)


def _eca(x, c):
    y = x.mean((2, 3), keepdim=True)
    y = c(y.squeeze(-1).transpose(-1, -2)).transpose(-1, -2).unsqueeze(-1)
    return x * torch.sigmoid(y).expand_as(x)


def _triplet(x, c):
    y = x.permute(0, 2, 1, 3)
    z = torch.cat([y.amax(1, keepdim=True), y.mean(1, keepdim=True)], 1)
    return (y * torch.sigmoid(c(z))).permute(0, 2, 1, 3)


ATTENTION = {
    "efficient channel attention": (_eca, nn.Conv1d(1, 1, 3, padding=1, bias=False)),
    "triplet attention": (_triplet, nn.Conv2d(2, 1, 3, padding=1)),
    "batch norm along the height": (lambda x, m: m(x.permute(0, 2, 1, 3)), nn.BatchNorm2d(5)),
    "a pool over channels and width": (
        lambda x, m: m(x.transpose(1, 2)),
        nn.MaxPool2d((3, 2), 2, ceil_mode=True),
    ),
}


@pytest.mark.parametrize("name", ATTENTION)
def test_layers_behind_a_permutation_work_on_the_axes_by_place(name, tmp_path):
    forward, part = ATTENTION[name]
    compare(Written(forward, part), (6, 5, 7), tmp_path)


LP = [(2, 3), (2, 3, 2, True), (1, 2), (4, (2, 3), 1), (3, 2)]


@pytest.mark.parametrize("arguments", LP, ids=str)
def test_lp_pools(arguments, tmp_path):
    compare(nn.Sequential(nn.ReLU(), nn.LPPool2d(*arguments)), (3, 8, 9), tmp_path)


def test_lp_pool_as_a_function(tmp_path):
    compare(Written(lambda x: F.lp_pool2d(x, 2, 2)), (3, 8, 8), tmp_path)


def test_circular_padding(tmp_path):
    parts = nn.Conv2d(3, 4, 3, padding=(1, 2), padding_mode="circular"), nn.CircularPad2d((1, 2, 0, 1))
    net = compare(nn.Sequential(*parts), (3, 7, 8), tmp_path)
    assert net.nodes[0].op.mode == "circular"


# ---------------------------------------------------------------------------------------------- named, not run


class Sequence(nn.Module):
    """A convolution whose positions are a sequence."""

    def __init__(self, part, last=True):
        super().__init__()
        self.c, self.part, self.last, self.head = nn.Conv2d(3, 8, 3, 2, 1), part, last, nn.Linear(8, 5)

    def forward(self, x):
        y = self.c(x).flatten(2)
        y = y.transpose(1, 2) if self.last else y.permute(2, 0, 1)
        y = self.part(y, y, y)[0] if isinstance(self.part, nn.MultiheadAttention) else self.part(y)
        y = y[0] if isinstance(y, tuple) else y
        return self.head(y if self.last else y.permute(1, 0, 2))


NAMED = {
    "MultiheadAttention": lambda first: nn.MultiheadAttention(8, 2, batch_first=first),
    "GRU": lambda first: nn.GRU(8, 8, 2, batch_first=first),
    "LSTM": lambda first: nn.LSTM(8, 4, bidirectional=True, batch_first=first),
    "TransformerEncoderLayer": lambda first: nn.TransformerEncoderLayer(8, 2, 16, batch_first=first),
}


@pytest.mark.parametrize("last", [True, False], ids=["batch first", "sequence first"])
@pytest.mark.parametrize("kind", NAMED)
def test_attention_and_recurrence_are_one_node_of_their_name_and_size(kind, last):
    net = st.from_torch(Sequence(NAMED[kind](last), last), input=(3, 6, 6))
    (node,) = [node for node in net.nodes if node.op.word == "opaque"]
    assert node.op.operator == f"nn.{kind}" and node.op.shape == (9, 8)
    assert node.op.why == f"torch.nn.{kind} is not a module that Striate knows"
    assert net.specs[net.outputs[0]].shape == (1, 9, 5)


def test_the_last_state_of_a_recurrence_is_not_taken_for_a_batch():
    class Last(Sequence):
        def forward(self, x):
            return self.head(self.part(self.c(x).flatten(2).transpose(1, 2))[1][-1])

    net = st.from_torch(Last(nn.GRU(8, 8, 2, batch_first=True)), input=(3, 6, 6))
    (node,) = [node for node in net.nodes if node.op.word == "opaque"]
    assert node.op.operator == "nn.GRU" and node.op.shape == (8,)
