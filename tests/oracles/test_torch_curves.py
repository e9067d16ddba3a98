"""Whole runs of fifty steps beside torch: the same weights, the same batches, and the same course of the loss.

Rounding grows from step to step, in torch as here, and now and then a unit so near to its kink that rounding decides
goes the other way. So the measure is torch in float64, and how far torch's own float32 comes to be from it, from these
weights and from others that are off by half a rounding: the compiled engine may be a few times as far. In the first
steps nothing has grown yet.
"""

import numpy as np
import pytest

import striate as st
from engine.kernels.support import targets
from exhaustive import EXHAUSTIVE
from striate import weights
from striate.train.data import ArrayData, Transform
from striate.train.data.image_transforms import Normalize
from striate.train.data_source import sources
from striate.train.events import Updated
from striate.train.loop import fit
from striate.train.settings import Settings

pytestmark = [
    pytest.mark.torch,
    pytest.mark.skipif(not targets(), reason="no kernels run on this processor"),
]

STEPS = 50
FIRST, CLOSE = 2, 1e-4
"""Steps in which the loss is that of float64 to so much."""
OTHERS = 2
"""Runs of torch from weights that are off by half a rounding."""
TIMES, FLOOR = 5.0, 2e-5
"""How often torch's own distance, taken as the largest so far; and what a single unit at its kink does."""


def lenet(torch):
    nn = torch.nn
    return nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


def cifar_resnet20(torch):
    """He et al., section 4.2, with shortcuts of option A."""
    nn, functional = torch.nn, torch.nn.functional

    class Block(nn.Module):
        def __init__(self, before, filters):
            super().__init__()
            self.stride = filters // before
            self.conv1 = nn.Conv2d(before, filters, 3, self.stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(filters)
            self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(filters)

        def forward(self, x):
            y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
            if self.stride > 1:
                quarter = y.shape[1] // 4
                x = functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, quarter, quarter))
            return functional.relu(y + x)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
            for stage, (before, filters) in enumerate(((16, 16), (16, 32), (32, 64)), start=1):
                blocks = [Block(before if k == 0 else filters, filters) for k in range(3)]
                setattr(self, f"layer{stage}", nn.Sequential(*blocks))
            self.fc = nn.Linear(64, 10)

        def forward(self, x):
            x = functional.relu(self.bn1(self.conv1(x)))
            x = self.layer3(self.layer2(self.layer1(x)))
            return self.fc(x.mean((2, 3)))

    return Net()


def resnet18(torch):
    from torchvision_cpu import torchvision

    return torchvision.models.resnet18(num_classes=10)


RUNS = {
    "lenet5": (lenet, (1, 32, 32), 8, {"lr": 0.003}),
}
if EXHAUSTIVE:  # minutes
    RUNS["cifar_resnet20"] = cifar_resnet20, (3, 16, 16), 16, {"lr": 0.02}
    RUNS["resnet18"] = resnet18, (3, 64, 64), 8, {"lr": 0.005}


def loaded(torch, module, arrays, kind):
    """The module with these weights, by their names, or in their order where it has no names."""
    state = {name: tensor for name, tensor in module.state_dict().items() if "num_batches" not in name}
    pairs = zip(state, state if state.keys() == arrays.keys() else arrays, strict=True)
    values = {theirs: torch.tensor(arrays[ours]) for theirs, ours in pairs}
    missing = module.load_state_dict(values, strict=False)
    assert not missing.unexpected_keys and all("num_batches" in name for name in missing.missing_keys)
    return module.to(kind).train()


def torchs_curve(torch, module, batches, settings, kind):
    """The loss of every step. Weight decay as here: weights of layers only."""
    decayed = [p for p in module.parameters() if p.ndim > 1]
    rest = [p for p in module.parameters() if p.ndim == 1]
    groups = [
        {"params": decayed, "weight_decay": settings.weight_decay},
        {"params": rest, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.SGD(groups, lr=settings.lr, momentum=settings.momentum)
    losses = []
    for batch in batches:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(
            module(torch.tensor(batch.x, dtype=kind)), torch.tensor(batch.y)
        )
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return np.array(losses)


def pictures(count, shape, seed=0):
    """A pattern for each of ten classes under noise."""
    rng = np.random.default_rng(seed)
    patterns, y = rng.random((10, *shape)), rng.integers(0, 10, count)
    return ArrayData((0.5 * patterns[y] + 0.5 * rng.random((count, *shape))).astype(np.float32), y)


@pytest.mark.torch("torchvision")
@pytest.mark.parametrize("name", RUNS)
def test_fifty_steps_follow_torch(name):
    import torch

    torch.set_num_threads(1)
    build, shape, batch, options = RUNS[name]
    net = st.create(name, input=shape, num_classes=10)
    data = pictures(STEPS * batch, shape)
    chosen = Settings(
        epochs=1, batch_size=batch, optimizer="sgd", nesterov=False, schedule="constant", **options
    ).resolved
    arrays = weights.initialize(net, 0)
    unit = Transform((Normalize((0.5,) * shape[0], (0.25,) * shape[0]),))
    source, _ = sources(data, None, (unit, unit), chosen)
    batches = list(source.epoch(0))
    rng = np.random.default_rng(0)

    def curve(kind, off=0.0):
        off_by = {
            k: a * (1 + off * rng.standard_normal(a.shape).astype(np.float32)) for k, a in arrays.items()
        }
        return torchs_curve(torch, loaded(torch, build(torch), off_by, kind), batches, chosen, kind)

    exact = curve(torch.float64)
    theirs = np.array([curve(torch.float32, off) for off in (0.0, *OTHERS * (6e-8,))])
    losses = []

    def hear(event):
        if isinstance(event, Updated):
            losses.append(event.loss)

    fit(net, arrays, data, None, chosen, engine="compiled", transforms=(unit, unit), callbacks=[hear])
    ours = np.array(losses)
    assert ours.shape == exact.shape == (STEPS,)
    assert exact[-1] < 0.8 * exact[0], "nothing was learned"
    scale = np.maximum.accumulate(exact)
    off, usual = np.abs(ours - exact) / scale, (np.abs(theirs - exact) / scale).max(0)
    for what, found in (("off", off), ("torch", usual)):
        print(f"{name}: {what} {found[:FIRST].max():.1e} at first, {found[:10].max():.1e}, {found.max():.1e}")
    assert off[:FIRST].max() <= CLOSE
    allowed = TIMES * np.maximum.accumulate(usual) + FLOOR
    assert (np.maximum.accumulate(off) <= allowed).all(), np.max(off / allowed)
