"""The record of the live page: what the other views know of a network, and nothing of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from striate.version import __version__
from striate.views.drawing.theme import PALETTES
from striate.views.history_record import training_facts
from striate.views.html.figure import Figure, Missing
from striate.views.page.catalogue import history_record
from striate.views.page.course import COURSE
from striate.views.page.network import network_record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from striate.diagnostics import Diagnostic
    from striate.network import Network
    from striate.views.html.run_part import RunPart
    from striate.views.html.worst_images import Thumbnail
    from striate.views.page.model import ModelParts
    from striate.views.schemas.live import LivePage, PageRun, WorstPicture
    from striate.views.schemas.networks import Show


def live_record(
    show: Show, run: PageRun | None = None, model: ModelParts | None = None, net: Network | None = None
) -> LivePage:
    """The record of a network. show: its `striate.show/1`; run: the training run that it comes from; model: what the
    page computes with; net: the network itself, for views that need more of it.
    """
    record: LivePage = {
        "schema": "striate.page/1",
        "version": __version__,
        "course": [*COURSE],
        "palettes": {name: [*colors] for name, colors in PALETTES.items()},
        "show": show,
    }
    if net is not None:
        record["network"] = network_record(net, show)
        record["history"] = history_record()
    if run:
        record["run"] = run
    if model:
        record.update(model)  # type: ignore[typeddict-item]
    return record


def record_of(net: Network, findings: Sequence[Diagnostic], model: ModelParts) -> LivePage:
    """The record of a network with its pictures, for a page without a report around it.

    findings: of a check; model: what the page computes with.
    """
    from striate.analysis import analyze
    from striate.views.html.network_part import whole_network
    from striate.views.json_records import checked_record

    facts = analyze(net)
    record = live_record(checked_record(facts, findings), model=model, net=net)
    figures = whole_network(facts, findings, "striate draw MODEL")
    record["pictures"] = [figure.record for figure in figures if isinstance(figure, Figure)]
    return record


def run_record(run: RunPart) -> PageRun:
    """The record of a run."""
    history = None if isinstance(run.history, Missing) else run.history
    evaluation = None if isinstance(run.evaluation, Missing) else run.evaluation
    return {
        "name": run.name,
        "facts": [[*fact] for fact in run.facts],
        "curves": training_facts([history])["runs"][0] if history else None,
        "evaluation": evaluation,
        "missing": [part.missing for part in (run.history, run.evaluation) if isinstance(part, Missing)],
        "worst": [_worst(image) for image in run.worst],
    }


def _worst(image: Thumbnail | Missing) -> WorstPicture:
    if isinstance(image, Missing):
        return {"uri": "", "width": 0, "height": 0, "note": image.missing}
    return {"uri": image.uri, "width": image.width, "height": image.height, "note": image.note}
