"""One file per kind of picture.

In each, `facts` computes the numbers, `drawing` lays them out, and `OPTIONS` names the options of the request that mean
something in its pictures.
"""

from __future__ import annotations

import importlib
from typing import Any

KINDS = {
    "blocks": "the volumes as blocks, what makes them on the arrows",
    "graph": "every layer as a box, branches next to each other",
    "pixels": "how often each input pixel is used",
    "field": "what a unit sees, through all layers",
    "layer": "one layer: its input, its filter, where the window stands, its output, the formula",
    "filters": "the learned filters of a convolution as images",
    "maps": "the feature maps that a layer computes from an image",
    "fc": "a convolution next to the fully connected layer that would do its step",
}
"""Kind of picture of a network to what it shows. A kind is the file of its name in this folder."""
RESULTS = {
    "training": "loss and accuracy of runs, epoch by epoch",
    "confusion": "true classes against predicted ones",
    "calibration": "confidence against accuracy",
}
"""The same for pictures of results."""

ELSEWHERE = {
    "curve": "training", "curves": "training", "history": "training", "loss": "training", "learning": "training",
    "accuracy": "training", "matrix": "confusion", "confusion_matrix": "confusion", "reliability": "calibration",
    "architecture": "blocks", "volumes": "blocks", "network": "blocks", "dag": "graph", "flow": "graph",
    "usage": "pixels", "use": "pixels", "receptive_field": "field", "rf": "field", "window": "layer",
    "convolution": "layer", "conv": "layer", "kernels": "filters", "weights": "filters", "activations": "maps",
    "features": "maps", "feature_maps": "maps", "dense": "fc", "linear": "fc",
}  # fmt: skip
"""Other names of kinds -> ours."""


def kind_module(kind: str) -> Any:
    """The file of a kind of KINDS or RESULTS."""
    return importlib.import_module(f"{__name__}.{kind}")


def kinds_with(option: str) -> list[str]:
    """The kinds of pictures that take an option of the request."""
    return [kind for kind in (*KINDS, *RESULTS) if option in kind_module(kind).OPTIONS]
