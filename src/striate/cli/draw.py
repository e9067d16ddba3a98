"""`striate draw`: a picture of a network."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import click

from striate.cli.options import (
    Model,
    Names,
    emit_json,
    examples,
    input_option,
    json_option,
    load,
    mean_option,
    numbers_of,
    save,
    std_option,
    theme_option,
    weights_option,
)
from striate.views.drawing.kinds import KINDS, RESULTS


def _images(texts: tuple[str, ...], names: Collection[str]) -> str | dict[str, str] | None:
    """The value of --image: None, one file, or files by the names of the inputs."""
    pairs = [text.partition("=") for text in texts]
    if len(pairs) == 1 and pairs[0][0] not in names:  # also of a file with = in its name
        return texts[0]
    if bare := [text for text, (_, mark, _) in zip(texts, pairs, strict=True) if not mark]:
        raise click.BadParameter(f"{bare[0]} needs the name of an input: --image NAME={bare[0]}")
    by_name = {name: file for name, _, file in pairs}
    if len(by_name) < len(pairs):
        raise click.BadParameter(f"an input has two images: {' and '.join(texts)}")
    return by_name or None


@click.command(
    short_help="Draw a network or a layer.",
    epilog=examples(
        "striate draw lenet5 -o lenet5.svg",
        "striate draw resnet50 --kind graph --direction right -o resnet50.svg",
        "striate draw vgg16 --cost --theme dark -o vgg16.svg",
        "striate draw '7x7x1 -> conv 3x3' --kind pixels --compare -o use.svg",
        "striate draw resnet18 --kind field --unit 0,0 -o field.svg",
        "striate draw '7x7x1 -> conv 3x3 /3' --kind layer > layer.svg",
        "striate draw '7x7x1 -> conv 3x3' --kind layer --numbers --animate -o slide.svg",
        "striate draw '7x7x1 -> conv 3x3' --kind layer --numbers --speed 4 -o slide.gif",
        "striate draw runs/mine --kind filters -o filters.svg",
        "striate draw runs/mine --kind maps --image cat.jpg --node conv1 --node conv2 -o maps.svg",
        "striate draw runs/a runs/b --kind training -o curves.svg",
        "striate draw runs/a --kind confusion -o confusion.svg",
    ),
)
@click.argument("models", metavar="MODEL...", nargs=-1, required=True, type=Model())
@input_option
@click.option("-o", "--output", type=click.Path(), metavar="FILE",
              help="Write to FILE (.svg .png .gif .webp .pdf .tex .json) not SVG to standard output.")  # fmt: skip
@click.option(
    "--kind",
    default="",
    metavar="NAME",
    type=Names("NAME", lambda: (*KINDS, *RESULTS)),
    help=f"{', '.join([*KINDS, *RESULTS])} [graph with branches, else blocks].",
)
@click.option(
    "--image",
    "images",
    multiple=True,
    type=click.Path(allow_dash=True),
    metavar="[NAME=]FILE",
    help="Image of which maps are drawn, or - for standard input; with several inputs: --image left=a.png "
    "--image right=b.png.",
)
@click.option("--own-scale", is_flag=True, help="Give each filter or map its own scale of colors.")
@weights_option
@mean_option
@std_option
@click.option(
    "--node",
    "nodes",
    multiple=True,
    metavar="NAME",
    help="Layer to draw (layer, fc, filters, several for maps), or node at which paths end (pixels, field).",
)
@click.option(
    "--unit",
    default="",
    metavar="Y,X",
    callback=numbers_of,
    help="Unit whose field is drawn, from 0 [the middle one].",
)
@click.option("--numbers/--no-numbers", default=None,
              help="Write numbers into the cells of pixels [if they fit] or of a layer [off].")  # fmt: skip
@click.option("--compare", is_flag=True, help="With pixels: draw padding modes side by side.")
@click.option("--direction", default="", metavar="WORD", help="Direction of a graph: down or right [down].")
@click.option("--cost", is_flag=True, help="Add bars of parameters and MACs.")
@click.option("--fold/--no-fold", default=True, help="Draw a module as one block, and repeats once [on].")
@theme_option
@click.option("--scale", default=1.0, metavar="X", help="Factor of the size [1].")
@click.option("--animate", is_flag=True, help="Animate the window of a layer, in a loop [in .gif files].")
@click.option("--speed", default=2.0, metavar="X", help="Steps of the animation per second [2].")
@json_option
def command(
    models: tuple[str, ...],
    input: Any,
    output: str | None,
    kind: str,
    nodes: tuple[str, ...],
    images: tuple[str, ...],
    own_scale: bool,
    weights: str | None,
    mean: str | None,
    std: str | None,
    unit: tuple[int, ...],
    numbers: bool | None,
    compare: bool,
    direction: str,
    cost: bool,
    fold: bool,
    theme: str,
    scale: float,
    as_json: bool,
    animate: bool,
    speed: float,
) -> None:
    """Draw a network: volumes as blocks, or the graph of its layers, with sizes, windows and findings.

    The kinds training, confusion and calibration draw the results of run folders (training: of several), or of a file
    that `striate eval --json` has written.

    A network is drawn up to a layer without an output. SVG needs no other software; PNG and PDF need striate[draw].
    """
    from striate.views.drawing.picture import draw

    source: Any = models
    inputs: Collection[str] = ()
    if kind not in RESULTS:
        if len(models) > 1:
            raise click.UsageError("several are drawn with --kind training; give one network")
        net = load(models[0], input)
        if weights is not None:
            from striate.formats.with_weights import with_weights

            net = with_weights(net, weights)
        if mean is not None or std is not None:
            from striate.train.evaluate_model import normalization

            net = net.with_parts(transform=normalization(net, mean or "", std or ""))
        source, inputs = net, net.inputs
    picture = draw(
        source,
        kind,
        node=nodes,
        image=_images(images, inputs),
        own_scale=own_scale,
        unit=unit,
        numbers=numbers,
        compare=compare,
        direction=direction,
        cost=cost,
        fold=fold,
        animate=animate or (kind == "layer" and str(output).lower().endswith(".gif")),
        speed=speed,
        theme=theme,
        scale=scale,
    )
    if as_json:
        emit_json(picture.scene, output)
    else:
        save(picture, output)
