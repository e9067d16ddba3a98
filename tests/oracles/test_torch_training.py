"""Whole training runs beside torch: the same start, the same batches, the same weights after every update."""

import numpy as np
import pytest

from striate.train.data import Transform
from striate.train.data.image_transforms import Normalize
from striate.train.data_source import sources
from striate.train.loop import fit
from striate.train.settings import Settings
from train.small import start, stripes

NOTATION = "8x8x1 -> conv 3x3 4 bias off -> bn -> relu -> maxpool 2 -> flatten -> fc 3"
UNIT = Transform((Normalize((0.5,), (0.35,)),))
RUNS = {
    "sgd": {"optimizer": "sgd", "lr": 0.05, "schedule": "constant", "weight_decay": 0.01},
    "adamw, clipped, smoothed": {"lr": 0.01, "schedule": "cosine", "clip_norm": 0.5, "label_smoothing": 0.1},
    "one cycle": {"optimizer": "sgd", "lr": 0.1, "schedule": "onecycle"},
}


def twin(torch, arrays):
    net = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3, bias=False), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
        torch.nn.Flatten(), torch.nn.Linear(36, 3),
    )  # fmt: skip
    places = {"conv1": net[0], "bn1": net[1], "fc1": net[5]}
    tensors = {
        f"{node}.{name}": tensor
        for node, module in places.items()
        for name, tensor in module.state_dict(keep_vars=True).items()
    }
    with torch.no_grad():
        for name, array in arrays.items():
            tensors[name].copy_(torch.tensor(array))
    return net, tensors


@pytest.mark.torch
@pytest.mark.parametrize("case", RUNS)
def test_a_run_equals_torch(case):
    import torch

    settings = Settings(epochs=3, batch_size=16, **RUNS[case]).resolved
    _, arrays = start(NOTATION)
    theirs, tensors = twin(torch, arrays)
    net, arrays = start(NOTATION)
    history = fit(net, arrays, stripes(), None, settings, transforms=(UNIT, UNIT))

    decayed = [tensors["conv1.weight"], tensors["fc1.weight"]]
    rest = [tensors[name] for name in ("bn1.weight", "bn1.bias", "fc1.bias")]
    groups = [
        {"params": decayed, "weight_decay": settings.weight_decay},
        {"params": rest, "weight_decay": 0.0},
    ]
    if settings.optimizer == "sgd":
        optimizer = torch.optim.SGD(groups, lr=settings.lr, momentum=0.9, nesterov=True)
    else:
        optimizer = torch.optim.AdamW(groups, lr=settings.lr)
    schedule = {
        "constant": lambda: torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0),
        "cosine": lambda: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 12),
        "onecycle": lambda: torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.lr, total_steps=12),
    }[settings.schedule]()
    source, _ = sources(stripes(), None, (UNIT, UNIT), settings)
    loss = torch.nn.CrossEntropyLoss(label_smoothing=settings.label_smoothing)
    for epoch in range(3):
        total = images = 0.0
        for batch in source.epoch(epoch):
            optimizer.zero_grad()
            value = loss(theirs(torch.tensor(batch.x)), torch.tensor(batch.y))
            value.backward()
            if settings.clip_norm:
                torch.nn.utils.clip_grad_norm_(theirs.parameters(), settings.clip_norm)
            optimizer.step()
            schedule.step()
            total, images = total + value.item() * len(batch.x), images + len(batch.x)
        assert history.rows[epoch]["train_loss"] == pytest.approx(total / images, rel=1e-4)
    for name, array in arrays.items():
        np.testing.assert_allclose(array, tensors[name].detach().numpy(), rtol=2e-3, atol=2e-4, err_msg=name)
