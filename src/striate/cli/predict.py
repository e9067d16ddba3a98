"""`striate predict`: what a trained model says to images."""

from __future__ import annotations

from typing import Any

import click

from striate.cli.options import (
    Model,
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
    std_option,
    weights_option,
)
from striate.diagnostics import FormatError, plural


@click.command(
    short_help="Classify images with a trained model.",
    epilog=examples(
        "striate predict runs/mine cat.jpg",
        "striate predict runs/mine photos/ --csv -o predictions.csv",
        "striate predict model.onnx cat.jpg --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225",
        "curl -s https://example.org/cat.jpg | striate predict runs/mine - --json",
    ),
)
@click.argument("run", metavar="RUN", type=Model())
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True, type=click.Path(allow_dash=True))
@click.option(
    "--top", default=3, metavar="N", type=click.IntRange(1), help="Number of classes to print per image [3]."
)
@batch_size_option
@weights_option
@mean_option
@std_option
@engine_option
@device_option
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated values, one row for each image.")
@output_option
def command(
    run: str,
    images: tuple[str, ...],
    top: int,
    batch_size: int,
    weights: str | None,
    mean: str | None,
    std: str | None,
    engine: str,
    device: str,
    as_json: bool,
    as_csv: bool,
    output: str | None,
) -> int:
    """Print the most probable classes of each IMAGE: a file, a folder (all images below), or - for standard input.

    RUN is a run folder or any other model with weights: .onnx, .keras, .safetensors that Striate wrote. A file from
    another tool does not record the normalization of images: give --mean and --std.

    Unreadable images are listed on standard error; the others are classified, and the exit code is 2.
    """
    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other")
    from striate.terminal import Bar
    from striate.train.data.dataset import BadImage
    from striate.train.inputs import image_files
    from striate.views.text import prediction as view

    model = load_trained(run, weights, mean, std, engine, device)
    files = list(image_files(images))
    answers: list[dict[str, Any]] = []
    bad: list[BadImage] = []
    with Bar() as bar:
        for answer in model.answers(files, batch_size=batch_size):
            if isinstance(answer, BadImage):
                bad.append(answer)
            else:
                best = [{"class": name, "probability": share} for name, share in model.named(answer, top)]
                answers.append({"name": answer.name, "top": best, "notes": list(answer.notes)})
            bar.count("predicting", len(answers) + len(bad), len(files))
    if bad and not answers:
        name, why = bad[0]
        what = f"none of the {plural(len(bad), 'image')} can" if len(bad) > 1 else "the image cannot"
        raise FormatError(f"{what} be read", where=name, why=why, fix="give other images")
    record = {
        "schema": "striate.predict/1",
        "model": run,
        "classes": list(model.classes),
        "images": answers,
        "unreadable": [one._asdict() for one in bad],
    }
    if as_json:
        emit_json(record, output)
    elif as_csv:
        emit(view.csv_text(record), output)
    else:
        out = page()
        view.draw(out, record)
        emit(out, output)
    for name, why in bad:
        click.echo(f"cannot be read: {name} ({why})", err=True)
    if bad:
        click.echo(f"{len(bad):,} of {plural(len(files), 'image')} could not be read", err=True)
    return 2 if bad else 0
