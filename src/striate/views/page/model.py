"""What the page needs to run the network by itself, or to ask `striate lab`; or, in words, why it cannot."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypedDict

from striate.diagnostics import StriateError, UsageError
from striate.formats.loaded import structure
from striate.formats.with_weights import with_weights
from striate.op import Trait
from striate.train.data.transforms import ByInput, Transform
from striate.train.evaluate_model import loss_of
from striate.views.page.forward import forward_nodes, forward_weights, too_large

if TYPE_CHECKING:
    from striate.formats.loaded import Loaded
    from striate.network import Network
    from striate.views.schemas.forward import Answer, Drawing, ImageStep, PageModel, SampleImage


class ModelParts(TypedDict, total=False):
    """Part of `striate.page/1`."""

    drawing: Drawing
    model: PageModel
    no_model: str


def model_parts(net: Network, samples: Sequence[SampleImage] = ()) -> ModelParts:
    """`drawing` and `model` of a network, with fresh weights if it has none; `no_model` where the page cannot run it.

    samples: images to try, in the network's size.
    """
    loaded = structure(net)
    parts: ModelParts = {}
    try:
        channels, steps = _image_steps(loaded)
        answer = _answer(loaded)
        (spec,) = loaded.inputs.values()
        image = [*spec.shape[2:], channels]
        parts["drawing"] = {
            "image": image,
            "dark": _is_dark(steps),
            "classes": _classes(loaded, answer),
            "trained": loaded.weights is not None,
            "samples": [*samples],
        }
        if reason := too_large(loaded):
            raise _refusal(loaded, reason)
        model = with_weights(loaded)
        nodes, tables = forward_nodes(model)
        parts["model"] = {
            "inputs": {name: [*spec.shape] for name in model.inputs},
            "image": image,
            "steps": steps,
            "nodes": nodes,
            "tables": tables,
            "weights": forward_weights(model, model.weights or {}),
            "outputs": [*model.outputs],
            "answer": answer,
        }
    except StriateError as error:
        parts["no_model"] = "; ".join(filter(None, (error.what, error.why)))
    return parts


def _refusal(net: Network, why: str) -> UsageError:
    return UsageError(f"{net.name} does not run inside the page", why=why)


def _image_steps(net: Loaded) -> tuple[int, list[ImageStep]]:
    """Channels of the pixels, and the steps from them to the input: an image is drawn in the network's size."""
    if net.inference.problems:
        problem = net.inference.problems[0]
        raise _refusal(net, f"{problem.node}: {problem.what}")
    if len(net.inputs) > 1:
        raise _refusal(net, f"it has the inputs {', '.join(net.inputs)}, and a drawing is one image")
    shape = net.input.without_batch
    if len(shape) != 3:
        raise _refusal(net, f"its input {net.input} is not an image")
    if not net.transform:
        if shape[0] not in (1, 3):
            raise _refusal(net, f"an image of {shape[0]} channels cannot be drawn")
        return shape[0], []
    recorded = Transform.from_dict(net.transform)
    way, target = recorded.pixelwise, (shape[0], shape[1], shape[2])
    takes = [
        count for count in (shape[0], 1, 3) if count in (1, 3) and way.takes((count, *target[1:]), target)
    ]
    if isinstance(recorded, ByInput) or not takes:
        raise _refusal(net, f"its transformation does not start from an image: {recorded.describe()}")
    if way.normalize and not all(0 <= mean <= 1 for mean in way.normalize.mean):
        mean = ", ".join(f"{one:.3g}" for one in way.normalize.mean)
        raise _refusal(net, f"it was trained on values of mean {mean}, and pixels lie between 0 and 1")
    steps: Any = way.to_dict()["steps"]
    return takes[0], steps


def _is_dark(steps: Sequence[ImageStep]) -> bool:
    """Whether the images of the training were dark: their mean is recorded."""
    means = [mean for step in steps for mean in step.get("mean", ())]
    return statistics.fmean(means) < 0.5 if means else True


def _answer(net: Loaded) -> Answer:
    """How `striate.Model.classify` makes probabilities of the outputs."""
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
