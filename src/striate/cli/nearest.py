"""`striate nearest`: the images to which the units of a node respond most and least."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from striate.cli.options import (
    PAGES,
    Model,
    batch_size_option,
    device_option,
    emit,
    emit_json,
    engine_option,
    examples,
    input_option,
    json_option,
    mean_option,
    one_node,
    page,
    picture_output_option,
    refuse_theme,
    save,
    split_option,
    std_option,
    theme_option,
    weights_option,
)


@click.command(
    short_help="Images to which a unit responds most.",
    epilog=examples(
        "striate nearest runs/mine --node conv1",
        "striate nearest runs/mine --node conv2 --unit 5 -o unit5.html",
        "striate nearest runs/mine --node fc1 --data more-images/ --json",
        "striate nearest model.onnx --node conv1 --data images/ -o conv1.svg",
    ),
)
@click.argument("run", metavar="RUN", type=Model())
@click.option("--node", metavar="NAME", help="Node whose channels are the units.")
@click.option("--unit", type=click.IntRange(0), metavar="K", help="Show all images of one channel.")
@click.option(
    "--data", metavar="PATH", multiple=True,
    help="Images, with or without class folders; may be repeated for image files [the training images of the run].",
)  # fmt: skip
@split_option("train for a run's data, else all")
@click.option(
    "--count",
    default=9,
    metavar="N",
    type=click.IntRange(1, 1000),
    help="Images per unit with the largest responses, and with the smallest [9].",
)
@batch_size_option
@theme_option
@input_option
@weights_option
@mean_option
@std_option
@engine_option
@device_option
@json_option
@picture_output_option
def command(
    run: str, node: str | None, unit: int | None, data: tuple[str, ...], split: str, count: int, batch_size: int,
    theme: str, input: Any, weights: str | None, mean: str | None, std: str | None, engine: str, device: str,
    as_json: bool, output: str | None,
) -> None:  # fmt: skip
    """Find the images to which each unit of a node responds most and least, and where in the image.

    RUN is a run folder, whose training images are used, or any other model with --data. The response is the largest
    value of the unit's map; the receptive field there is the part of the image that the unit sees.
    A model without weights gets fresh ones, and the output says so. Without -o the result is printed as text.
    """
    from striate.formats.with_weights import with_weights
    from striate.model import Model as TrainedModel
    from striate.probe.nearest import record as nearest
    from striate.terminal import Bar
    from striate.train.evaluate_model import normalization

    shown = output not in (None, "-")
    page_wanted = shown and Path(str(output)).suffix.lower() in PAGES
    refuse_theme(theme, shown and not page_wanted and not as_json)
    loaded = with_weights(run, weights, input=input)
    names = [] if node is None else [node]
    node = one_node(names, "nearest", run, loaded.network, "units are the channels of one node")
    model = TrainedModel(loaded, engine=engine, device=device)
    if mean is not None or std is not None:
        model.transform = normalization(model.net, mean or "", std or "")
    source = [*data] if len(data) > 1 else next(iter(data), None)
    with Bar() as bar:
        found = nearest(
            model, node, source, count=count, split=split, batch_size=batch_size, trained=loaded.trained,
            watch=lambda images, total: bar.count("images", images, total),
        )  # fmt: skip
    result: Any = found.to_dict(unit)
    if as_json:
        emit_json(result, output)
    elif not shown:
        from striate.views.text import nearest as view

        out = page()
        (view.draw if unit is None else view.draw_unit)(out, result)
        emit(out)
    elif page_wanted:
        from striate.views.html.nearest_page import nearest_page

        emit(nearest_page(found, unit), output)
    else:
        from striate.views.drawing.nearest import picture

        save(picture(found, unit, theme), output)
