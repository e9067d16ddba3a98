"""`striate attribute`: which pixels of an image a class or a unit depends on."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from striate.cli.options import (
    PAGES,
    Model,
    Names,
    device_option,
    emit,
    emit_json,
    engine_option,
    examples,
    json_option,
    load_trained,
    mean_option,
    numbers_of,
    page,
    picture_output_option,
    refuse_theme,
    save,
    std_option,
    theme_option,
    weights_option,
)
from striate.diagnostics import UsageError

if TYPE_CHECKING:
    from striate.model import Model as TrainedModel
    from striate.probe.attribution import Attribution
    from striate.probe.attribution_methods import Settings
    from striate.views.text.page import Page


ALL = "all"
"""In place of a method: all of them."""


def _methods() -> tuple[str, ...]:
    from striate.probe.attribution_methods import METHODS

    return (*METHODS, ALL)


@click.command(
    short_help="Which pixels a class or a unit depends on.",
    epilog=examples(
        "striate attribute runs/mine cat.jpg --method grad-cam -o cam.svg",
        "striate attribute runs/mine cat.jpg --method grad-cam --layer conv3 --class cat -o cam.png",
        "striate attribute runs/mine cat.jpg --method integrated-gradients --class cat --json",
        "striate attribute runs/mine cat.jpg --method all -o cat.html",
        "striate attribute runs/mine cat.jpg --method saliency --node conv2 --unit 5 --json",
    ),
)
@click.argument("run", metavar="RUN", type=Model())
@click.argument("image", metavar="IMAGE", type=click.Path(allow_dash=True))
@click.option(
    "--method", default="saliency", metavar="NAME", type=Names("NAME", _methods),
    help="saliency, gradient-x-input, integrated-gradients, grad-cam, occlusion, or all of them [saliency].",
)  # fmt: skip
@click.option(
    "--class", "target", metavar="NAME", help="Class to explain, by name or number [the predicted one]."
)
@click.option("--node", default="", metavar="NAME", help="Node of --unit.")
@click.option(
    "--unit", default="", metavar="K[,Y,X]", callback=numbers_of,
    help="Unit to explain: channel, or channel, row and column [the middle of the map].",
)  # fmt: skip
@click.option(
    "--pixel", default="", metavar="Y,X", callback=numbers_of,
    help="Pixel of a segmentation to explain, from 0 [the middle one].",
)  # fmt: skip
@click.option(
    "--layer", default="", metavar="NAME", help="Node whose map Grad-CAM weights [the last one with a map]."
)
@click.option("--steps", type=int, metavar="N", help="Points of integrated gradients [50].")
@click.option(
    "--window", type=int, metavar="N", help="Side of an occlusion's square [an eighth of the image]."
)
@click.option("--stride", type=int, metavar="N", help="Distance of an occlusion's squares [half a side].")
@click.option("--before-training", is_flag=True,
              help="Compare with the run before training, as a page: attribution, first filters, tuning.")  # fmt: skip
@theme_option
@weights_option
@mean_option
@std_option
@engine_option
@device_option
@json_option
@picture_output_option
def command(
    run: str,
    image: str,
    method: str,
    target: str | None,
    node: str,
    unit: tuple[int, ...],
    pixel: tuple[int, ...],
    layer: str,
    steps: int | None,
    window: int | None,
    stride: int | None,
    before_training: bool,
    theme: str,
    weights: str | None,
    mean: str | None,
    std: str | None,
    engine: str,
    device: str,
    as_json: bool,
    output: str | None,
) -> None:
    """Attribute the score of a class, or the value of a unit, to the pixels of an IMAGE.

    RUN is a run folder or any other model with weights. The image passes the model's own normalization. Without a file
    the result is printed in words; -o draws the image and its attribution, as a page or a picture.
    """
    from striate.probe.attribution import attributions
    from striate.probe.attribution_methods import METHODS, Settings

    shown = output not in (None, "-")
    page_wanted = shown and Path(str(output)).suffix.lower() in PAGES
    refuse_theme(theme, shown and not page_wanted and not as_json)
    if method == ALL and (as_json or (shown and not page_wanted)):
        what = "JSON holds" if as_json else "a picture shows"
        fix = "-o attributions.html, or --method with one method"
        raise UsageError(
            f"{what} one method", where=f"--method {ALL}", why="a page shows all of them", fix=fix
        )
    if before_training and (as_json or not page_wanted):
        fix = f"{'no --json, and ' if as_json else ''}-o before.html"
        raise UsageError("--before-training writes a page", where="--before-training", fix=fix)
    model = load_trained(run, weights, mean, std, engine, device)
    chosen: dict[str, Any] = {"node": node, "unit": unit or None, "pixel": pixel}
    settings = Settings(steps, window, stride, layer=layer)
    names = tuple(METHODS) if method == ALL else (method,)
    found, left_out = attributions(model, image, names, settings, target=target, **chosen)
    if before_training:
        emit(_compared(model, run, found, left_out, settings, chosen), output)
    elif as_json:
        emit_json(found[0].to_dict(), output)
    elif page_wanted:
        from striate.views.html.attribution_page import attribution_page

        emit(attribution_page(found, left_out), output)
    elif not shown:
        out = page()
        for one in found:
            _say(out, one)
        for name, reason in left_out.items():
            out.line(f"note: {name} is left out: {reason}")
        out.fields([("draw it", "-o attribution.svg or .html"), ("numbers", "--json")])
        emit(out)
    else:
        from striate.views.drawing.attribution import picture

        save(picture(found[0], theme), output)


def _compared(
    model: TrainedModel,
    run: str,
    found: list[Attribution],
    left_out: dict[str, str],
    settings: Settings,
    chosen: dict[str, Any],
) -> str:
    """The page that compares with the weights before training."""
    from striate.probe.attribution import attributions
    from striate.probe.before_training import before_training
    from striate.probe.experiment import record as probe
    from striate.views.drawing.kinds.filters import convolution
    from striate.views.drawing.request import Request
    from striate.views.html.before_page import before_page
    from striate.views.html.figure import Figure, Missing, told
    from striate.views.html.network_part import figure

    before, said = before_training(model, run)
    pair, first = (before, model), found[0]
    pixels = first.image[None].astype("float32")  # read once: it may have come from standard input
    label = first.target.label or None
    again, _ = attributions(before, pixels, [one.method for one in found], settings, target=label, **chosen)

    def filters(number: int) -> Figure | Missing:
        drawn = figure(model.net, "filters", Request(model=pair[number]))
        return dataclasses.replace(drawn, key=f"filters-{number}").small("striate draw RUN --kind filters")

    def tuning() -> tuple[Any, Any]:
        node = chosen["node"] or convolution(model.net, "").name
        old, new = (probe(one, node) for one in pair)
        tuned = [unit for unit in new.units if unit.cv is not None] or new.units
        best = chosen["unit"][0] if chosen["unit"] else min(tuned, key=lambda unit: unit.cv or 0.0).unit
        return old.to_dict(best), new.to_dict(best)

    drawn = told(lambda: filters(0)), told(lambda: filters(1))
    return before_page((again, found), drawn, told(tuning), said, left_out)


def _say(out: Page, found: Attribution) -> None:
    """An attribution in words."""
    out.line([(str(found).strip("<>"), "bold")])
    fields = [("most in favor", _place(found.heat, 1)), ("most against", _place(found.heat, -1))]
    if found.probability is not None:
        fields.append(("probability", f"{found.probability:.1%}"))
    if found.baseline_score is not None:
        fields.append(
            (
                "sum",
                f"{found.total:.4g} of {found.score - found.baseline_score:.4g}, the difference of the scores",
            )
        )
    out.fields([(name, text) for name, text in fields if text])
    for note in found.notes:
        out.line(f"note: {note}")


def _place(heat: Any, sign: int) -> str:
    """The pixel with the largest number of a sign; "" if there is none."""
    at = int((sign * heat).argmax())
    row, column = divmod(at, heat.shape[1])
    value = float(heat[row, column])
    return f"row {row}, column {column}: {value:.3g}" if sign * value > 0 else ""
