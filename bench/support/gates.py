"""What is asked of Striate: how many times faster than the best other tool, on every kind of machine."""

from __future__ import annotations

INFERENCE = {  # network -> ratio per batch size
    "lenet5": {1: 3.0, 8: 3.0},
    "cifar_resnet20": {1: 3.0, 8: 3.0},
    "squeezenet1_1": {1: 1.3, 8: 1.3},
    "mobilenet_v2": {1: 1.3, 8: 1.3},
    "resnet18": {1: 1.5, 8: 2.0},
    "efficientnet_b0": {1: 1.2, 8: 1.2},
    "resnet50": {1: 1.2, 8: 1.3},
    "densenet121": {1: 1.2, 8: 1.2},
    "convnext_tiny": {1: 1.2, 8: 1.2},
    "vgg16": {1: 1.8, 8: 1.8},
}
TRAINING = {"resnet18 64x64x3": {32: 1.5}, "lenet5": {64: 3.0}}
"""A step; network and input -> ratio per batch size."""
ACCURACY = {"digits": 3.0}
"""Time to a share of right answers; recipe -> ratio."""
ERROR = 1e-5
"""Largest difference from float64."""
START_S = 0.3
"""A process with cached code up to its first result."""
