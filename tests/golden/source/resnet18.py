"""resnet18, for an input of 224x224x3. Written by striate convert."""

import torch
from torch import nn


class Residual(nn.Module):
    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(
            in_channels, in_channels, kernel_size=3, padding=1, bias=False
        )
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(
            in_channels, in_channels, kernel_size=3, padding=1, bias=False
        )
        self.bn2 = nn.BatchNorm2d(in_channels)
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.conv1(x)
        out = self.bn1(out)
        out = self.relu1(out)
        out = self.conv2(out)
        out = self.bn2(out)
        out = out + x
        return self.relu(out)


class Residual2(nn.Module):
    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(
            in_channels, out_channels, kernel_size=3, stride=2, padding=1, bias=False
        )
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(
            out_channels, out_channels, kernel_size=3, padding=1, bias=False
        )
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.downsample = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, kernel_size=1, stride=2, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.conv1(x)
        out = self.bn1(out)
        out = self.relu1(out)
        out = self.conv2(out)
        out = self.bn2(out)
        x = self.downsample(x)
        out = out + x
        return self.relu(out)


class Resnet18(nn.Module):
    """resnet18, for an input of 224x224x3."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = nn.Sequential(Residual(64), Residual(64))
        self.layer2 = nn.Sequential(Residual2(64, 128), Residual(128))
        self.layer3 = nn.Sequential(Residual2(128, 256), Residual(256))
        self.layer4 = nn.Sequential(Residual2(256, 512), Residual(512))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(512, 1000)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv1(x)
        x = self.bn1(x)
        x = self.relu(x)
        x = self.maxpool(x)
        x = self.layer1(x)
        x = self.layer2(x)
        x = self.layer3(x)
        x = self.layer4(x)
        x = self.avgpool(x)
        x = self.flatten(x)
        return self.fc(x)


model = Resnet18()


# The network in Striate's own form, which counts as long as nothing here is changed.
#: eNqtmN2O2jAQRt/F19GKz/ZuV7wK4iKAQaghRCFsW6F99yaBkIT6YwbKBZIDHs+PDweJk8nTXTBTU4ZDHip8m
#: sRs8+JYHcz0dF6Z6cwl1vrmNf9OTL5fhfrT2akLXe7zL9Rx++LyUK/X26wKZb3twyfmZyjzkJnpj8QcqnK7qo
#: NsYop0tdrmGzN1iVls03rvOs0Ooc8/u+Svk15zLfJrpkVuhnvPVQz3liE7dpsv6357c9Bw8y79Xez3Wbe/f+y
#: Kd/HiMTy0zTI8NUv/hBJvkzdxRsMDyTS6mqIJ+GBuaohGN4WDzmqUhLZn/7O9m2JIl1bTpY1H1zV00edltMUm
#: w91R3+VqlCwSjpegMK4lmkYEAhwI6IAAAwKvBAIcCMhAgAMBBRBdBsXANVggjoWVDAH7SfWjmV48pYCI5c6wO
#: mdY5gwrOaNtWNul5dKwsjQsl0bz0Wr/Kz+kuyILb5O71XY/FBjd1PO3M0gsXtOoyOhpEur9oOIFUARkAgjyUC
#: D/KAHxPCLn4JxDxzkY53gp5+CcQ+YcnHMoAMEtIHziGjCIC53kQvv+8ZQLLf22OdmFjrvQ6VzomAud5MK2YW2
#: XjrvQyS503IVO6cK22sddeP92tC50ogudwoVu7EInutCpXOiYC53kwqcIiOcROQfnHDrOwTjHSzkH5xwy5+Cc
#: QwEIbgHhE9eAQVzoJRe+wz7lQke/bV52oecu9DoXeuZCL7mwbVjbpecu9LILPXehV7qwrfZxF96/Ha0LvehCr
#: 3ChH7vQiy70Khd65kIvufApAuJ5RM7BOYeOczDO8VLOwTmHzDk451AAgltA+MQ1YPzrwvRrM/xvbpMWhs5gFL
#: jO0qoKeRfYP/bB3dmjsOU1olmtQ1ody+Y/T0wmk2Fwd+D8e14HHKvr+8v6rb9Ubrb/
