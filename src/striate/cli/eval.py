"""`striate eval`: how good a trained model is on labeled images."""

from __future__ import annotations

import click

from striate.cli.options import (
    Model,
    Names,
    batch_size_option,
    device_option,
    emit,
    emit_json,
    engine_option,
    examples,
    json_option,
    load_trained,
    mean_option,
    output_option,
    page,
    split_option,
    std_option,
    weights_option,
)


@click.command(
    short_help="Evaluate a trained model on labeled images.",
    epilog=examples(
        "striate eval runs/digits",
        "striate eval runs/mine --data more-images/",
        "striate eval model.onnx --data images/",
        "striate eval runs/mine --split validation --json | jq .accuracy",
    ),
)
@click.argument("run", metavar="RUN", type=Model())
@click.option("--data", default="", metavar="PATH", help="Labeled images [the data of the run].")
@split_option("a part not used in training")
@batch_size_option
@weights_option
@mean_option
@std_option
@engine_option
@device_option
@click.option("--on-bad", default="", metavar="WORD", type=Names("WORD", lambda: ("skip", "refuse")),
              help="Skip unreadable images, or refuse the data.")  # fmt: skip
@json_option
@output_option
def command(
    run: str,
    data: str,
    split: str,
    batch_size: int,
    weights: str | None,
    mean: str | None,
    std: str | None,
    engine: str,
    device: str,
    on_bad: str,
    as_json: bool,
    output: str | None,
) -> None:
    """Compute accuracy, loss, per-class metrics, confusion matrix and calibration of a trained model.

    RUN is a run folder or any other model with weights: .onnx, .keras, .safetensors that Striate wrote.

    The images go through the transformation recorded in the model. By default the test part of the data is used.
    Without a test part, it is the part that training has set aside, or all images if the model was not trained on this
    data.
    """
    from striate.terminal import Bar
    from striate.views.evaluation_record import evaluation_record

    model = load_trained(run, weights, mean, std, engine, device)
    with Bar() as bar:
        evaluation = model.evaluate(
            data or None,
            split=split,
            batch_size=batch_size,
            on_bad=on_bad,
            watch=lambda images, total: bar.count("evaluating", images, total),
        )
    record = evaluation_record(evaluation, run)
    if as_json:
        emit_json(record, output)
        return
    from striate.views.text import evaluation as view

    out = page()
    view.draw(out, record)
    emit(out, output)
