"""lenet5, for an input of 32x32x1. Written by striate convert."""

import torch
from torch import nn


class Lenet5(nn.Module):
    """lenet5, for an input of 32x32x1."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, kernel_size=5)
        self.relu1 = nn.ReLU()
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(6, 16, kernel_size=5)
        self.relu2 = nn.ReLU()
        self.pool2 = nn.MaxPool2d(2)
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(400, 120)
        self.relu3 = nn.ReLU()
        self.fc2 = nn.Linear(120, 84)
        self.relu4 = nn.ReLU()
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv1(x)
        x = self.relu1(x)
        x = self.pool1(x)
        x = self.conv2(x)
        x = self.relu2(x)
        x = self.pool2(x)
        x = self.flatten(x)
        x = self.fc1(x)
        x = self.relu3(x)
        x = self.fc2(x)
        x = self.relu4(x)
        return self.fc3(x)


model = Lenet5()


# The network in Striate's own form, which counts as long as nothing here is changed.
#: eNqFkVELgyAUhf/Lfe6htMbwr0QP0W4QMw2nYxD771MsK8MGPnjpnu+ckzOIdkRgwFGgriCDQUxGv4DN/gasL
#: jJK7Gm+GQj5QPutnldZJ8W7sCo5LYO99wPXqOzaLYMnKoEcWLWB6wVseQGjkJuAcQPs973Jfn+Skof9sf24+S
#: DxwL3EQUgqaZGK6o3iqOQyKjlFJf+iHiU9b7VGsYq28ZgrEnXhh/Sd64atNsq9VkHyvXTFxaVospRDH61Iwup
#: exs3oyae88Ikr0VSlPPYprbKxy0ZvNOf9AyDS6F0=
