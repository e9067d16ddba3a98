"""The record of the live page. web/src/record.ts is derived from it.

The second argument of `Annotated` is the meaning that docs/json.md prints. No command loads this file: it is for type
checkers and for those pages.
"""

from __future__ import annotations

from typing import Annotated, NotRequired, TypedDict

from striate.views.schemas.facts import RunCurves
from striate.views.schemas.forward import Drawing, EightBitMaps, PageModel
from striate.views.schemas.live_views import LiveHistory, LiveNetwork
from striate.views.schemas.networks import Show
from striate.views.schemas.probe import HandExperiment
from striate.views.schemas.training import Evaluation


class CourseExample(TypedDict):
    """Numbers of the course, and the view that shows them."""

    text: Annotated[str, "a few words"]
    route: Annotated[str, "fragment of the address that opens it"]


class CourseLine(TypedDict):
    """A statement of the course and the view that shows it."""

    title: Annotated[str, "a few words"]
    text: Annotated[str, "the statement"]
    route: Annotated[str, "fragment of the address that opens it, `#layer?n=7&f=3`"]
    examples: Annotated[list[CourseExample], "more of it to open"]


class PagePicture(TypedDict):
    """A picture of the network, laid out and drawn by Python."""

    kind: Annotated[str, "kind of the picture"]
    caption: Annotated[str, "what it shows"]
    svg: Annotated[str, "the SVG element; a group with `data-node` holds what stands for a node"]


class WorstPicture(TypedDict):
    uri: Annotated[str, "the image as data; empty if it is missing"]
    width: Annotated[int, "pixels at which it is shown"]
    height: Annotated[int, "the same"]
    note: Annotated[str, "what was changed to show it, or why it is missing"]


class PageRun(TypedDict):
    """A training run, finished or not."""

    name: Annotated[str, "name of its folder"]
    facts: Annotated[list[list[str]], "how it was trained: label and text"]
    curves: Annotated[
        RunCurves | None, "its epochs, as in the picture `training`; null before the first one ends"
    ]
    evaluation: Annotated[
        Evaluation | None, "`striate.eval/1` of its weights on its validation data; null if it has none"
    ]
    missing: Annotated[list[str], "why curves or evaluation are not there"]
    worst: Annotated[list[WorstPicture], "pictures of the evaluation's worst images, in their order"]


class LivePage(TypedDict):
    """Inside the page of `striate report`, in a script element of type `application/json`"""

    schema: Annotated[str, "`striate.page/1`"]
    version: Annotated[str, "version of Striate"]
    course: Annotated[list[CourseLine], "the lines of the course in their order"]
    palettes: Annotated[dict[str, list[str]], "color maps, low to high: `counts`, `signed`, `gray`"]
    show: Annotated[Show, "`striate.show/1` of the network"]
    network: NotRequired[Annotated[LiveNetwork, "what views need besides"]]
    history: NotRequired[LiveHistory]
    pictures: NotRequired[
        Annotated[list[PagePicture], "pictures of the network; a report has them in the page instead"]
    ]
    run: NotRequired[Annotated[PageRun, "the training run whose network it is"]]
    drawing: NotRequired[
        Annotated[Drawing, "what an image for the network is; absent if it takes no single image"]
    ]
    model: NotRequired[Annotated[PageModel, "the network with its weights, if the page can run it"]]
    no_model: NotRequired[Annotated[str, "otherwise: why it cannot"]]
    experiment: NotRequired[
        Annotated[HandExperiment, "with a model: its screen, and where an electrode can be"]
    ]
    eight_bit: NotRequired[Annotated[EightBitMaps, "instead of a model: maps of one image of the run's data"]]
