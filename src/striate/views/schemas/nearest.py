"""Record of the images to which units respond.

The second argument of `Annotated` is the meaning that docs/json.md prints. No command loads this file: it is for type
checkers and for that page.
"""

from __future__ import annotations

from typing import Annotated, TypedDict

from striate.views.schemas.probe import Extent


class NearImage(TypedDict):
    index: Annotated[int, "number of the image in the data"]
    name: Annotated[str, "its file"]
    label: Annotated[str | None, "its class, null in data without labels"]
    response: Annotated[float, "largest value of the unit's map"]
    position: Annotated[
        list[int] | None, "row and column of that value in the map; null if no place stands out"
    ]
    field: Annotated[
        Extent | None,
        "what the unit sees there of the network's input, without padding; null without a place",
    ]


class NearestToUnit(TypedDict):
    unit: Annotated[int, "channel"]
    most: Annotated[list[NearImage], "images with the largest responses, the largest first"]
    least: Annotated[list[NearImage], "images with the smallest responses, the smallest first"]
    most_ties: Annotated[int, "how many images have the largest response"]
    least_ties: Annotated[int, "how many images have the smallest response"]
    notes: Annotated[list[str], "ties among the images, and a unit that responds alike to all of them"]


class Nearest(TypedDict):
    """`striate nearest RUN --node NAME --json`

    Images with equal responses are in the order of the data.
    """

    schema: Annotated[str, "`striate.nearest/1`"]
    network: Annotated[str, "the network's name"]
    node: Annotated[str, "the node"]
    value: Annotated[str, "what was read: the node, or the activation after it"]
    weights: Annotated[str, "`as given`, or `untrained, seed 0`"]
    data: Annotated[str, "description of the images"]
    images: Annotated[int, "their number"]
    size: Annotated[list[int], "height and width of the network's input"]
    notes: Annotated[list[str], "further conditions"]
    units: Annotated[list[NearestToUnit], "one for each channel, or the one of `--unit`"]
