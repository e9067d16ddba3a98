"""`striate attribute`: which pixels of an image a class or a unit depends on."""

from __future__ import annotations

from typing import Any

import click

from striate.cli.options import (
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
    page,
    save,
    std_option,
    weights_option,
)


def _methods() -> tuple[str, ...]:
    from striate.probe.attribution import METHODS

    return tuple(METHODS)


def _numbers(context: click.Context, parameter: click.Parameter, text: str) -> tuple[int, ...]:
    """`5` or `5,3,4` as numbers."""
    try:
        return tuple(int(word) for word in text.split(",")) if text else ()
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a number, or several as in 5,3,4") from None


@click.command(
    short_help="Which pixels a class or a unit depends on.",
    epilog=examples(
        "striate attribute runs/mine cat.jpg --method grad-cam -o cam.svg",
        "striate attribute runs/mine cat.jpg --method integrated-gradients --class cat -o cat.png",
        "striate attribute runs/mine cat.jpg --method saliency --node conv2 --unit 5 --json",
    ),
)
@click.argument("run", metavar="RUN", type=Model())
@click.argument("image", metavar="IMAGE", type=click.Path(allow_dash=True))
@click.option(
    "--method", default="saliency", metavar="NAME", type=Names("NAME", _methods),
    help="saliency, gradient-x-input, integrated-gradients, grad-cam or occlusion [saliency].",
)  # fmt: skip
@click.option(
    "--class", "target", metavar="NAME", help="Class to explain, by name or number [the predicted one]."
)
@click.option(
    "--node", default="", metavar="NAME", help="Node of --unit; without it, the one of Grad-CAM's map."
)
@click.option(
    "--unit", default="", metavar="K[,Y,X]", callback=_numbers,
    help="Unit to explain: channel, or channel, row and column [the middle of the map].",
)  # fmt: skip
@click.option(
    "--pixel", default="", metavar="Y,X", callback=_numbers,
    help="Pixel of a segmentation to explain, from 0 [the middle one].",
)  # fmt: skip
@click.option("--steps", default=50, metavar="N", help="Points of integrated gradients [50].")
@click.option(
    "--window", type=int, metavar="N", help="Side of an occlusion's square [an eighth of the image]."
)
@click.option("--stride", type=int, metavar="N", help="Distance of an occlusion's squares [half a side].")
@click.option(
    "--theme", default="auto", metavar="WORD", type=Names("WORD", lambda: ("auto", "light", "dark")),
    help="Theme of the picture: auto, light or dark [auto].",
)  # fmt: skip
@weights_option
@mean_option
@std_option
@engine_option
@device_option
@json_option
@click.option("-o", "--output", type=click.Path(), metavar="FILE",
              help="Write the picture to FILE (.svg .png .pdf), or with --json the record.")  # fmt: skip
def command(
    run: str,
    image: str,
    method: str,
    target: str | None,
    node: str,
    unit: tuple[int, ...],
    pixel: tuple[int, ...],
    steps: int,
    window: int | None,
    stride: int | None,
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
    the result is printed in words; -o draws the image and its attribution.
    """
    from striate.diagnostics import UsageError, suggest
    from striate.probe.attribution import attribute
    from striate.views.drawing.svg import THEMES

    if theme not in THEMES:
        near = suggest(theme, THEMES) or "auto"
        raise UsageError(f"no theme {theme}", why=f"known: {', '.join(THEMES)}", fix=f"--theme {near}")
    model = load_trained(run, weights, mean, std, engine, device)
    settings: dict[str, Any] = {"unit": unit} if unit else {}
    found = attribute(
        model, image, method, target=target, node=node, pixel=pixel, steps=steps, window=window, stride=stride,
        **settings,
    )  # fmt: skip
    if as_json:
        emit_json(found.to_dict(), output)
    elif output is None or output == "-":
        out = page()
        out.line([(str(found).strip("<>"), "bold")])
        fields = [("for most at", _place(found.heat, 1)), ("against most at", _place(found.heat, -1))]
        out.fields([(name, text) for name, text in fields if text])
        for note in found.notes:
            out.line(f"note: {note}")
        out.fields([("draw it", "-o attribution.svg"), ("numbers", "--json")])
        emit(out)
    else:
        from striate.views.drawing.attribution import picture

        save(picture(found, theme), output)


def _place(heat: Any, sign: int) -> str:
    """The pixel with the largest number of a sign; "" if there is none."""
    at = int((sign * heat).argmax())
    row, column = divmod(at, heat.shape[1])
    value = float(heat[row, column])
    return f"row {row}, column {column}: {value:.3g}" if sign * value > 0 else ""
