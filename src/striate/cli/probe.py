"""`striate probe`: the experiment of Hubel and Wiesel on the units of a node."""

from __future__ import annotations

import shlex
from typing import Any

import click

from striate.cli.options import (
    device_option,
    emit,
    emit_json,
    engine_option,
    examples,
    input_option,
    json_option,
    model_argument,
    output_option,
    page,
    weights_option,
)
from striate.diagnostics import UsageError


@click.command(
    short_help="Find what the units of a node respond to.",
    epilog=examples(
        "striate probe runs/digits --node conv1",
        "striate probe runs/digits --node conv1 --unit 3",
        "striate probe resnet18 --weights resnet18.pth --node conv1 --json",
        "striate probe runs/digits --node conv2 --at corner",
        "striate probe runs/digits --node conv2 --border",
    ),
)
@model_argument
@click.option("--node", metavar="NAME", help="Node to record from; it has height and width.")
@click.option("--unit", type=click.IntRange(0), metavar="K", help="Show one channel with its tuning curve.")
@click.option(
    "--at",
    default="center",
    metavar="PLACE",
    help="Unit in the map: center, edge, corner or ROW,COLUMN [center].",
)
@click.option("--photos", metavar="PATH", type=click.Path(), help="Photographs to compare gratings with.")
@click.option(
    "--seed", default=0, metavar="N", type=click.IntRange(0), help="Seed of noise and fresh weights [0]."
)
@click.option("--border", is_flag=True, help="Compare center, edge and corner under each padding mode.")
@input_option
@weights_option
@engine_option
@device_option
@json_option
@output_option
def command(
    model: str, node: str | None, unit: int | None, at: str, photos: str | None, seed: int, border: bool, input: Any,
    weights: str | None, engine: str, device: str, as_json: bool, output: str | None,
) -> None:  # fmt: skip
    """Show gratings, bars, edges, spots and noise to the units of a node, and measure their tuning.

    Prints for each unit the preferred orientation of the bar, its selectivity (circular variance CV and OSI), its
    bandwidth, spatial frequency in cycles per pixel, and whether the unit is simple or complex. A measure that is
    undefined for a unit is a dash (null in JSON). A model without weights gets fresh ones, and the output says so.
    """
    from striate.formats.with_weights import with_weights
    from striate.model import Model
    from striate.probe.experiment import record as probe
    from striate.terminal import Bar

    loaded = with_weights(model, weights, input=input, seed=seed)
    if node is None:
        first = next((node.name for node in loaded.network), "NAME")
        raise UsageError(
            "no node is named",
            where="striate probe",
            why="the electrode is put into one node of the network",
            fix=f"--node {first}; striate show {shlex.quote(model)} lists all nodes",
        )
    subject = Model(loaded, engine=engine, device=device)
    if border and (photos or at != "center"):
        raise click.UsageError("--border has places of its own: leave out --at and --photos")
    place: Any = at.split(",") if "," in at else at
    result: Any
    with Bar() as bar:

        def watch(shown: int, total: int) -> None:
            bar.count("probing", shown, total)

        if border:
            from striate.probe.border import border as compare

            result = compare(subject, node, seed=seed, trained=loaded.trained, watch=watch).to_dict(unit)
        else:
            recording = probe(
                subject, node, at=place, photos=photos, seed=seed, trained=loaded.trained, watch=watch
            )
            result = recording.to_dict(unit)
    if as_json:
        emit_json(result, output)
        return
    from striate.views.text import probe as view

    out = page()
    (view.draw_border if border else view.draw if unit is None else view.draw_unit)(out, result)
    emit(out, output)
