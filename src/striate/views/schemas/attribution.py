"""Record of an attribution.

The second argument of `Annotated` is the meaning that docs/json.md prints. No command loads this file: it is for type
checkers and for that page.
"""

from __future__ import annotations

from typing import Annotated, TypedDict

from striate.views.schemas.keys import Name

Explained = TypedDict(
    "Explained",
    {
        "value": Annotated[str, "value of the network that holds the number"],
        "index": Annotated[list[int], "its position there: channel, row, column"],
        "class": Annotated[str | None, "the class, null for a unit"],
        "predicted": Annotated[bool, "whether it is the predicted class"],
    },
)


class Attributed(TypedDict):
    """`striate attribute RUN IMAGE --json`"""

    schema: Annotated[str, "`striate.attribute/1`"]
    network: Annotated[str, "the network's name"]
    image: Annotated[str, "the image's name"]
    method: Annotated[str, "the method"]
    target: Annotated[Explained, "the number that is explained"]
    score: Annotated[float, "its value for the image"]
    probability: Annotated[float | None, "of the class; null for a unit or a pixel"]
    baseline_score: Annotated[float | None, "its value for the baseline, with integrated gradients"]
    node: Annotated[str | None, "the node whose map Grad-CAM weights"]
    settings: Annotated[dict[Name, float], "settings of the method"]
    notes: Annotated[list[str], "what else is to know"]
    shape: Annotated[list[int], "shape of the values: that of the network's input, or `[1, H, W]`"]
    values: Annotated[list[list[list[float]]], "channels of rows of numbers, one for each pixel"]
