"""What `striate lab` answers to its page. web/src/record.ts is derived from it; web/src/lab/api.ts names the requests.

The second argument of `Annotated` is the meaning. No command loads this file: it is for type checkers and for that one.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypedDict

from striate.views.schemas.lists import Rules
from striate.views.schemas.live import LivePage, PagePicture
from striate.views.schemas.live_views import LiveNetwork
from striate.views.schemas.networks import Diff, Finding
from striate.views.schemas.probe import HandNode, HandScreen, Probe, ProbedBorder
from striate.views.schemas.training import Evaluation


class LabRecord(TypedDict):
    """Answer to `record`: a network, checked."""

    page: Annotated[
        LivePage, "without what `pictures` and `views` answer, and what is the same for all networks"
    ]
    text: Annotated[str, "the network as the editor shows it; empty if it has no text"]
    form: Annotated[Literal["notation", "toml", ""], "how the text is written"]
    trained: Annotated[bool, "whether it has the weights of the model that the page was opened with"]


class LabPictures(TypedDict):
    """Answer to `pictures`."""

    pictures: Annotated[list[PagePicture], "one for each kind asked for"]


class LabViews(TypedDict):
    """Answer to `views`."""

    network: Annotated[LiveNetwork, "the key `network` of `striate.page/1`"]


class LabFixed(TypedDict):
    """Answer to `fix`."""

    text: Annotated[str, "the network's text with the fix"]
    input: Annotated[str, "the input size with the fix; empty if the text says it"]


class LabComparison(TypedDict):
    """Answer to `compare`."""

    diff: Annotated[Diff, "what changed from A to B"]
    svg: Annotated[str, "both networks next to each other, differences marked"]


class LabArray(TypedDict):
    """An array of the engine."""

    shape: Annotated[list[int], "without the batch axis, channels first"]
    values: Annotated[str, "base64 of its float32 numbers, little-endian"]


class LabActivations(TypedDict):
    """Answer to `activations`: exact values that Python's engine computed for one image."""

    input: Annotated[LabArray, "the image as the network reads it"]
    values: Annotated[dict[str, LabArray], "output of each node asked for"]
    outputs: Annotated[list[LabArray], "the network's outputs"]
    probabilities: Annotated[list[float] | None, "of the classes; null if the outputs are no classes"]
    classes: Annotated[list[str], "names of the classes; empty if they have none"]
    transform: Annotated[str, "the model's transformation in words"]
    trained: Annotated[bool, "whether the weights are those of the model; otherwise fresh, seed 0"]


class LabElectrode(TypedDict):
    """Answer to `electrode`: what an electrode in a node reads, and where it can be."""

    screen: HandScreen
    node: HandNode
    trained: Annotated[bool, "whether the weights are those of the model; otherwise fresh, seed 0"]


class LabResponses(TypedDict):
    """Answer to `respond`: responses of one unit to stimuli that are shown by hand."""

    blank: Annotated[float, "to the gray screen"]
    responses: Annotated[list[float], "to each stimulus"]


class LabRun(TypedDict):
    """Answer to `run`: what a training run has written so far."""

    name: Annotated[str, "the run"]
    state: Annotated[
        Literal["running", "stopped", "finished", "gone"], "gone: its folder does not exist any more"
    ]
    since: Annotated[int, "rows that were not asked for, at the start"]
    rows: Annotated[list[dict[str, float | None]], "one for each epoch; null: not a finite number"]
    epochs: Annotated[int, "rows in all"]
    planned: Annotated[int, "epochs that were asked for; 0 if unknown"]
    best_epoch: Annotated[int | None, "epoch whose weights are kept"]
    ended: Annotated[str, "why it ended: `done`, `early stop`; `unfinished`"]
    settings: Annotated[dict[str, str], "settings by name"]
    evaluation: Annotated[Evaluation | None, "of the kept weights, when the run is over"]


class LabRunName(TypedDict):
    """A run folder below the current folder."""

    name: Annotated[str, "its path from there"]
    state: Annotated[Literal["running", "stopped", "finished", "gone"], "as in `run`"]


class LabRuns(TypedDict):
    """Answer to `runs`."""

    runs: Annotated[list[LabRunName], "by name"]


class LabRefusal(TypedDict):
    """Answer that a network, or a request, is wrong; of a request the status is 400 or above."""

    problem: Annotated[Finding, "what, where, why, fix"]


ANSWERS = (
    LabRecord,
    LabPictures,
    LabViews,
    LabFixed,
    LabComparison,
    LabActivations,
    LabElectrode,
    LabResponses,
    Probe,
    ProbedBorder,
    LabRun,
    LabRuns,
    Rules,
    LabRefusal,
)
"""Roots of what the page reads from `striate lab`."""
