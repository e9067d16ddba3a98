"""`striate predict`: what a trained model says to images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from striate.cli.options import (
    device_option,
    emit,
    emit_json,
    engine_option,
    examples,
    json_option,
    output_option,
    page,
)
from striate.diagnostics import FormatError


@click.command(
    short_help="What a trained model says to images.",
    epilog=examples(
        "striate predict runs/mine cat.jpg",
        "striate predict runs/mine photos/ --csv -o answers.csv",
        "curl -s https://example.org/cat.jpg | striate predict runs/mine - --json",
    ),
)
@click.argument("run", metavar="RUN", type=click.Path())
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True, type=click.Path(allow_dash=True))
@click.option(
    "--top", default=3, metavar="N", type=click.IntRange(1), help="Classes to name for each image [3]."
)
@click.option(
    "--batch-size", default=64, metavar="N", type=click.IntRange(1), help="Images in one pass [64]."
)
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
    engine: str,
    device: str,
    as_json: bool,
    as_csv: bool,
    output: str | None,
) -> int:
    """Name the most probable classes of each IMAGE: files, folders (all images below), - for standard input.

    Images that cannot be read are named on standard error; the others are answered, and the exit code is 2.
    """
    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other")
    from striate.model import Model
    from striate.train.data.dataset import BadImage
    from striate.train.judging import config_of
    from striate.train.losses import LOSSES
    from striate.train.prediction import answers, image_files
    from striate.views.text import prediction as view
    from striate.views.text.progress import Bar

    model = Model.load(run, engine=engine, device=device)
    files = list(image_files(images))
    loss = LOSSES[config_of(Path(run)).settings.loss]()
    program = model.compile(batch=max(min(batch_size, len(files)), 1))
    said: list[dict[str, Any]] = []
    bad: list[BadImage] = []
    with Bar() as bar:
        for found in answers(program, model.transform, loss, files, batch=batch_size):
            if isinstance(found, BadImage):
                bad.append(found)
            else:
                names = model.classes or tuple(map(str, range(len(found.probabilities))))
                best = [{"class": names[k], "probability": p} for k, p in found.top(top)]
                said.append({"name": found.name, "top": best, "notes": list(found.notes)})
            bar.count("predicting", len(said) + len(bad), len(files))
    if bad and not said:
        name, why = bad[0]
        what = f"none of the {len(bad):,} images can" if len(bad) > 1 else "the image cannot"
        raise FormatError(f"{what} be read", where=name, why=why, fix="give images that open elsewhere")
    record = {
        "schema": "striate.predict/1",
        "model": run,
        "classes": list(model.classes),
        "images": said,
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
        click.echo(f"{len(bad):,} of {len(files):,} images could not be read", err=True)
    return 2 if bad else 0
