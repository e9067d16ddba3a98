"""The record of an experiment, striate.probe/1.

The second argument of `Annotated` is the meaning that docs/json.md prints. No command loads this file: it is for type
checkers and for that page.
"""

from __future__ import annotations

from typing import Annotated, TypedDict

from striate.views.schemas.keys import Name


class BestBar(TypedDict):
    orientation_deg: Annotated[float, "of the bar that drives the unit most"]
    offset_px: Annotated[float, "its distance from the field's center, across the bar"]
    polarity: Annotated[str, "`bright` or `dark`"]


class Gabor(TypedDict):
    amplitude: Annotated[float, "in units of the response"]
    x_px: Annotated[float, "center, to the right of the field's center"]
    y_px: Annotated[float, "center, above it"]
    sigma_x_px: Annotated[float, "width across the bars"]
    sigma_y_px: Annotated[float, "width along the bars"]
    orientation_deg: Annotated[float, "of the bars"]
    frequency_cpp: Annotated[float, "cycles per pixel"]
    phase_deg: Annotated[float, "0 for a bright bar in the middle"]
    r2: Annotated[float, "share of the map's variance that it explains"]


class Curves(TypedDict):
    orientation: Annotated[list[float], "drive for each of `orientations_deg` at the best frequency"]
    frequency: Annotated[list[float], "drive for each of `frequencies_cpp` at the best orientation"]
    phase: Annotated[list[float], "response to the best grating for each of `phases_deg`"]
    size: Annotated[list[float], "drive of the best grating behind an aperture of each of `sizes_px`"]


class ProbedUnit(TypedDict):
    unit: Annotated[int, "channel"]
    type: Annotated[str, "`simple`, `complex` or `none`"]
    color: Annotated[str | None, "axis of color of the measures: `luminance`, `red-green` or `blue-yellow`"]
    orientation_deg: Annotated[float | None, "preferred orientation of the bar; 0 horizontal, 90 vertical"]
    best_orientation_deg: Annotated[float | None, "orientation of the strongest grating"]
    cv: Annotated[float | None, "circular variance: 0 for one orientation, 1 for all alike"]
    osi: Annotated[float | None, "two-point selectivity index"]
    bandwidth_deg: Annotated[float | None, "half width at 1/√2 of the peak"]
    frequency_cpp: Annotated[float | None, "preferred spatial frequency, cycles per pixel"]
    bandwidth_octaves: Annotated[float | None, "its full width at half height"]
    f0: Annotated[float | None, "mean response to the best grating over the phases"]
    f1: Annotated[float | None, "amplitude of its first harmonic"]
    f1_f0: Annotated[float | None, "their ratio"]
    phase_deg: Annotated[float | None, "preferred phase at the field's center, of a simple unit"]
    polarity_overlap: Annotated[float | None, "overlap of ON and OFF responses, 0 to 1"]
    direction_selectivity: Annotated[float | None, "null: not defined for one frame"]
    surround_suppression: Annotated[
        float | None, "share of the largest drive that a larger grating takes away"
    ]
    preferred_size_px: Annotated[float | None, "diameter of the aperture with the largest drive"]
    drive: Annotated[float | None, "of the best grating: the larger of F0 - R0 and F1"]
    natural_share: Annotated[float | None, "response to the best grating over that to the best photograph"]
    best_bar: BestBar | None
    gabor: Annotated[Gabor | None, "fitted to the map; null below an R² of 0.5"]
    responses: Annotated[dict[Name, float], "largest response by kind of stimulus; `blank`: the gray screen"]
    drives: Annotated[dict[Name, float], "drive of the best grating by axis of color"]
    uncertainty: Annotated[
        dict[Name, float | None], "measure to half the difference between halves of the stimuli"
    ]
    notes: Annotated[list[str], "why a measure is null; `no response`"]
    curves: Annotated[Curves | None, "what the measures are computed from"]
    map: Annotated[list[list[float]] | None, "response-weighted average of noise, rows of cells from the top"]
    gradient_map: Annotated[
        list[list[float]] | None, "derivative of the response to the best grating by the light in each cell"
    ]
    filter: Annotated[
        list[list[list[float]]] | None, "weights of a filter that reads the image: channels, rows, columns"
    ]


class Extent(TypedDict):
    h: Annotated[list[int], "first and last row of the input that the unit sees"]
    w: Annotated[list[int], "first and last column"]


class Probe(TypedDict):
    """`striate probe MODEL --node NAME --json`"""

    schema: Annotated[str, "`striate.probe/1`"]
    network: Annotated[str, "the network's name"]
    node: Annotated[str, "the node"]
    value: Annotated[str, "what was read: the node, or the activation after it"]
    weights: Annotated[str, "`as given`, or `untrained, seed 0`"]
    position: Annotated[list[int], "row and column of the unit in the map"]
    field: Extent
    inside: Annotated[bool, "whether the whole field lies inside the image"]
    surround: Annotated[bool, "whether pixels outside of the field change the response"]
    cv_limit: Annotated[
        float | None, "`cv` of the most selective linear filter of this size; null for a large field"
    ]
    colors: Annotated[list[str], "axes of color that were shown"]
    orientations_deg: Annotated[list[float], "of the gratings' bars"]
    frequencies_cpp: Annotated[list[float], "of the gratings, cycles per pixel"]
    phases_deg: list[float]
    sizes_px: Annotated[list[float], "diameters of apertures; the last shows the whole field"]
    contrast: Annotated[float, "share of the largest amplitude"]
    shown: Annotated[int, "number of images"]
    notes: Annotated[list[str], "what has to be known about the conditions"]
    units: Annotated[list[ProbedUnit], "one for each channel, or the one of `--unit`"]


class BorderMode(TypedDict):
    mode: Annotated[str, "padding of all convolutions: `zeros`, `reflect`, `replicate` or `circular`"]
    places: Annotated[dict[Name, Probe], "`center`, `edge` (left) and `corner` (upper left)"]


class ProbedBorder(TypedDict):
    """`striate probe MODEL --node NAME --border --json`"""

    schema: Annotated[str, "`striate.probe-border/1`"]
    network: Annotated[str, "the network's name"]
    node: Annotated[str, "the node"]
    padded: Annotated[
        bool, "whether it or a convolution in front of it is padded; otherwise all modes are alike"
    ]
    modes: list[BorderMode]


class HandScreen(TypedDict):
    """The network's input as a screen."""

    height: Annotated[int, "pixels"]
    width: Annotated[int, "pixels"]
    gray: Annotated[list[float], "the gray background, a number for each channel"]
    colors: Annotated[
        dict[Name, list[float]], "axis of color to the amplitude of a pattern of 1 in each channel"
    ]


class HandPlace(TypedDict):
    """A place at which an electrode can be."""

    position: Annotated[list[int], "row and column of the unit in the map"]
    field: Annotated[Extent, "what it sees of the image"]
    inside: Annotated[bool, "whether the whole field lies inside the image"]
    surround: Annotated[bool, "whether pixels outside of the field change the response"]


class HandNode(TypedDict):
    """A node that can be probed."""

    node: Annotated[str, "the node"]
    value: Annotated[str, "what is read: the node, or the activation after it"]
    units: Annotated[int, "channels"]
    map: Annotated[list[int], "height and width of its map"]
    places: Annotated[
        dict[Name, HandPlace], "`center`, `edge`, `corner`, and those asked for as `row.column`"
    ]


class HandExperiment(TypedDict):
    """What the page needs to show stimuli to the network that it holds."""

    screen: HandScreen
    nodes: Annotated[list[HandNode], "those that can be probed"]


class Difference(TypedDict):
    value: Annotated[float, "median of 1 - `cv` of the network minus the mean of its controls' medians"]
    low: Annotated[float, "lower end of the 95 % interval"]
    high: Annotated[float, "upper end; no difference is shown if the interval contains 0"]


class Distribution(TypedDict):
    defined: Annotated[int, "units that have this measure"]
    median: Annotated[float | None, "null for orientations, which have none"]
    quartiles: Annotated[list[float] | None, "first and third"]
    edges: Annotated[list[float], "of the bins of a histogram"]
    counts: Annotated[list[int], "units in each bin; values beyond the ends count in the outer bins"]


class PopulationGroup(TypedDict):
    networks: Annotated[int, "number of networks"]
    units: Annotated[int, "units of these networks, with or without a response"]
    responding: Annotated[int, "units that respond"]
    types: Annotated[dict[Name, int], "units that are `simple`, `complex`, or `none` without a response"]
    measures: Annotated[
        dict[Name, Distribution],
        "`cv`, `osi`, `orientation_deg`, `frequency_cpp` and `f1_f0` as in striate.probe/1",
    ]


class PopulationSample(TypedDict):
    group: Annotated[str, "`given`, `untrained` or `shuffled`"]
    seed: Annotated[int | None, "of the control's weights"]
    types: Annotated[list[str], "of each channel: `simple`, `complex` or `none`"]
    cv: Annotated[list[float | None], "of each channel"]
    osi: list[float | None]
    orientation_deg: list[float | None]
    frequency_cpp: list[float | None]
    f1_f0: list[float | None]


class PopulationNode(TypedDict):
    node: Annotated[str, "the node"]
    value: Annotated[str, "what was read: the node, or the activation after it"]
    position: Annotated[list[int], "row and column of the units in the map"]
    field: Extent
    inside: Annotated[bool, "whether the whole field lies inside the image"]
    surround: Annotated[bool, "whether pixels outside of the field change the response"]
    differences: Annotated[
        dict[Name, Difference | None], "to `untrained` and `shuffled`; null where no unit responds"
    ]
    groups: Annotated[dict[Name, PopulationGroup], "`given`, `untrained` and `shuffled`"]
    samples: Annotated[list[PopulationSample], "the units of each network"]


class Population(TypedDict):
    """`striate probe MODEL --population --json`"""

    schema: Annotated[str, "`striate.population/1`"]
    network: Annotated[str, "the network's name"]
    weights: Annotated[str, "`as given`, or `untrained, seed 0`"]
    seeds: Annotated[int, "number of untrained networks, and of networks with shuffled weights"]
    differences: Annotated[
        dict[Name, Difference | None], "mean over the nodes, to `untrained` and `shuffled`"
    ]
    frequencies_cpp: Annotated[list[float], "of the gratings, cycles per pixel"]
    orientations_deg: Annotated[list[float], "of the gratings' bars"]
    phases_deg: list[float]
    colors: Annotated[list[str], "axes of color that were shown"]
    contrast: Annotated[float, "share of the largest amplitude"]
    shown: Annotated[int, "number of images, over all networks"]
    statement: Annotated[str, "whether the network is more orientation selective than its controls"]
    nodes: list[PopulationNode]
