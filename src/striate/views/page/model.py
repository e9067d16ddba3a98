"""What the page needs to run the network by itself, or to ask `striate lab`; or, in words, why it cannot."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypedDict

from striate.diagnostics import StriateError, UsageError
from striate.formats.loaded import structure
from striate.op import Trait

if TYPE_CHECKING:
    from pathlib import Path

    from striate.formats.loaded import Loaded
    from striate.network import Network
    from striate.views.page.before import Weights
    from striate.views.schemas.forward import Answer, Drawing, EightBitMaps, ImageStep, PageModel
    from striate.views.schemas.probe import HandExperiment

MAX_PIXELS = 2048 * 2048
"""Pixels of an image that a browser draws on and sends."""
MAX_MACS = 10_000_000
"""Multiply-accumulates that a page computes at every stroke of a drawing."""
MAX_STEPS = 3 * MAX_MACS
"""Steps of all loops together: pooling and functions take time too."""
MAX_BYTES = 450_000
"""Bytes of weights, before base64: the page stays under 1 MB."""


class ModelParts(TypedDict, total=False):
    """Part of `striate.page/1`."""

    drawing: Drawing
    model: PageModel
    no_model: str
    eight_bit: EightBitMaps
    experiment: HandExperiment


def model_parts(net: Network, run: Path | None = None, *, server: bool = False) -> ModelParts:
    """`drawing` and `model` of a network, with fresh weights if it has none; `no_model` where the page cannot run it.

    run: the folder of the training run that it comes from, whose data give images to try, and of a network that the
    page cannot run, one image in 8 bits. server: the page can ask Python, so it has a `drawing` without a model, too.
    """
    loaded = structure(net)
    parts: ModelParts = {}
    try:
        _check_image(loaded)
        reason = too_large(loaded)
        if server or run or not reason:
            parts = _parts(loaded, run, runs_here=not reason, server=server)
        if "model" in parts and not server:
            from striate.views.page.experiment import experiment

            parts["experiment"] = experiment(loaded)
        if reason and not server:
            parts = _eight_bit(loaded, parts)
        if reason:
            raise _refusal(loaded, reason)
    except StriateError as error:
        parts["no_model"] = error.reason
    return parts


def _parts(net: Loaded, run: Path | None, *, runs_here: bool, server: bool) -> ModelParts:
    from striate.views.page.forward import forward_nodes, forward_weights

    channels, steps = _image_steps(net)
    answer, spec = _answer(net), net.input
    image = [*spec.spatial, channels]
    drawing: Drawing = {
        "image": image,
        "dark": _is_dark(steps),
        "classes": _classes(net, answer),
        "trained": net.weights is not None,
        "samples": [],
    }
    if run:
        from striate.views.page.samples import run_samples

        drawing["samples"] = run_samples(run, net, channels)
    before: Weights = {}
    if run and net.weights is not None and (runs_here or server):
        from striate.views.page.before import before_training

        before = before_training(net, run, drawing, None if server else MAX_BYTES)
    if not runs_here:
        return {"drawing": drawing}
    from striate.formats.with_weights import with_weights

    model = with_weights(net)
    nodes, tables = forward_nodes(model)
    parts: ModelParts = {
        "drawing": drawing,
        "model": {
            "inputs": {name: [*spec.shape] for name in model.inputs},
            "image": image,
            "steps": steps,
            "nodes": nodes,
            "tables": tables,
            "weights": forward_weights(model, model.weights or {}),
            "outputs": [*model.outputs],
            "answer": answer,
        },
    }
    if before:
        parts["model"]["before"] = forward_weights(model, before)
    return parts


def _eight_bit(net: Loaded, parts: ModelParts) -> ModelParts:
    """The parts of a page that can neither run the network nor ask: one image in 8 bits, if there is one."""
    macs = sum(net.declarations[node.name].macs for node in net.nodes)
    samples = parts["drawing"]["samples"] if "drawing" in parts else []
    if not samples or net.weights is None:
        return {}
    from striate.views.page.eight_bit import MAX_MACS, eight_bit_maps

    if macs > MAX_MACS:
        return {}
    drawing = parts["drawing"]
    maps = eight_bit_maps(net, drawing["image"], samples[0], answers=bool(drawing["classes"]))
    return {"drawing": {**drawing, "samples": []}, "eight_bit": maps} if maps["maps"] else {}


def too_large(net: Network) -> str:
    """Why the network does not run inside a page; empty if it does."""
    silent = [node for node in net.nodes if not net.declarations[node.name].statements]
    if silent:
        return f"what {silent[0].name} ({silent[0].op.word}) computes is unknown"
    declarations = [net.declarations[node.name] for node in net.nodes]
    macs = sum(one.macs for one in declarations)
    if macs > MAX_MACS:
        return f"it takes {macs / 1e6:,.1f} M multiply-accumulates for an image, a page at most {MAX_MACS // 10**6} M"
    steps = sum(statement.domain.volume for one in declarations for statement in one.statements)
    if steps > MAX_STEPS:
        return f"it takes {steps / 1e6:,.1f} M steps of arithmetic for an image, a page at most {MAX_STEPS // 10**6} M"
    size = 4 * sum(parameter.elements for parameter in net.parameters.values())
    if size > MAX_BYTES:
        return f"its weights have {size / 1e3:,.0f} kB, and a page holds at most {MAX_BYTES // 1000} kB"
    return ""


def _refusal(net: Loaded, why: str) -> UsageError:
    return UsageError(f"{net.title} does not run inside the page", why=why)


def _check_image(net: Loaded) -> None:
    """Raise UsageError if no single image is the network's input."""
    if net.inference.problems:
        problem = net.inference.problems[0]
        raise _refusal(net, f"{problem.node}: {problem.what}")
    if len(net.inputs) > 1:
        raise _refusal(net, f"it has the inputs {', '.join(net.inputs)}, and a drawing is one image")
    shape = net.input.without_batch
    if len(shape) != 3:
        raise _refusal(net, f"its input {net.input} is not an image")
    if shape[1] * shape[2] > MAX_PIXELS:
        raise _refusal(net, f"an image of {shape[1]:,} x {shape[2]:,} pixels is too large to draw")
    if not net.transform and shape[0] not in (1, 3):
        raise _refusal(net, f"an image of {shape[0]} channels cannot be drawn")


def _image_steps(net: Loaded) -> tuple[int, list[ImageStep]]:
    """Channels of the pixels, and the steps from them to the input: an image is drawn in the network's size."""
    shape = net.input.without_batch
    if not net.transform:
        return shape[0], []
    from striate.train.data.transforms import ByInput, Transform

    recorded = Transform.from_dict(net.transform)
    pixelwise, target = recorded.pixelwise, (shape[0], shape[1], shape[2])
    takes = [
        count
        for count in (shape[0], 1, 3)
        if count in (1, 3) and pixelwise.takes((count, *target[1:]), target)
    ]
    if isinstance(recorded, ByInput) or not takes:
        raise _refusal(net, f"its transformation does not start from an image: {recorded.describe()}")
    if pixelwise.normalize and not all(0 <= mean <= 1 for mean in pixelwise.normalize.mean):
        mean = ", ".join(f"{one:.3g}" for one in pixelwise.normalize.mean)
        raise _refusal(net, f"it was trained on values of mean {mean}, and pixels lie between 0 and 1")
    steps: Any = pixelwise.to_dict()["steps"]
    return takes[0], steps


def _is_dark(steps: Sequence[ImageStep]) -> bool:
    """Whether the images of the training were dark: their mean is recorded."""
    means = [mean for step in steps for mean in step.get("mean", ())]
    return statistics.fmean(means) < 0.5 if means else True


def _answer(net: Loaded) -> Answer:
    """How `striate.Model.classify` makes probabilities of the outputs."""
    from striate.train.evaluate_model import loss_of

    if len(net.specs[net.outputs[0]].shape) != 2:
        return {"undo": "", "loss": ""}
    last = net.producers.get(net.outputs[0])
    traits = last.op.traits if last else Trait.NONE
    undo = "log" if Trait.DISTRIBUTION in traits else "logit" if Trait.LOGISTIC in traits else ""
    return {"undo": undo, "loss": loss_of(net, net.objective).word}


def _classes(net: Loaded, answer: Answer) -> list[str]:
    """A name for each probability."""
    if not answer["loss"]:
        return []
    outputs = net.specs[net.outputs[0]].shape[1]
    count = 2 if outputs == 1 and answer["loss"] == "binary_cross_entropy" else outputs
    return [net.classes[k] if k < len(net.classes) else str(k) for k in range(count)]
